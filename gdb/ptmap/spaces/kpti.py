"""The two roots of a process under kernel page-table isolation.

The tables tell whether a root is one of such a pair: native/space/kpti.h says how.
"""

from __future__ import annotations

from ..base import native
from .address_space import AddressSpace
from .registers import Roots


def roots(space: AddressSpace) -> Roots | None:
    """The pair that a space's root belongs to, None without KPTI. A command reads them once."""
    if space.pair is not None or space.paging_is_off:
        return space.pair
    known = space.reader.scans.pairs
    if space.key not in known:
        known[space.key] = _read(space)
    return known[space.key]


def _read(space: AddressSpace) -> Roots | None:
    memory = space.memory
    place = memory.source.place
    if place is not None and place.pti is False:
        return None  # the kernel says so itself
    with memory.reading():
        found = native.core.kpti_roots(space.paging, space.root, memory.core)
    return Roots(*found) if found else None


def half(space: AddressSpace) -> str | None:
    """Which of KPTI's roots the space's root is: "user" or "kernel"; None without KPTI."""
    pair = roots(space)
    if pair is None:
        return None
    return "user" if space.root == pair.user else "kernel"


def kernel_of(space: AddressSpace) -> AddressSpace:
    """The space that has the kernel mapped: this one, or under KPTI the kernel root's."""
    pair = roots(space)
    return space if pair is None else space.below(pair.kernel, pair=pair)
