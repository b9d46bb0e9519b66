"""Whether a space belongs to a Linux."""

from __future__ import annotations

from ..spaces import kpti, scanned
from ..spaces.address_space import AddressSpace
from . import shape
from .kernel import Kernel
from .symbol_kernel import SymbolKernel


class _Look:
    """What a space's tables showed."""

    is_done = False
    seen: tuple[shape.Image, shape.UpperPart] | None = None


def find(space: AddressSpace) -> Kernel | None:
    """The Linux that a space belongs to; None if it is not recognised as one."""
    if space.paging_is_off:
        return None
    place = space.memory.source.place
    if place is not None:
        return SymbolKernel(space, place)
    tables = scanned.of_kernel(space)
    look = tables.memo.of(_Look)
    if not look.is_done:  # kept, because many parts of a command ask this
        look.seen, look.is_done = shape.look(kpti.kernel_of(space), tables), True
    return Kernel(kpti.kernel_of(space), *look.seen) if look.seen is not None else None
