"""How a question begins and ends. A command, a convenience function or a script asks it.

There are three cases:

1. From GDB's prompt.
2. A function or a script inside one of our commands (`pte $ptmap_pa($pc)`): the question is part of
   the command's.
3. In a condition or a gdb.Breakpoint.stop(), GDB is handling a stop that the user may never see.
   The thread still counts as running, and no event has told of the stop. GDB is using its frames,
   so ptmap does not flush what GDB keeps, and selects no other thread. It need not: GDB has just
   read it.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator

from ..base import lifetimes
from ..spaces.reader import Plan, Scans
from . import cpus, target
from .sources import choose


class _Running:
    """Lives as long as GDB."""

    commands = 0  # how many of our commands run now, one inside another


class _Question:
    """Lives as long as a command."""

    def __init__(self) -> None:
        self.plan = Plan()
        self.scans = Scans()


def _running() -> _Running:
    return lifetimes.session.of(_Running)


def _now() -> _Question:
    return lifetimes.command.of(_Question)


@contextmanager
def of_command() -> Iterator[None]:
    """Surrounds a command of ours: functions and scripts inside it are part of its question."""
    _end_last()
    choose.new_command(unseen=cpus.find_in_stop())
    _running().commands += 1
    try:
        yield
    finally:
        _running().commands -= 1
        will_ask(Plan())


def _end_last() -> None:
    """Ends all state of the last command."""
    _forget_scans()
    lifetimes.command.end()


def begin_anew() -> None:
    """Forgets what this question has read."""
    choose.new_command()
    will_ask(_now().plan)


def will_ask(plan: Plan) -> None:
    """Sets the plan, before anything is asked."""
    _forget_scans()
    now = _now()
    now.plan, now.scans = plan, Scans(plan)
    choose.expect(plan.brief)


def _forget_scans() -> None:
    """Frees the scans at once. A scanned space has a reader, and the reader has the scans: Python
    would free this circle much later."""
    _now().scans.by_root.clear()


def scans() -> Scans:
    """What this question has scanned."""
    return _now().scans


def in_command() -> bool:
    """Whether GDB runs one of our commands now."""
    return _running().commands > 0


def begin(brief: bool = False) -> None:
    """BRIEF: only a few entries will be read (see Source.begin_piecemeal).

    Error: Refusal if the target runs or there is none."""
    if in_command():
        if not brief:
            widen()
        return
    _end_last()
    in_stop = cpus.find_in_stop()
    choose.new_command(brief=brief and in_stop, unseen=in_stop)
    if not in_stop:
        target.require_stopped()


def widen() -> None:
    """More than a few entries will be read, whatever the plan was."""
    choose.widen()


def end() -> None:
    """Call it before giving an answer. Error: Refusal if the machine ran while it was read."""
    if not in_command():
        target.require_same()
