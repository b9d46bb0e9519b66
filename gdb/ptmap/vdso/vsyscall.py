"""The vsyscall page: time, gettimeofday and getcpu at addresses that never change.

Documentation/x86/x86_64/mm.rst. With vsyscall=emulate (arch/x86/entry/vsyscall/vsyscall_64.c) it is
mapped for the user to read, and a jump to it faults into the kernel, which does the call. With
xonly and none it is not mapped; only the kernel's variable tells these apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..linux.kernel import Kernel
from ..spaces.address_space import AddressSpace
from ..spaces.virtual_memory import Unreadable

if TYPE_CHECKING:
    from .._core import Walk

ADDRESS = 0xFFFFFFFFFF600000
_MODES = ("emulate", "xonly", "none")  # enum of vsyscall_mode


@dataclass(frozen=True)
class Vsyscall:
    """The page as a space has it."""

    walk: Walk  # _core.Walk
    mode: str  # of _MODES, "none or xonly", "native" (executable, until Linux 5.2), "not known"

    @property
    def mapped(self) -> bool:
        return bool(self.walk.outcome == "mapped")


def of(space: AddressSpace, linux: Kernel | None) -> Vsyscall | None:
    """None where the OS or the mode has no such page."""
    if linux is None or not space.paging.canonical:
        return None
    walk = space.walk(ADDRESS)
    return Vsyscall(walk, _mode(linux, walk))


def _mode(linux: Kernel, walk: Walk) -> str:
    where = linux.symbol("vsyscall_mode")
    if where is not None:
        try:
            value = linux.memory.unsigned(where, 4)
            if value < len(_MODES):
                return _MODES[value]
        except Unreadable:
            pass
    if walk.outcome in ("unreadable", "reserved-bit"):
        return "not known"
    if walk.outcome != "mapped" or not walk.user:
        return "none or xonly"
    return "native" if walk.exec else "emulate"
