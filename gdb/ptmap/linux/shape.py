"""Recognises a Linux by its tables, without symbols.

It has two marks. One is the cpu_entry_area (Linux 4.15 and later): its first page, the IDT, is
read-only; it is at a documented address (64-bit), or begins a page directory entry near the top
(32-bit). The other is an executable kernel image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Sequence

from ..base.interval import Interval
from ..spaces import walks
from ..spaces.address_space import AddressSpace
from ..spaces.maps import pa
from ..spaces.scanned import Scanned

if TYPE_CHECKING:
    from .._core import Range

MIB, GIB = 1 << 20, 1 << 30

# Documentation/x86/x86_64/mm.rst
IMAGE_64 = 0xFFFFFFFF80000000
IMAGE_64_END = 0xFFFFFFFFC0000000  # where the largest image, 1 GiB, ends
CPU_ENTRY_AREA_64 = 0xFFFFFE0000000000

# The kernel frees parts of its data after boot: holes of a few MiB. Modules begin far behind.
_FREED = 32 * MIB

# Limits for looking at the kernel's part: a space that has more is not a Linux's.
_MAX_TABLES, _MAX_RANGES = 1 << 16, 1 << 18


@dataclass(frozen=True)
class Image:
    """The kernel's sections as the tables show them; None if the tables do not show a part."""

    text: Interval
    rodata: Interval | None
    data: Interval | None
    is_one: bool = False  # `text` is all of it: mark_rodata_ro() has not told the parts apart yet


class UpperPart(NamedTuple):
    """The kernel's part of a space."""

    ranges: Sequence[Range]  # each with contiguous frames
    cut: bool  # there are more ranges than these; on 64-bit, below the cpu_entry_area
    unread: bool  # not all tables could be read


def look(space: AddressSpace, scanned: Scanned) -> tuple[Image, UpperPart] | None:
    """The image and the kernel's part of a kernel root; None if it does not look like Linux."""
    if not space.paging.canonical:
        upper = upper_part(space, scanned)
        image = None if upper.cut else _image_32(upper.ranges)
        return (image, upper) if image is not None else None
    # The upper part of another system may be endless, so it is not scanned before the IDT is seen.
    if not _has_idt(space):
        return None
    top = _top(space, scanned)
    image = None if top.cut else _image_64(top.ranges)
    return (image, _with_areas(space, scanned, top)) if image is not None else None


def _has_idt(space: AddressSpace) -> bool:
    """64-bit: whether a 4 KiB read-only supervisor page is where Linux has its IDT."""
    walk = walks.walk(space, CPU_ENTRY_AREA_64)
    return walk.outcome == "mapped" and walk.page_size == 0x1000 and not (walk.user or walk.write)


def upper_part(space: AddressSpace, scanned: Scanned) -> UpperPart:
    if not space.paging.canonical:
        return _ranges(scanned, GIB, space.paging.last_offset)
    return _with_areas(space, scanned, _top(space, scanned))


def _top(space: AddressSpace, scanned: Scanned) -> UpperPart:
    """64-bit: the cpu_entry_area and all above it, which tell whether this is Linux."""
    first = space.paging.offset_of(CPU_ENTRY_AREA_64)
    return _ranges(scanned, first, space.paging.last_offset)


def _with_areas(space: AddressSpace, scanned: Scanned, top: UpperPart) -> UpperPart:
    """64-bit: TOP with the areas below it."""
    end = space.paging.offset_of(CPU_ENTRY_AREA_64)
    below = _ranges(scanned, space.paging.upper_part, end - 1)
    return UpperPart([*below.ranges, *top.ranges], below.cut, below.unread or top.unread)


def _ranges(scanned: Scanned, first: int, last: int) -> UpperPart:
    """The supervisor's ranges between two offsets."""
    made = scanned.contiguous(first, last, _MAX_TABLES, _MAX_RANGES)
    ranges = [r for r in made if not r.user]
    return UpperPart(ranges, made.truncated, bool(made.unreadable))


def _image_64(ranges: Sequence[Range]) -> Image | None:
    idt = [r for r in ranges if r.va == CPU_ENTRY_AREA_64 and not r.write and r.page_sizes == 1]
    image = [r for r in ranges if IMAGE_64 <= r.va < IMAGE_64_END]
    executable = [r for r in image if r.exec]
    text = _first_run(executable)
    if not idt or text is None:
        return None
    if executable[0].write:
        return Image(_first_run(executable, hole=_FREED) or text, None, None, is_one=True)
    # Text, rodata and data each begin a page directory entry (arch/x86/kernel/vmlinux.lds.S). What
    # is between them was freed after boot: a module may have it, read-only too.
    rodata = _run_at(_next_entry(text.end), [r for r in image if not r.exec and not r.write])
    after = _next_entry(rodata.end if rodata else text.end)
    data = _first_run([r for r in image if r.va + r.size > after], hole=_FREED)
    return Image(text, rodata, Interval(max(data.first, after), data.last) if data else None)


def _next_entry(address: int) -> int:
    """The first address that begins a page directory entry, from this one on."""
    return -(-address // (2 * MIB)) * 2 * MIB


def _run_at(address: int, ranges: Sequence[Range]) -> Interval | None:
    """From an address to the first hole behind it; None if it is in none of the ranges."""
    for run in _runs(ranges, hole=0):
        if run.first <= address <= run.last:
            return Interval(address, run.last)
    return None


def page_offset_32(ranges: Sequence[Range]) -> int | None:
    """Where lowmem begins: it maps physical 0 at a multiple of 16 MiB."""
    for r in ranges:
        if r.pa == 0 and r.va % (16 * MIB) == 0:
            return r.va
    return None


def lowmem_32(ranges: Sequence[Range]) -> list[Range]:
    """The ranges that map physical memory, from 0 on, at its address plus page_offset_32()."""
    base = page_offset_32(ranges)
    if base is None:
        return []
    lowmem = []
    for r in ranges:
        if r.va < base:
            continue
        if r.va - pa(r) != base:
            break
        lowmem.append(r)
    return lowmem


def cpu_entry_area_32(ranges: Sequence[Range], pde_span: int) -> int | None:
    """Its address: its first page, the IDT, is read-only and begins a page table near the top."""
    found = [
        r.va
        for r in ranges
        if r.va >= (1 << 32) - 256 * MIB
        and r.va % pde_span == 0
        and not r.write
        and r.page_sizes == 1
        and r.size == 0x1000
    ]
    return int(found[-1]) if found else None


def _image_32(ranges: Sequence[Range]) -> Image | None:
    lowmem = lowmem_32(ranges)
    if not lowmem or not any(cpu_entry_area_32(ranges, span) for span in (2 * MIB, 4 * MIB)):
        return None
    # Not the first MiB: the BIOS and the real-mode trampoline are there.
    fixed = [r for r in lowmem if not r.write and r.va >= lowmem[0].va + MIB]
    texts = _runs([r for r in fixed if r.exec], hole=0)
    text = max(texts, key=lambda run: run.size, default=None)
    if text is None:
        return None
    rodata = _first_run([r for r in fixed if not r.exec and r.va >= text.end], hole=0)
    if rodata and rodata.first != text.end:
        rodata = None
    return Image(text, rodata, None)


def _runs(ranges: Sequence[Range], hole: int = 2 * MIB) -> list[Interval]:
    """Runs of ranges that lie at most `hole` bytes apart."""
    runs: list[Interval] = []
    for r in ranges:
        first = r.va
        if runs and first - runs[-1].end <= hole:
            first = runs.pop().first
        runs.append(Interval.until(first, r.va + r.size))
    return runs


def _first_run(ranges: Sequence[Range], hole: int = 2 * MIB) -> Interval | None:
    return next(iter(_runs(ranges, hole)), None)
