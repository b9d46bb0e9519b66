"""The vsyscall page: time, gettimeofday and getcpu at addresses that never change.

See Documentation/x86/x86_64/mm.rst. With vsyscall=emulate (arch/x86/entry/vsyscall/vsyscall_64.c)
the user can read it, and a jump to it faults into the kernel, which does the call. With xonly and
none it is not mapped; only the kernel's variable tells the two apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from ..linux.kernel import Kernel
from ..spaces import walks
from ..spaces.address_space import AddressSpace
from ..spaces.virtual_memory import Unreadable

if TYPE_CHECKING:
    from .._core import Walk

ADDRESS = 0xFFFFFFFFFF600000


class Mode(Enum):
    """What the page does; the words of -json."""

    EMULATE = "emulate"
    XONLY = "xonly"
    NONE = "none"
    NONE_OR_XONLY = "none or xonly"
    NATIVE = "native"  # executable, until Linux 5.2
    NOT_KNOWN = "not known"


_MODES = (Mode.EMULATE, Mode.XONLY, Mode.NONE)  # enum of vsyscall_mode


@dataclass(frozen=True)
class Vsyscall:
    """The page as a space has it."""

    walk: Walk
    mode: Mode

    @property
    def mapped(self) -> bool:
        return self.walk.outcome == "mapped"


def of(space: AddressSpace, linux: Kernel | None) -> Vsyscall | None:
    """The page; None if the system or the paging mode has none."""
    if linux is None or not space.paging.canonical:
        return None
    walk = walks.walk(space, ADDRESS)
    return Vsyscall(walk, _mode(linux, walk))


def _mode(linux: Kernel, walk: Walk) -> Mode:
    where = linux.symbol("vsyscall_mode")
    if where is not None:
        try:
            value = linux.memory.unsigned(where, 4)
            if value < len(_MODES):
                return _MODES[value]
        except Unreadable:
            pass
    if walk.outcome in ("unreadable", "reserved-bit"):
        return Mode.NOT_KNOWN
    if walk.outcome != "mapped" or not walk.user:
        return Mode.NONE_OR_XONLY
    return Mode.NATIVE if walk.exec else Mode.EMULATE
