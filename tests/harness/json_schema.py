"""What -json writes, held against docs/ptmap-1.schema.json."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "ptmap-1.schema.json"
_HEADS = ('{"schema"', '{\n "schema"')
_LONGEST = 100_000  # characters that are checked wherever they turn up: jsonschema is slow


def looks_like_ours(text: str) -> bool:
    """Short enough to be checked in passing, and by its beginning a document of ptmap's."""
    return text.startswith(_HEADS) and len(text) <= _LONGEST


@cache
def schema() -> Any:
    document = json.loads(SCHEMA.read_text(encoding="ascii"))
    jsonschema.Draft202012Validator.check_schema(document)
    return document


@cache
def _validator(kind: str) -> Any:
    # Of one kind: what "oneOf" says of a wrong document names every kind but the reason.
    return jsonschema.Draft202012Validator({"$ref": f"#/$defs/{kind}", "$defs": schema()["$defs"]})


def check(text: str) -> Any:
    """The document. Error: AssertionError says where it is not as the schema has it."""
    document = json.loads(text)
    kind = document.get("kind")
    assert {"$ref": f"#/$defs/{kind}"} in schema()["oneOf"], f"no kind {kind!r} in the schema"
    for error in _validator(kind).iter_errors(document):
        where = "/".join(map(str, error.absolute_path))
        raise AssertionError(f"{kind}: {where}: {error.message}")
    return document
