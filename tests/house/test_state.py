"""What ptmap remembers is in objects that say how long they live: no module says `global`."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "gdb" / "ptmap"


def globals_in(text: str) -> list[int]:
    """The lines of `global` statements."""
    return [node.lineno for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Global)]


def test_no_global_statements() -> None:
    found = {
        str(path.relative_to(PACKAGE)): lines
        for path in sorted(PACKAGE.rglob("*.py"))
        if (lines := globals_in(path.read_text(encoding="utf-8")))
    }
    assert not found


def test_one_would_be_found() -> None:
    assert globals_in("state = 0\ndef change():\n    global state\n    state = 1\n") == [3]
