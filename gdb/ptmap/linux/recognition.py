"""Whether a space belongs to a Linux."""

from __future__ import annotations

from ..base.interval import Interval
from ..spaces import kpti, scanned
from ..spaces.address_space import AddressSpace
from ..spaces.scanned import Scanned
from . import shape
from .kernel import Kernel
from .place import kaslr_offset, through_tables
from .symbol_kernel import SymbolKernel


class _Look:
    """What a space's tables showed."""

    is_done = False
    seen: tuple[shape.Image, shape.UpperPart] | None = None


def _early(space: AddressSpace, tables: Scanned) -> tuple[shape.Image, shape.UpperPart] | None:
    """Before it has a cpu_entry_area a kernel is known by its linux_banner only, if the symbols are
    loaded; KASLR may have moved it."""
    symbols = space.reader.symbols
    linked, text = symbols.link_address("linux_banner"), symbols.link_address("_text")
    end = symbols.link_address("_end")
    if linked is None or text is None or end is None:
        return None
    found = kaslr_offset(through_tables(space), None, text, end, linked)
    if found is None:
        return None
    offset, _ = found
    image = shape.Image(Interval.until(text + offset, end + offset), None, None, is_one=True)
    return image, shape.upper_part(space, tables)


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
        kernels = kpti.kernel_of(space)
        look.seen = shape.look(kernels, tables) or _early(kernels, tables)
        look.is_done = True
    return Kernel(kpti.kernel_of(space), *look.seen) if look.seen is not None else None
