"""Bits of an entry that the processor ignores and Linux uses, by version.

arch/x86/include/asm/pgtable_types.h, of Linux 6.1, 6.12, 7.2 and 7.3, and the changes to it from
4.19 on. Which bits a kernel uses depends on its configuration, too; one that it does not use is 0.
"""

from __future__ import annotations

from typing import NamedTuple, Sequence

Version = tuple[int, int]

# The versions whose headers were read.
FIRST: Version = (4, 19)
LAST: Version = (7, 3)
WIDE, NARROW = ("4-level", "5-level"), ("pae", "32-bit")


class Bit(NamedTuple):
    """A bit, or bits, with a meaning in some versions and paging modes."""

    mask: int
    name: str
    first: Version = FIRST
    last: Version = LAST
    modes: tuple[str, ...] = WIDE


# Of an entry that maps a page of a process.
OF_PAGES = (
    Bit(1 << 9, "special", modes=(*WIDE, *NARROW)),  # no struct page: a device's, vvar
    Bit(1 << 10, "uffd-wp", (5, 7)),
    Bit(1 << 10, "saved-dirty", (6, 6), modes=NARROW),
    Bit(1 << 11, "soft-dirty"),
    Bit(1 << 57, "devmap", (6, 6), (6, 16)),
    Bit(1 << 58, "devmap", FIRST, (6, 5)),
    Bit(1 << 58, "saved-dirty", (6, 6)),
)


def names(bits: Sequence[Bit], mode: str, version: Version, value: int) -> tuple[str, ...]:
    """Of those of the bits that are set in a value and mean something in this mode and version."""
    return tuple(
        bit.name
        for bit in bits
        if value & bit.mask and mode in bit.modes and bit.first <= version <= bit.last
    )
