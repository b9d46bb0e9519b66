"""The naive walker: every leaf of an x86 page table, from the Intel SDM alone.

Written from volume 3A, chapter 4, to judge ptmap; it shares nothing with ptmap's core and wants to
be read beside the manual. One plain descent, no caching, no cleverness.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Callable, Iterator, NamedTuple

Read = Callable[[int, int], "bytes | None"]  # physical address, length; None outside RAM

CR4_PSE, CR4_PAE, CR4_PGE, CR4_LA57 = 1 << 4, 1 << 5, 1 << 7, 1 << 12
EFER_LMA, EFER_NXE = 1 << 10, 1 << 11

P, RW, US, PWT, PCD, PS, G, XD = 1, 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 7, 1 << 8, 1 << 63


class Page(NamedTuple):
    va: int
    pa: int
    size: int
    user: bool  # US, RW: set at every level
    write: bool
    exec: bool  # XD at no level
    glob: bool  # the leaf's G, where CR4.PGE is on
    slot: int  # index into the PAT, 0..7
    entry: int  # the leaf, raw


class Fault(NamedTuple):
    """An unreadable table (level: the table's) or a malformed entry (level: the entry's)."""

    va: int
    size: int
    level: int
    table: int


class Note(NamedTuple):
    """A present PDPTE of PAE with reserved bits: MOV to CR3 refuses it, a walk does not."""

    va: int
    bits: int


@dataclass
class Walk:
    mode: str
    root: int
    pages: list[Page] = field(default_factory=list)
    # Address and length of every table that could be read; PAE's first table has 32 bytes.
    tables: set[tuple[int, int]] = field(default_factory=set)
    unreadable: list[Fault] = field(default_factory=list)
    malformed: list[Fault] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


def bits(high: int, low: int) -> int:
    """The mask of bits high:low, as the SDM writes it; empty when high < low."""
    return (1 << (high + 1)) - (1 << low) if high >= low else 0


def mode_of(cr4: int, efer: int) -> str:
    """Section 4.1.1, Figure 4-1; CR0.PG is taken to be set."""
    if not cr4 & CR4_PAE:
        return "32-bit"
    if not efer & EFER_LMA:
        return "pae"
    return "5-level" if cr4 & CR4_LA57 else "4-level"


def walk(read: Read, cr3: int, cr4: int, efer: int, maxphyaddr: int = 52) -> Walk:
    mode = mode_of(cr4, efer)
    # Tables 4-3, 4-7, 4-12: where CR3 locates the first table.
    root = cr3 & {"32-bit": bits(31, 12), "pae": bits(31, 5)}.get(mode, bits(51, 12))
    top = {"32-bit": 2, "pae": 3, "4-level": 4, "5-level": 5}[mode]
    nxe = bool(efer & EFER_NXE) and mode != "32-bit"
    result = Walk(mode, root)

    def reserved(level: int, leaf: bool) -> int:
        """Bits of a present entry that must be 0 (Tables 4-4 to 4-6, 4-8 to 4-11, 4-14 to 4-20)."""
        if mode == "32-bit":  # only a 4-MByte page has any: bits 21:(M-19), M = min(40, MAXPHYADDR)
            return bits(21, min(40, maxphyaddr) - 19) if leaf and level == 2 else 0
        must_be_0 = bits(62 if mode == "pae" else 51, maxphyaddr) | (0 if nxe else XD)
        if level >= 4:
            must_be_0 |= PS
        if leaf and level == 2:
            must_be_0 |= bits(20, 13)
        if leaf and level == 3:
            must_be_0 |= bits(29, 13)
        return must_be_0

    def address(entry: int, level: int, leaf: bool) -> int:
        if not leaf or level == 1:
            return entry & bits(31 if mode == "32-bit" else 51, 12)
        if mode == "32-bit":  # Table 4-4: bits 20:13 hold address bits 39:32
            return entry & bits(31, 22) | (entry & bits(20, 13)) << 19
        return entry & (bits(51, 21) if level == 2 else bits(51, 30))

    def descend(table: int, level: int, va: int, user: bool, write: bool, no_exec: bool) -> None:
        width, count, shift = (
            (4, 1024, 12 + 10 * (level - 1))
            if mode == "32-bit"
            else (8, 4 if (mode, level) == ("pae", 3) else 512, 12 + 9 * (level - 1))
        )
        data = read(table, width * count)
        if data is None:
            result.unreadable.append(Fault(canonical(va, mode), count << shift, level, table))
            return
        result.tables.add((table, width * count))
        for index, entry in enumerate(struct.unpack(f"<{count}{'I' if width == 4 else 'Q'}", data)):
            if not entry & P:
                continue
            here = va + (index << shift)
            if (mode, level) == ("pae", 3):  # Section 4.4.1: no rights, checked by MOV to CR3 only
                if wrong := entry & (bits(2, 1) | bits(8, 5) | bits(63, maxphyaddr)):
                    result.notes.append(Note(here, wrong))
                # Section 4.4, footnote 1: "bits in the range 51:MAXPHYADDR will be 0 in any
                # physical address used by PAE paging". All other entries fault on them.
                descend(entry & bits(maxphyaddr - 1, 12), 2, here, user, write, no_exec)
                continue
            leaf = (
                level == 1
                or bool(entry & PS)
                and (level == 2 and (mode != "32-bit" or bool(cr4 & CR4_PSE)) or level == 3)
            )
            if entry & reserved(level, leaf):
                result.malformed.append(Fault(canonical(here, mode), 1 << shift, level, table))
                continue
            us, rw = user and bool(entry & US), write and bool(entry & RW)
            xd = no_exec or nxe and bool(entry & XD)
            if not leaf:
                descend(address(entry, level, False), level - 1, here, us, rw, xd)
                continue
            # Section 4.9.2: the PAT's bit is 7 in a PTE, 12 in an entry that maps a larger page.
            pat = entry >> (7 if level == 1 else 12) & 1
            slot = pat << 2 | (entry >> 4 & 1) << 1 | entry >> 3 & 1
            result.pages.append(
                Page(
                    canonical(here, mode),
                    address(entry, level, True),
                    1 << shift,
                    us,
                    rw,
                    not xd,
                    bool(entry & G and cr4 & CR4_PGE),
                    slot,
                    entry,
                )
            )

    descend(root, top, 0, True, True, False)
    return result


def canonical(va: int, mode: str) -> int:
    """Bits above the linear address's width copy its highest bit (SDM vol. 1, 3.3.7.1)."""
    width = {"4-level": 48, "5-level": 57}.get(mode)
    return va | bits(63, width) if width and va >> (width - 1) & 1 else va


def steps(
    read: Read, va: int, cr3: int, cr4: int, efer: int, maxphyaddr: int = 52
) -> Iterator[tuple[int, int, int]]:
    """The entries one address goes through: (level, entry's physical address, entry), while they
    are readable, present and lead on. Says nothing of reserved bits."""
    mode = mode_of(cr4, efer)
    level = {"32-bit": 2, "pae": 3, "4-level": 4, "5-level": 5}[mode]
    table = cr3 & {"32-bit": bits(31, 12), "pae": bits(31, 5)}.get(mode, bits(51, 12))
    width, step = (4, 10) if mode == "32-bit" else (8, 9)
    while level:
        index = va >> (12 + step * (level - 1)) & ((1 << step) - 1)
        if (mode, level) == ("pae", 3):
            index &= 3
        where = table + index * width
        data = read(where, width)
        if data is None:
            return
        entry = int.from_bytes(data, "little")
        yield level, where, entry
        ends = entry & PS and (
            level == 2 and (mode != "32-bit" or cr4 & CR4_PSE) or level == 3 and mode != "pae"
        )
        if not entry & P or ends:
            return
        top = {"32-bit": 31, "pae": maxphyaddr - 1}.get(mode, 51)
        table = entry & bits(top, 12)
        level -= 1
