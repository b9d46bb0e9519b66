"""TAP, the Test Anything Protocol, version 13, which graders and prove(1) read."""

from __future__ import annotations

import json
from typing import Iterable, Mapping

from ..base.text import one_line, printable

_VERSION = "TAP version 13\n"


def text(tests: Iterable[tuple[bool, str, Mapping[str, object]]]) -> str:
    """A whole stream. Each test: whether it passed, its name, members of the diagnostic block."""
    rows = list(tests)
    lines = [_VERSION, f"1..{len(rows)}\n"]
    for number, (passed, name, more) in enumerate(rows, 1):
        lines.append(f"{'ok' if passed else 'not ok'} {number} - {escaped(name)}\n")
        lines += _yaml(more)
    return "".join(lines)


def bail_out(why: str) -> str:
    """A stream for when nothing was tested. Names in WHY are printable() already."""
    return f"{_VERSION}Bail out! {one_line(why)}\n"


def escaped(name: str) -> str:
    """The name as one line of ASCII, without a TAP directive."""
    return printable(name).replace("\\", "\\\\").replace("#", "\\#")


def _yaml(members: Mapping[str, object]) -> list[str]:
    """A diagnostic block; JSON's scalars are YAML's too."""
    if not members:
        return []
    lines = [f"  {key}: {json.dumps(value)}\n" for key, value in members.items()]
    return ["  ---\n", *lines, "  ...\n"]
