"""How what ptmap expects to go wrong reaches the user: one sentence, of printable ASCII."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import Iterator

import gdb

from ..base.errors import Refusal
from ..base.text import one_line

# gdb.error is a RuntimeError: GDB's own words for what the target or the connection did.
EXPECTED = (Refusal, RuntimeError, UnicodeError, MemoryError)

# What GDB's objects raise when what they stand for went away: "Connection no longer exists."
_GONE = re.compile(r"(\w+) no longer exists?\.?$")


def sentence(error: BaseException) -> str | None:
    """For the user; None if nobody expected it: that is our bug, and keeps its traceback."""
    text = str(error)
    if isinstance(error, MemoryError):
        text = "not enough memory for this"
    elif isinstance(error, UnicodeError):  # for one, what GDB took for a monitor's text
        text += ": if a stub said this, disconnect and attach again"
    elif not isinstance(error, (Refusal, gdb.error)):
        gone = _GONE.match(text) if isinstance(error, RuntimeError) else None
        if gone is None:
            return None
        text = f"the {gone[1].lower()} ended while it was asked: attach again"
    return one_line(" ".join(line.strip() for line in text.splitlines()))


def gdb_error(who: str, text: str) -> gdb.GdbError:
    """What WHO raises. The text may have something in it that the user typed."""
    return gdb.GdbError(one_line(f"{who}: {text}"))


@contextmanager
def told_by(who: str) -> Iterator[None]:
    """Around what a command or a function does. Error: gdb.GdbError."""
    try:
        yield
    except EXPECTED as error:
        text = sentence(error)
        if text is None:
            raise
        raise gdb_error(who, text) from None
