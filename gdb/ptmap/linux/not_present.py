"""What Linux keeps in an entry with P=0 that is not zero. The processor ignores such an entry.

PROT_NONE and swap entries of the user's part, by these files of Linux:

    arch/x86/include/asm/pgtable_64.h, pgtable-3level.h (PAE), pgtable-2level.h: the bits
    arch/x86/include/asm/pgtable-invert.h: frames and offsets are stored inverted
    include/linux/swap.h, swapops.h: the highest swap types are not swap areas but kinds of
        special entries; which ones exist depends on the version and the configuration

The source is Linux 6.1, and the changes to these files from 4.19 to 7.3. 4.19 is the first version
that has all of the inversion, which came as a defence against L1TF. Entries of other versions are
not decoded.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Iterator, Mapping, NamedTuple, Sequence

from .entry_bits import FIRST, LAST, NARROW, WIDE, Bit, Version, names
from .meaning import Meaning, What

_PSE, _PROTNONE = 1 << 7, 1 << 8  # _PAGE_PROTNONE is the bit of G, asm/pgtable_types.h


@dataclass(frozen=True)
class Layout:
    """Which bits of a non-present entry hold what, in one paging mode."""

    mode: str
    first: Version
    last: Version
    inverted: bool  # whether the frame of PROT_NONE and a swap entry's offset are stored inverted
    type_shift: int
    offset_shift: int
    offset_bits: int
    pfn_bits: int  # if the offset holds a frame: its bits, SWP_PFN_BITS; above them are A and D
    leaves: Mapping[int, int]  # level: bytes that a leaf maps


_TYPE_MASK = 0x1F  # SWP_TYPE_BITS is 5 in all of them
_ENTRY_ADDRESS = (1 << 52) - 1  # __PHYSICAL_MASK
_4K, _2M, _4M, _1G = 1 << 12, 1 << 21, 1 << 22, 1 << 30

LAYOUTS = (
    #      mode       first   last  inverted type offset bits pfn bits (MAX_PHYSMEM_BITS - 12)
    Layout("4-level", FIRST, LAST, True, 59, 9, 50, 46 - 12, {1: _4K, 2: _2M, 3: _1G}),
    Layout("5-level", FIRST, LAST, True, 59, 9, 50, 52 - 12, {1: _4K, 2: _2M, 3: _1G}),
    Layout("pae", FIRST, LAST, True, 59, 9, 50, 36 - 12, {1: _4K, 2: _2M}),
    Layout("32-bit", FIRST, LAST, False, 1, 9, 23, 32 - 12, {1: _4K, 2: _4M}),
)


class Kind(NamedTuple):
    """What a swap type is."""

    what: What
    access: str = ""  # of Meaning


class Group(NamedTuple):
    """Special swap types that a kernel has all or not at all."""

    kinds: tuple[Kind, ...]
    always: bool = False
    symbol: str = ""  # a function that a kernel has if and only if it has the group


def _kinds(what: What, *accesses: str) -> tuple[Kind, ...]:
    return tuple(Kind(what, access) for access in accesses)


_HWPOISON = Group((Kind(What.HWPOISON),), symbol="memory_failure")  # CONFIG_MEMORY_FAILURE
_MIGRATION_2 = Group(_kinds(What.MIGRATION, "read", "write"), symbol="migrate_pages")
_MIGRATION_3 = Group(
    _kinds(What.MIGRATION, "read", "read-exclusive", "write"), symbol="migrate_pages"
)
_DEVICE_2 = Group(_kinds(What.DEVICE_PRIVATE, "write", "read"))  # CONFIG_DEVICE_PRIVATE
_DEVICE_3 = Group((*_DEVICE_2.kinds, Kind(What.DEVICE_EXCLUSIVE)))
_DEVICE_4 = Group((*_DEVICE_2.kinds, *_kinds(What.DEVICE_EXCLUSIVE, "write", "read")))
_MARKER = Group((Kind(What.MARKER),))

# First and last version, and the groups from MAX_SWAPFILES up to type 31.
SPECIALS: tuple[tuple[Version, Version, tuple[Group, ...]], ...] = (
    ((4, 19), (5, 13), (_HWPOISON, _MIGRATION_2, _DEVICE_2)),
    ((5, 14), (5, 18), (_HWPOISON, _MIGRATION_2, _DEVICE_4)),
    ((5, 19), (6, 1),
     (_HWPOISON, _MIGRATION_3, _DEVICE_4, _MARKER, Group((Kind(What.SWAPIN_ERROR),), always=True))),
    ((6, 2), (6, 14), (_HWPOISON, _MIGRATION_3, _DEVICE_4, _MARKER._replace(always=True))),
    ((6, 15), LAST, (_HWPOISON, _MIGRATION_3, _DEVICE_3, _MARKER._replace(always=True))),
)  # fmt: skip
_TYPES = 1 << 5  # 1 << MAX_SWAPFILES_SHIFT
_WITH_FRAME = (What.HWPOISON, What.MIGRATION, What.DEVICE_PRIVATE, What.DEVICE_EXCLUSIVE)


# Of a marker's offset: PTE_MARKER_*, swapops.h.
MARKERS = (
    Bit(1 << 0, "uffd-wp", (5, 19)),
    Bit(1 << 1, "poisoned", (6, 2), modes=(*WIDE, *NARROW)),
    Bit(1 << 2, "guard", (6, 13), modes=(*WIDE, *NARROW)),  # MADV_GUARD_INSTALL
)
# Beside a swap type and its offset: _PAGE_SWP_*, pgtable_types.h and the modes' own files.
SWAP_FLAGS = (
    Bit(1 << 1, "soft-dirty", FIRST),
    Bit(1 << 2, "uffd-wp", (5, 7)),
    Bit(1 << 3, "exclusive", (5, 19)),  # anonymous and of this process only
    Bit(1 << 7, "exclusive", (6, 3), modes=NARROW),
)


@dataclass(frozen=True)
class Configuration:
    """What the symbols tell: MAX_SWAPFILES and the groups; None if not known."""

    max_swapfiles: int | None = None
    symbols: Mapping[str, bool] | None = None  # of Group.symbol


def layout_of(mode: str, version: Version) -> Layout | None:
    """None if nobody has read this version's headers."""
    for layout in LAYOUTS:
        if layout.mode == mode and layout.first <= version <= layout.last:
            return layout
    return None


_AREA = Kind(What.SWAP)  # where pages are swapped out to


def special(version: Version, number: int, known: Configuration = Configuration()) -> Kind:
    """What a swap type is: SWAP (an area) or a special kind; if that is not known, SPECIAL or
    SWAP_OR_SPECIAL."""
    meanings = {types.get(number, _AREA) for types in _possible(version, known)}
    if len(meanings) == 1:
        return meanings.pop()
    return Kind(What.SWAP_OR_SPECIAL if _AREA in meanings or not meanings else What.SPECIAL)


def _possible(version: Version, known: Configuration) -> Iterator[dict[int, Kind]]:
    """Special types by number, for every configuration that agrees with what is known."""
    for first, last, groups in SPECIALS:
        if not first <= version <= last:
            continue
        for choice in product(*(_choices(group, known) for group in groups)):
            kinds = [kind for group, there in zip(groups, choice) if there for kind in group.kinds]
            lowest = _TYPES - len(kinds)
            if known.max_swapfiles in (None, lowest):
                yield dict(enumerate(kinds, lowest))


def _choices(group: Group, known: Configuration) -> Sequence[bool]:
    if group.always:
        return (True,)
    if known.symbols is not None and group.symbol in known.symbols:
        return (known.symbols[group.symbol],)
    return (False, True)


def decode(
    layout: Layout, version: Version, level: int, raw: int, known: Configuration = Configuration()
) -> Meaning | None:
    """A non-present entry; None for zero, and for a level without leaves."""
    size = layout.leaves.get(level)
    if raw == 0 or raw & 1 or size is None:
        return None
    frame = (raw ^ (_ENTRY_ADDRESS if layout.inverted else 0)) & _ENTRY_ADDRESS & -size
    if raw & _PROTNONE:
        return Meaning(What.PROT_NONE, version, pa=frame)
    if level > 1 and raw & _PSE:
        return Meaning(What.INVALIDATED, version, pa=frame)  # pmd_mkinvalid(), asm/pgtable.h
    if layout.inverted and level == 1 and raw & _PSE and version < (6, 3):
        return Meaning(What.UNKNOWN, version)  # bit 7 is 0 in all that these versions store
    number = raw >> layout.type_shift & _TYPE_MASK
    offset = raw >> layout.offset_shift & (1 << layout.offset_bits) - 1
    if layout.inverted:
        offset ^= (1 << layout.offset_bits) - 1
    what, access = special(version, number, known)
    if level > 1 and what is What.SWAP:
        return Meaning(What.UNKNOWN, version)  # large pages are not swapped out whole
    is_marker = what is What.MARKER
    return Meaning(
        what,
        version,
        pa=(offset & (1 << layout.pfn_bits) - 1) << 12 if what in _WITH_FRAME else None,
        type=number,
        offset=offset,
        access=access,
        markers=names(MARKERS, layout.mode, version, offset) if is_marker else (),
        flags=names(SWAP_FLAGS, layout.mode, version, raw) if not is_marker else (),
    )
