"""QEMU's own page-table walkers as judges: what the monitor prints, parsed into plain data.

The walkers' defects are named here (DEFECTS); a comparison may except a page only by one of them.
Seen in QEMU 7.2, target/i386/monitor.c.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import Callable, NamedTuple

DEFECTS = {
    "pa-bits-50-51": "info tlb and info mem drop bits 50 and 51 of every physical address",
    "pdpte-bits": "QEMU takes a PAE PDPTE's reserved bits from MAXPHYADDR up for address bits",
    "no-pse36": "info tlb drops the bits above 31 of a PSE-36 page's address",
    "reserved-ignored": "no walker of QEMU's monitor looks at reserved bits",
    "tables-in-mmio": "the walkers read tables from device memory as if it were RAM",
    "mem-5-level": "info mem takes absent 5-level PDPTEs for tables, and present ones for absent",
    "gva2gpa-lam": "gva2gpa takes CR3's LAM bits for part of a 5-level root's address",
}

NX = 1 << 63
TLB_ADDRESS_BITS = (1 << 50) - 1
# The letters of an info tlb line, left to right, as the bits of the entry.
_TLB_LETTERS = (NX, 1 << 8, 1 << 7, 1 << 6, 1 << 5, 1 << 4, 1 << 3, 1 << 2, 1 << 1)


class TlbPage(NamedTuple):
    """A leaf as info tlb shows it: rights are the leaf's own; the present bit is not in `bits`."""

    va: int
    pa: int
    size: int
    bits: int  # XD, G, PS, D, A, PCD, PWT, US, RW where an entry has them


class MemRange(NamedTuple):
    """A range of info mem: rights over all levels, and all that is present can be read."""

    va: int
    size: int
    user: bool
    write: bool


class MemoryRegion(NamedTuple):
    start: int
    size: int
    kind: str  # "ram", "rom", "romd", "i/o", ...
    name: str
    offset: int  # in the region of that name


def va_bits(mode: str) -> int:
    return {"32-bit": 32, "pae": 32, "4-level": 48, "5-level": 57}[mode]


def canonical(va: int, mode: str) -> int:
    """Sign-extend a linear index of the mode's width (SDM vol. 1, 3.3.7.1)."""
    bits = va_bits(mode)
    va &= (1 << bits) - 1
    return va | (-1 << bits & (1 << 64) - 1) if bits > 32 and va >> (bits - 1) else va


def parse_info_mem(text: str, mode: str) -> list[MemRange]:
    """Lines "START-END SIZE urw"; a range is cut where it runs across the canonical hole."""
    bits = va_bits(mode)
    ranges = []
    for line in text.splitlines():
        where, size_text, rights = line.split()
        start = int(where.partition("-")[0], 16) & (1 << bits) - 1
        end = start + int(size_text, 16)
        user, write = rights[0] == "u", rights[2] == "w"
        half = 1 << (bits - 1)
        cuts = [start, half, end] if bits > 32 and start < half < end else [start, end]
        for low, high in zip(cuts, cuts[1:]):
            ranges.append(MemRange(canonical(low, mode), high - low, user, write))
    return ranges


def parse_info_tlb(text: str, mode: str, is_mapped: Callable[[int], bool]) -> list[TlbPage]:
    """Lines "VA: PA XGPDACTUW".

    A large page does not say whether it is 2 MiB or 1 GiB. Where the address and the following
    line allow both, the next 2 MiB are asked for: is_mapped(va), by info mem or gva2gpa.
    """
    large = {"32-bit": 4 << 20, "pae": 2 << 20, "4-level": 2 << 20, "5-level": 2 << 20}[mode]
    letters: dict[str, int] = {}
    pages: list[TlbPage] = []
    candidates: list[int] = []  # where 1 GiB is possible
    huge = 1 << 30
    gigabytes = mode in ("4-level", "5-level")
    for line in text.splitlines():
        if line[16:18] != ": " or len(line) != 44:
            raise ValueError(f"not a line of info tlb: {line!r}")
        va, pa, shown = int(line[:16], 16), int(line[18:34], 16), line[35:]
        bits = letters.get(shown)
        if bits is None:
            bits = letters[shown] = sum(b for b, c in zip(_TLB_LETTERS, shown) if c != "-")
        if mode == "pae":
            pa &= ~NX  # the XD bit, not masked out of the address
        if candidates and candidates[-1] == len(pages) - 1 and va < pages[-1].va + huge:
            candidates.pop()
        size = large if bits & 1 << 7 else 4096
        if gigabytes and size == large and not (va | pa) & (huge - 1):
            candidates.append(len(pages))
        pages.append(TlbPage(va, pa, size, bits))
    for index in candidates:
        page = pages[index]
        if is_mapped(page.va + large):
            pages[index] = page._replace(size=huge)
    return pages


def mapped_in(ranges: list[MemRange]) -> Callable[[int], bool]:
    """is_mapped for parse_info_tlb, answered by info mem."""
    starts = [r.va for r in ranges]

    def is_mapped(va: int) -> bool:
        at = bisect_right(starts, va) - 1
        return at >= 0 and va < ranges[at].va + ranges[at].size

    return is_mapped


def parse_gva2gpa(text: str) -> int | None:
    """None is "Unmapped". The 4 KiB page's offset is kept."""
    if text.strip() == "Unmapped":
        return None
    return int(text.removeprefix("gpa:"), 16)


def mapped_by_gva2gpa(hmp: Callable[[str], str]) -> Callable[[int], bool]:
    """is_mapped for parse_info_tlb, answered by gva2gpa: where info mem does not answer."""
    return lambda va: parse_gva2gpa(hmp(f"gva2gpa {va:#x}")) is not None


_REGION = re.compile(
    r"  ([0-9a-f]{16})-([0-9a-f]{16}) \(prio -?\d+, ([^)]+)\): "
    r"(.*?)(?: @([0-9a-f]{16}))?(?: KVM)?$"
)


def parse_mtree(text: str) -> list[MemoryRegion]:
    """The regions of `info mtree -f` as CPU 0 sees them, in address order."""
    for view in re.split(r"^FlatView #\d+$", text, flags=re.M):
        if re.search(r'^ AS "(memory|cpu-memory-0)",', view, flags=re.M):
            found = [m.groups() for m in map(_REGION.match, view.splitlines()) if m]
            return [
                MemoryRegion(
                    int(start, 16),
                    int(end, 16) - int(start, 16) + 1,
                    kind,
                    name,
                    int(offset or "0", 16),
                )
                for start, end, kind, name, offset in found
            ]
    raise ValueError("no FlatView of the memory in info mtree -f")
