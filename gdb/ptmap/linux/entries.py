"""What Linux means by an entry of a process: one that maps a page, or one that is not present."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..spaces import kpti
from ..spaces.virtual_memory import Unreadable, VirtualMemory
from . import entry_bits
from .entry_bits import Version
from .kernel import Kernel
from .meaning import Meaning, What
from .not_present import SPECIALS, Configuration, decode, layout_of
from .recognition import find

if TYPE_CHECKING:
    from .._core import Walk
    from ..spaces.address_space import AddressSpace


@dataclass(frozen=True)
class _Known:
    """A Linux that was found: enough to check quickly that it is still there."""

    banner_at: int
    banner: bytes
    version: Version
    user_end: int  # where the processes' part ends


class _Last:
    """Lives as long as the memory is the same."""

    known: _Known | None = None


def has_more(walk: Walk) -> bool:
    """Whether the entry at which a walk ends has bits that may mean something to a Linux: whether
    a search for one is worth it."""
    if walk.outcome == "mapped":
        raw = walk.steps[-1].raw
        return walk.user and any(raw & bit.mask for bit in entry_bits.OF_PAGES)
    return walk.outcome == "not-present" and walk.steps[-1].raw != 0


def explain(space: AddressSpace, walk: Walk) -> Meaning | None:
    """What Linux means by the entry at which a walk ends; None if it adds nothing, or if there is
    no Linux."""
    if not has_more(walk):
        return None
    linux = _linux(space)
    if linux is None or walk.va >= linux.user_end:
        return None
    last = walk.steps[-1]
    if walk.outcome == "not-present":
        return _not_present(space, linux, last.level, last.raw)
    bits = entry_bits.names(entry_bits.OF_PAGES, space.mode, linux.version, last.raw)
    return Meaning(What.PAGE, linux.version, bits=bits) if bits else None


def _not_present(space: AddressSpace, linux: _Known, level: int, raw: int) -> Meaning | None:
    layout = layout_of(space.mode, linux.version)
    if layout is None:
        return Meaning(What.UNKNOWN_LAYOUT, linux.version)
    one = decode(layout, linux.version, level, raw)
    if one is not None and one.what in (What.SPECIAL, What.SWAP_OR_SPECIAL):
        # Only these depend on the configuration, and looking up symbols is slow.
        kernel = find(space)
        known = _configuration(kernel) if kernel else Configuration()
        one = decode(layout, linux.version, level, raw, known)
    return one


def _linux(space: AddressSpace) -> _Known | None:
    """Searched once for each connection; later calls only read the banner again and compare it."""
    place = space.memory.source.place
    if place is not None:  # found by symbols, in this stop
        user_end = space.paging.upper_part if space.paging.canonical else place.page_offset
        return _Known(place.banner_at, place.banner, place.version, user_end)
    last = space.memory.found.of(_Last)
    known, last.known = last.known, None
    if known is None or _banner(space, known.banner_at) != known.banner:
        known = _look(space)
    last.known = known
    return known


def _look(space: AddressSpace) -> _Known | None:
    kernel = find(space)
    if kernel is None:
        return None
    canonical = space.paging.canonical
    user_end = space.paging.upper_part if canonical else kernel.page_offset
    banner_at = kernel.banner_at
    banner = _banner(space, banner_at) if banner_at is not None else None
    if banner_at is None or banner is None or kernel.version is None or user_end is None:
        return None
    return _Known(banner_at, banner, kernel.version, user_end)


def _banner(space: AddressSpace, address: int) -> bytes | None:
    try:
        return VirtualMemory(kpti.kernel_of(space)).string(address, 64)
    except Unreadable:
        return None


def _configuration(kernel: Kernel) -> Configuration:
    """What the kernel's symbols tell of its configuration."""
    if kernel.offset is None:
        return Configuration()
    names = {group.symbol for _, _, groups in SPECIALS for group in groups if group.symbol}
    length = kernel.symbols.elements("swap_info")  # MAX_SWAPFILES, mm/swapfile.c
    return Configuration(length, {name: kernel.symbol(name) is not None for name in names})
