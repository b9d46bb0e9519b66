"""How far a long command is: one line on a terminal, after half a second, erased in the end."""

from __future__ import annotations

import os
import sys
import time

import gdb

_FIRST = 0.5  # seconds until anything is shown
_EVERY = 0.2

_terminal = False
_started = 0.0
_shown = 0.0  # when, 0 for not at all
_batch: tuple[float, int] = (0.0, 0)  # when it began, how many reads it has


def begin() -> None:
    """A command begins."""
    global _started, _shown, _terminal
    _started, _shown, _terminal = time.monotonic(), 0.0, _is_terminal()


def erase() -> None:
    """Before anything else is written: a command's answer, an error."""
    global _shown
    if _shown:
        _shown = 0.0
        _write("\r" + " " * 79 + "\r")


def reading(done: int, total: int) -> None:
    """Of these reads so many are done. More may follow: tables name other tables."""
    global _batch
    if not _terminal:
        return
    now = time.monotonic()
    if done == 0:
        _batch = (now, total)
    if not _is_due(now):
        return
    since = now - _batch[0]
    left = f", {since / done * (total - done):.0f} s left for these" if done and since > 1 else ""
    show(f"reading {done} of {total} tables{left}", now)


def scanning(tables: int) -> None:
    """A _core Pulse: so many tables are read."""
    show(f"{tables} tables")


def flattening(ranges: int) -> None:
    """A _core Pulse: so many ranges of a map are made. In Python Ctrl-C ends it here."""
    show(f"{ranges} ranges")


def writing(ranges: int) -> None:
    """A _core Pulse: so many ranges are text."""
    show(f"writing {ranges} ranges")


def comparing(entries: int) -> None:
    """A _core Pulse: so many pairs of entries are compared."""
    show(f"comparing {entries} entries")


def show(text: str, now: float | None = None) -> None:
    global _shown
    now = time.monotonic() if now is None else now
    if _is_due(now):
        _shown = now
        _write(f"\r{text:<79.79}\r")  # so that the terminal's ^C is on this line too


def _is_due(now: float) -> bool:
    return _terminal and now - _started >= _FIRST and now - _shown >= _EVERY


def _is_terminal() -> bool:
    return sys.__stderr__ is not None and os.isatty(2) and os.isatty(0) and not _is_batch()


def _is_batch() -> bool:
    """GDB does not say it; -batch turns these off."""
    return not gdb.parameter("confirm") and not gdb.parameter("pagination")


def _write(text: str) -> None:
    # Not through GDB, which would count lines and wrap them.
    os.write(2, text.encode("ascii", "replace"))
