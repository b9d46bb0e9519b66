"""Whether a space belongs to a Linux."""

from __future__ import annotations

from ..spaces import scanned
from ..spaces.address_space import AddressSpace
from . import shape
from .kernel import Kernel
from .symbol_kernel import SymbolKernel

_SEEN = "Linux"


def find(space: AddressSpace) -> Kernel | None:
    """The Linux that a space belongs to; None if it is not recognised as one."""
    if space.paging_is_off:
        return None
    place = space.memory.source.place
    if place is not None:
        return SymbolKernel(space, place)
    tables = scanned.of_kernel(space)
    if _SEEN not in tables.memo:  # kept, because many parts of a command ask this
        tables.memo[_SEEN] = shape.look(space.kernel, tables)
    seen = tables.memo[_SEEN]
    return Kernel(space.kernel, *seen) if seen is not None else None
