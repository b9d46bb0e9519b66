"""How a question begins and ends: a command's, a convenience function's, a script's.

Three moments differ for those that are no command of ours. Inside one of our commands
(`pte $ptmap_pa($pc)`) the question is part of it. Where GDB has control it begins as a command
does. And GDB evaluates conditions while it handles a stop that nobody may ever see: the thread
still counts as running, no event told of the stop, and frames must not be taken from under GDB, so
nothing that it keeps is made to be read anew. It need not be: GDB has just read it.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator

from ..base import lifetimes
from ..spaces.reader import Plan, Scans
from . import target
from .sources import choose


class _Running:
    """Lives as long as GDB."""

    commands = 0  # of ours that run now, one inside another


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
    """Around a command of ours: what it asks by functions and scripts is part of it."""
    _end_last()
    choose.new_command()
    _running().commands += 1
    try:
        yield
    finally:
        _running().commands -= 1
        will_ask(Plan())


def _end_last() -> None:
    """Nothing that lives as long as a command is left of the one before."""
    _forget_scans()
    lifetimes.command.end()


def begin_anew() -> None:
    """What was read in this question is good no more."""
    choose.new_command()
    will_ask(_now().plan)


def will_ask(plan: Plan) -> None:
    """Before the first is asked."""
    _forget_scans()
    now = _now()
    now.plan, now.scans = plan, Scans(plan)
    choose.expect(plan.brief)


def _forget_scans() -> None:
    """At once: a space that was scanned has a reader, which has the scans, and Python would see
    much later that nobody else has them."""
    _now().scans.by_root.clear()


def scans() -> Scans:
    """What is scanned in this question."""
    return _now().scans


def in_command() -> bool:
    """Whether GDB runs one of our commands now."""
    return _running().commands > 0


def begin(brief: bool = False) -> None:
    """BRIEF: a few entries are all that will be read (see Source.begin_piecemeal).

    Error: Refusal where the target runs or there is none."""
    if in_command():
        if not brief:
            widen()
        return
    _end_last()
    in_stop = target.find_in_stop()
    choose.new_command(brief=brief and in_stop, unseen=in_stop)
    if not in_stop:
        target.require_stopped()


def widen() -> None:
    """More is read than a few entries, whatever the plan was."""
    choose.widen()


def end() -> None:
    """Before what was read is an answer. Error: Refusal where it belongs to no one state."""
    if not in_command() and not target.in_stop():
        target.require_same()


def in_stop() -> bool:
    """Whether GDB decides what to make of a stop (since begin())."""
    return target.in_stop()
