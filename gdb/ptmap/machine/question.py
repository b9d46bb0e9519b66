"""How a question begins and ends. A command, a convenience function or a script asks it.

For functions and scripts there are three cases:

1. Inside one of our commands (`pte $ptmap_pa($pc)`) the question is part of the command's.
2. From GDB's prompt it begins as a command does.
3. In a condition, GDB is handling a stop that the user may never see. The thread still counts as
   running, and no event has told of the stop. GDB is using its frames, so ptmap does not flush what
   GDB keeps. It need not: GDB has just read it.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator

from ..spaces.reader import Plan, Scans
from . import target
from .sources import choose


class _Question:
    """The current question."""

    commands = 0  # how many of our commands run now, one inside another
    plan = Plan()
    scans = Scans()


_now = _Question()


@contextmanager
def of_command() -> Iterator[None]:
    """Surrounds a command of ours: functions and scripts inside it are part of its question."""
    begin_anew(Plan())
    _now.commands += 1
    try:
        yield
    finally:
        _now.commands -= 1
        will_ask(Plan())


def begin_anew(plan: Plan | None = None) -> None:
    """Forgets what this question has read. PLAN: what will be asked from now on."""
    choose.new_command()
    will_ask(_now.plan if plan is None else plan)


def will_ask(plan: Plan) -> None:
    """Sets the plan, before anything is asked."""
    _forget_scans()
    _now.plan, _now.scans = plan, Scans(plan)


def _forget_scans() -> None:
    """Frees the scans at once. A scanned space has a reader, and the reader has the scans: Python
    would free this circle much later."""
    _now.scans.by_root.clear()


def scans() -> Scans:
    """What this question has scanned."""
    return _now.scans


def in_command() -> bool:
    """Whether GDB runs one of our commands now."""
    return _now.commands > 0


def begin(brief: bool = False) -> None:
    """BRIEF: only a few entries will be read (see Source.begin_piecemeal).

    Error: Refusal if the target runs or there is none."""
    if in_command():
        return
    will_ask(Plan())
    in_stop = target.find_in_stop()
    choose.new_command(brief=brief and in_stop, unseen=in_stop)
    if not in_stop:
        target.require_stopped()


def end() -> None:
    """Call it before giving an answer. Error: Refusal if the machine ran while it was read."""
    if not in_command() and not target.in_stop():
        target.require_same()


def in_stop() -> bool:
    """Whether GDB still decides whether to stop, since begin()."""
    return target.in_stop()
