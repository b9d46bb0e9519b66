"""How an expected failure reaches the user: one sentence of printable ASCII."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import Iterator

import gdb

from ..base.errors import Refusal
from ..base.text import one_line

# gdb.error is a RuntimeError: GDB's own words about the target or the connection.
EXPECTED = (Refusal, RuntimeError, UnicodeError, MemoryError)

# What one of GDB's objects raises when its thread or connection has ended.
_GONE = re.compile(r"(\w+) no longer exists?\.?$")


def sentence(error: BaseException) -> str | None:
    """The failure for the user; None if it is not expected: then it is our bug."""
    text = str(error)
    if isinstance(error, MemoryError):
        text = "not enough memory for this"
    elif isinstance(error, UnicodeError):  # for example, a monitor's answer that is not text
        text += ": if a stub said this, disconnect and attach again"
    elif not isinstance(error, (Refusal, gdb.error)):
        gone = _GONE.match(text) if isinstance(error, RuntimeError) else None
        if gone is None:
            return None
        text = f"the {gone[1].lower()} ended during the command: attach again"
    return one_line(" ".join(line.strip() for line in text.splitlines()))


def gdb_error(who: str, text: str) -> gdb.GdbError:
    """The error that the command or function WHO raises. TEXT may quote what the user typed."""
    return gdb.GdbError(one_line(f"{who}: {text}"))


@contextmanager
def told_by(who: str) -> Iterator[None]:
    """Turns expected failures inside it into errors of WHO. Error: gdb.GdbError."""
    try:
        yield
    except EXPECTED as error:
        text = sentence(error)
        if text is None:
            raise
        raise gdb_error(who, text) from None
