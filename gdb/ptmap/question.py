"""How a question begins that is no command of ours: a convenience function's, a script's.

Three moments differ. Inside one of our commands (`pte $ptmap_pa($pc)`) the question is part of it.
Where GDB has control it begins as a command does. And GDB evaluates conditions while it handles a
stop that nobody may ever see: the thread still counts as running, no event told of the stop, and
frames must not be taken from under GDB, so nothing that it keeps is made to be read anew. It need
not be: GDB has just read it.
"""

from __future__ import annotations

from . import command, target
from .sources import choose


def begin(brief: bool = False) -> None:
    """BRIEF: a few entries are all that will be read (see Source.begin_piecemeal).

    Error: Refusal where the target runs or there is none."""
    if command.is_running():
        return
    in_stop = target.find_in_stop()
    choose.new_command(brief=brief and in_stop, unseen=in_stop)
    if not in_stop:
        target.require_stopped()


def end() -> None:
    """Before what was read is an answer. Error: Refusal where it belongs to no one state."""
    if not command.is_running() and not target.in_stop():
        target.require_same()


def in_stop() -> bool:
    """Whether GDB decides what to make of a stop (since begin())."""
    return target.in_stop()
