"""Is the target Linux, where did KASLR put it, and what do its symbols say?

Recognised by the shape of its tables, so that no symbols are needed: the cpu_entry_area (Linux 4.15
and later), whose first page, the IDT, is read-only at a documented address (64-bit) or at the
beginning of a page directory entry near the top (32-bit); and an executable kernel image. With the
kernel's own symbols loaded, at the right place or not, their linux_banner decides.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Iterator, NamedTuple, Sequence

import gdb

from .. import kpti, native
from ..text import printable
from ..virtual_memory import Unreadable, VirtualMemory

if TYPE_CHECKING:
    from ..address_space import AddressSpace
    from .place import Place

MIB, GIB = 1 << 20, 1 << 30

# Documentation/x86/x86_64/mm.rst
IMAGE_64 = 0xFFFFFFFF80000000
IMAGE_64_END = 0xFFFFFFFFC0000000  # of the largest, 1 GiB
CPU_ENTRY_AREA_64 = 0xFFFFFE0000000000

# Of one look at the kernel's part; a space that has more is none of Linux's, or says nothing.
_MAX_TABLES, _MAX_RANGES = 1 << 16, 1 << 18
_BANNER = b"Linux version "
_SEARCHED = 64 * MIB  # of the image, for the banner
_STEP = 64 << 10


@dataclass(frozen=True)
class Span:
    """A stretch of linear addresses, END exclusive."""

    start: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start

    def overlaps(self, r: Any) -> bool:
        """A range of a map."""
        return bool(r.va < self.end and self.start < r.va + r.size)


@dataclass(frozen=True)
class Image:
    """The kernel's own sections as the tables show them; a part that they don't tell is None."""

    text: Span
    rodata: Span | None
    data: Span | None


class UpperPart(NamedTuple):
    """The kernel's part of a space."""

    ranges: Sequence[Any]  # physically contiguous each
    cut: bool  # below the cpu_entry_area (64-bit) are more ranges than these
    unread: bool  # not all tables could be read


class Kernel:
    """A Linux that was found. Everything is read from its own root."""

    place: Place | None = None  # where its symbols led to its memory: symbol_kernel.py
    near = 4096  # bytes between two fields of a structure for which one read is better than two

    def __init__(self, space: AddressSpace, image: Image, upper: UpperPart | None = None) -> None:
        self._given = space
        self._upper = upper
        self.image = image
        self.pointer = 8 if space.paging.canonical else 4  # bytes

    @cached_property
    def space(self) -> AddressSpace:
        """Of the kernel root."""
        return self._given.kernel

    @cached_property
    def upper(self) -> UpperPart:
        return self._upper or _upper_part(self.space)

    @property
    def ranges(self) -> Sequence[Any]:
        return self.upper.ranges

    @cached_property
    def memory(self) -> VirtualMemory:
        return self.space.linear

    @cached_property
    def page_offset(self) -> int | None:
        """32-bit: where lowmem begins, and a process's part ends."""
        return page_offset_32(self.ranges)

    # Without symbols

    @cached_property
    def banner(self) -> str | None:
        """"Linux version 6.1.0-35-amd64 (...)", from the kernel's memory."""
        if self.banner_at is None:
            return None
        return printable(self.memory.string(self.banner_at, 512).strip())

    @cached_property
    def banner_at(self) -> int | None:
        """Where linux_banner is."""
        known = self.symbol("linux_banner")
        return known if known is not None else self._search_banner()

    @cached_property
    def version(self) -> tuple[int, int] | None:
        """(6, 1)"""
        found = re.match(r"Linux version (\d+)\.(\d+)", self.banner or "")
        return (int(found[1]), int(found[2])) if found else None

    def _search_banner(self) -> int | None:
        """It is in .rodata, near its beginning in the versions that link init/ first."""
        part = self.image.rodata or self.image.text
        end = min(part.end, part.start + _SEARCHED)
        tail = b""
        for at in range(part.start, end, _STEP):
            try:
                chunk = self.memory.read(at, min(_STEP, end - at))
            except Unreadable:
                tail = b""
                continue
            found = re.search(re.escape(_BANNER) + rb"\d", tail + chunk)
            if found:
                return at - len(tail) + found.start()
            tail = chunk[-len(_BANNER) :]
        return None

    def image_address(self, frame: int) -> int | None:
        """Where the kernel's read-only image, text and rodata, has a physical address; None where
        it has not. What lies between its parts was freed after boot: a process may have it now."""
        at = bisect_right(self._fixed_frames, (frame, 1 << 64, 0)) - 1
        if at < 0:
            return None
        pa, size, va = self._fixed_frames[at]
        return va + frame - pa if frame < pa + size else None

    @cached_property
    def _fixed_frames(self) -> list[tuple[int, int, int]]:
        """By frame: (pa, size, va)."""
        found = []
        for part in filter(None, (self.image.text, self.image.rodata)):
            for r in self.ranges:
                first, end = max(r.va, part.start), min(r.va + r.size, part.end)
                if first < end and not r.write:
                    found.append((r.pa + first - r.va, end - first, first))
        return sorted(found)

    # With symbols

    @cached_property
    def offset(self) -> int | None:
        """From where the loaded symbols say things are to where they are (KASLR, if GDB was not
        told of it); None without symbols of this very kernel."""
        linked = link_address("linux_banner")
        text = link_address("_text") or link_address("_stext")
        if linked is None or text is None:
            return None
        for offset in (self.image.text.start - text, 0):
            try:
                if self.memory.read(linked + offset, len(_BANNER)) == _BANNER:
                    return offset
            except Unreadable:
                pass
        return None

    @property
    def wrong_symbols(self) -> bool:
        """Symbols of some Linux are loaded, and it is not this one."""
        return link_address("linux_banner") is not None and self.offset is None

    def symbol(self, name: str) -> int | None:
        """A symbol's address in the running kernel."""
        if self.offset is None:
            return None
        linked = link_address(name)
        return None if linked is None else self.moved(linked)

    def moved(self, linked: int) -> int:
        """From where the symbols say something is to where it is; only with an offset."""
        return linked + (self.offset or 0) & self._mask

    def word(self, name: str) -> int | None:
        """The pointer-sized variable of that name; None where it is not known or not readable."""
        where = self.symbol(name)
        if where is None:
            return None
        try:
            return self.memory.unsigned(where, self.pointer)
        except Unreadable:
            return None

    def per_cpu(self, name: str, cpu: int) -> int | None:
        """Where a CPU has its own copy of a variable. Error: Unreadable.

        The link address counts from __per_cpu_start, which is 0 on 64-bit before 6.15; where GDB
        was told of KASLR, both have moved.
        """
        linked, start, text = map(link_address, (name, "__per_cpu_start", "_text"))
        offsets = self.symbol("__per_cpu_offset")
        if linked is None or start is None or text is None:
            return None
        if offsets is None:
            return self.moved(linked)  # a kernel for one CPU
        base = 0 if start < text else self.symbol("__per_cpu_start") or 0
        offset = self.memory.unsigned(offsets + cpu * self.pointer, self.pointer)
        return offset + base + linked - start & self._mask

    # What only the symbols of a known kernel give: symbol_kernel.py

    def pair(self, root: int) -> kpti.Roots | None:
        """KPTI's, of an mm_struct's root; None where the tables have to be asked."""
        return None

    def task_of_pid(self, pid: int) -> int | None:
        """The task_struct with a pid; None where only the list of tasks tells."""
        return None

    def running(self) -> Iterator[int]:
        """The task_structs that the CPUs run, where that is known."""
        return iter(())

    @property
    def _mask(self) -> int:
        return (1 << 8 * self.pointer) - 1


def is_special(walk: Any) -> bool:
    """Whether Linux marked a page as none of a process's memory: of a device, of the vvar pages
    (_PAGE_SPECIAL, arch/x86/include/asm/pgtable_types.h)."""
    return bool(walk.steps[-1].raw >> 9 & 1)


def link_address(name: str) -> int | None:
    """Where GDB believes a symbol to be."""
    try:
        wide = gdb.selected_inferior().architecture().integer_type(64, False)
        return int(gdb.parse_and_eval(f"&{name}").cast(wide))
    except gdb.error:
        return None


def is_in_image(linked: int) -> bool:
    """Whether GDB's symbols have an address in a kernel's image: it moves with KASLR."""
    text, end = link_address("_text"), link_address("_end")
    return text is not None and end is not None and text <= linked < end


def find(space: AddressSpace) -> Kernel | None:
    """The Linux that a space belongs to; None where it is not recognised as one."""
    if space.paging is None:
        return None
    if space.memory.source.place is not None:
        from .symbol_kernel import SymbolKernel

        return SymbolKernel(space, space.memory.source.place)
    space = space.kernel
    if not space.paging.canonical:
        upper = _upper_part(space)
        image = None if upper.cut else _image_32(upper.ranges)
        return Kernel(space, image, upper) if image else None
    top = _top(space)
    image = None if top.cut else _image_64(top.ranges)
    return Kernel(space, image, _with_areas(space, top)) if image else None


def _upper_part(space: AddressSpace) -> UpperPart:
    if not space.paging.canonical:
        return _ranges(space, GIB, space.paging.last_offset)
    return _with_areas(space, _top(space))


def _top(space: AddressSpace) -> UpperPart:
    """64-bit: it tells whether this is Linux, and what lies below may be endless."""
    first = space.paging.offset_of(CPU_ENTRY_AREA_64)
    return _ranges(space, first, space.paging.last_offset)


def _with_areas(space: AddressSpace, top: UpperPart) -> UpperPart:
    """64-bit: with what lies below."""
    end = space.paging.offset_of(CPU_ENTRY_AREA_64)
    below = _ranges(space, space.paging.upper_part, end - 1)
    return UpperPart([*below.ranges, *top.ranges], below.cut, below.unread or top.unread)


def _ranges(space: AddressSpace, first: int, last: int) -> UpperPart:
    """The supervisor's ranges between two offsets."""
    scanned = space.scan(first, last, _MAX_TABLES)
    made = native.core().make_map(scanned, first, last, split_physical=True, max_ranges=_MAX_RANGES)
    ranges = [r for r in made if not r.user]
    return UpperPart(ranges, made.truncated, bool(made.unreadable))


def _image_64(ranges: Sequence[Any]) -> Image | None:
    idt = [r for r in ranges if r.va == CPU_ENTRY_AREA_64 and not r.write and r.page_sizes == 1]
    image = [r for r in ranges if IMAGE_64 <= r.va < IMAGE_64_END]
    text = _first_run([r for r in image if r.exec])
    if not idt or text is None:
        return None
    rodata = _first_run([r for r in image if r.va >= text.end and not r.exec and not r.write])
    # Each begins a page directory entry (arch/x86/kernel/vmlinux.lds.S); what lies between is none
    # of them.
    after = -(-(rodata.end if rodata else text.end) // (2 * MIB)) * 2 * MIB
    # What is freed after boot leaves holes of a few MiB; modules begin far behind.
    data = _first_run([r for r in image if r.va + r.size > after], hole=32 * MIB)
    return Image(text, rodata, Span(max(data.start, after), data.end) if data else None)


def page_offset_32(ranges: Sequence[Any]) -> int | None:
    """Where lowmem begins: it maps physical 0 at a multiple of 16 MiB."""
    for r in ranges:
        if r.pa == 0 and r.va % (16 * MIB) == 0:
            return int(r.va)
    return None


def lowmem_32(ranges: Sequence[Any]) -> list[Any]:
    """The ranges that map physical memory at its address plus page_offset_32(), from 0 on."""
    base = page_offset_32(ranges)
    if base is None:
        return []
    lowmem = []
    for r in ranges:
        if r.va < base:
            continue
        if r.va - r.pa != base:
            break
        lowmem.append(r)
    return lowmem


def cpu_entry_area_32(ranges: Sequence[Any], pde_span: int) -> int | None:
    """Its first page, the IDT, is the read-only one that begins a page table near the top."""
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


def _image_32(ranges: Sequence[Any]) -> Image | None:
    lowmem = lowmem_32(ranges)
    if not lowmem or not any(cpu_entry_area_32(ranges, span) for span in (2 * MIB, 4 * MIB)):
        return None
    # Above the first MiB, where the BIOS and the real-mode trampoline live.
    fixed = [r for r in lowmem if not r.write and r.va >= lowmem[0].va + MIB]
    texts = _runs([r for r in fixed if r.exec], hole=0)
    text = max(texts, key=lambda span: span.size, default=None)
    if text is None:
        return None
    rodata = _first_run([r for r in fixed if not r.exec and r.va >= text.end], hole=0)
    if rodata and rodata.start != text.end:
        rodata = None
    return Image(text, rodata, None)


def _runs(ranges: Sequence[Any], hole: int = 2 * MIB) -> list[Span]:
    """Ranges that lie near each other, as one span each."""
    spans: list[Span] = []
    for r in ranges:
        if spans and r.va - spans[-1].end <= hole:
            spans[-1] = Span(spans[-1].start, r.va + r.size)
        else:
            spans.append(Span(r.va, r.va + r.size))
    return spans


def _first_run(ranges: Sequence[Any], hole: int = 2 * MIB) -> Span | None:
    return next(iter(_runs(ranges, hole)), None)
