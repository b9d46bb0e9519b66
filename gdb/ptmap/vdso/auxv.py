"""The auxiliary vector, which exec puts on a process's stack (native/elf/auxv.h)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base import native
from ..linux import user_stack
from ..linux.kernel import Kernel
from ..spaces.address_space import AddressSpace
from ..spaces.virtual_memory import VirtualMemory

if TYPE_CHECKING:
    from .._core import Auxv


def find(space: AddressSpace, linux: Kernel) -> Auxv | None:
    """The vector of a space's process; None if it is not found."""
    stack = user_stack.of_linux(space, linux)
    if stack is None:
        return None
    with VirtualMemory(space).reading() as memory:
        return native.core.find_auxv(memory, stack.first, stack.end, wide=space.paging.canonical)
