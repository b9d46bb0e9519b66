"""A long command's progress: one line on a terminal, after half a second, erased at the end."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass

import gdb

from ..base import lifetimes

_FIRST = 0.5  # seconds until anything is shown
_EVERY = 0.2


@dataclass
class _Command:
    """Lives as long as a command."""

    terminal: bool = False  # a person sees the line
    started: float = 0.0
    shown: float = 0.0  # when the line was last written; 0 if it is not there
    batch: tuple[float, int] = (0.0, 0)  # when these reads began, and how many they are


def _this() -> _Command:
    return lifetimes.command.of(_Command)


def begin() -> None:
    """A command begins."""
    this = _this()
    this.started, this.shown, this.terminal = time.monotonic(), 0.0, _is_terminal()


def erase() -> None:
    """Call it before anything else is written: a command's answer, an error."""
    this = _this()
    if this.shown:
        this.shown = 0.0
        _write("\r" + " " * 79 + "\r")


def reading(done: int, total: int) -> None:
    """DONE of TOTAL reads are done. More may follow: tables name other tables."""
    this = _this()
    if not this.terminal:
        return
    now = time.monotonic()
    if done == 0:
        this.batch = (now, total)
    if not _is_due(now):
        return
    since = now - this.batch[0]
    left = f", {since / done * (total - done):.0f} s left for these" if done and since > 1 else ""
    show(f"reading {done} of {total} tables{left}", now)


def scanning(tables: int) -> None:
    """A _core Pulse: this many tables are read."""
    show(f"{tables} tables")


def searching(pages: int) -> None:
    """A _core Pulse: this many pages were looked at."""
    show(f"{pages} pages looked at")


def placing(tried: int, places: int) -> None:
    """So many of all places where a kernel may be were tried."""
    show(f"looking for the kernel: {tried} of {places} places")


def flattening(ranges: int) -> None:
    """A _core Pulse: this many ranges of a map are made. Ctrl-C ends the work here, because here
    it is in Python."""
    show(f"{ranges} ranges")


def writing(ranges: int) -> None:
    """A _core Pulse: this many ranges are text."""
    show(f"writing {ranges} ranges")


def comparing(entries: int) -> None:
    """A _core Pulse: this many pairs of entries are compared."""
    show(f"comparing {entries} entries")


def show(text: str, now: float | None = None) -> None:
    now = time.monotonic() if now is None else now
    if _is_due(now):
        _this().shown = now
        _write(f"\r{text:<79.79}\r")  # the last \r puts the terminal's ^C on this line too


def _is_due(now: float) -> bool:
    this = _this()
    return this.terminal and now - this.started >= _FIRST and now - this.shown >= _EVERY


def _is_terminal() -> bool:
    return sys.__stderr__ is not None and os.isatty(2) and os.isatty(0) and not _is_batch()


def _is_batch() -> bool:
    """GDB has no name for it, but -batch turns these two off."""
    return not gdb.parameter("confirm") and not gdb.parameter("pagination")


def _write(text: str) -> None:
    # Not through GDB: its pager would count the lines and wrap them.
    os.write(2, text.encode("ascii", "replace"))
