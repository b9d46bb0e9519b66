"""A Linux: its banner, its version, and where KASLR put its symbols.

shape.py recognises it by its tables. GDB may have symbols, at the right place or not. They are this
kernel's if linux_banner is where they say, KASLR's offset added.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cached_property
from typing import TYPE_CHECKING, Iterator, Sequence

from ..base.lifetimes import Lifetime
from ..base.text import printable
from ..base.symbols import Symbols
from ..spaces import kpti, scanned
from ..spaces.address_space import AddressSpace
from ..spaces.registers import Roots
from ..spaces.virtual_memory import Unreadable, VirtualMemory
from ..spaces.maps import overlapping, pa
from .place import Place
from .shape import MIB, Image, UpperPart, page_offset_32, upper_part

if TYPE_CHECKING:
    from .._core import Range, Walk

_BANNER = b"Linux version "
_SEARCHED = 64 * MIB  # how much of the image is searched for the banner
_STEP = 64 << 10
_PAGE_SPECIAL = 1 << 9  # arch/x86/include/asm/pgtable_types.h


class Kernel:
    """A Linux that was found. Everything is read through its own root."""

    place: Place | None = None  # only of a SymbolKernel
    near = 4096  # two fields of a structure that are no further apart are read at once; bytes

    def __init__(self, space: AddressSpace, image: Image, upper: UpperPart | None = None) -> None:
        self._given = space
        self._upper = upper
        self.image = image
        self.pointer = 8 if space.paging.canonical else 4  # bytes

    @cached_property
    def space(self) -> AddressSpace:
        """The kernel root's space."""
        return kpti.kernel_of(self._given)

    @property
    def found(self) -> Lifetime:
        """What else was recognised in this memory. Reads no table, as `space` may."""
        return self._given.memory.found

    @cached_property
    def upper(self) -> UpperPart:
        return self._upper or upper_part(self.space, scanned.of_kernel(self._given))

    @property
    def ranges(self) -> Sequence[Range]:
        return self.upper.ranges

    @cached_property
    def memory(self) -> VirtualMemory:
        return VirtualMemory(self.space)

    @cached_property
    def page_offset(self) -> int | None:
        """32-bit only: the address where lowmem begins and a process's part ends."""
        return page_offset_32(self.ranges)

    # Without symbols

    @cached_property
    def banner(self) -> str | None:
        """For example "Linux version 6.1.0-35-amd64 (...)", from the kernel's memory."""
        if self.banner_at is None:
            return None
        return printable(self.memory.string(self.banner_at, 512).strip())

    @cached_property
    def banner_at(self) -> int | None:
        """The address of linux_banner."""
        known = self.symbol("linux_banner")
        return known if known is not None else self._search_banner()

    @cached_property
    def version(self) -> tuple[int, int] | None:
        """For example (6, 1)."""
        found = re.match(r"Linux version (\d+)\.(\d+)", self.banner or "")
        return (int(found[1]), int(found[2])) if found else None

    def _search_banner(self) -> int | None:
        """The banner is in .rodata; near its beginning in versions that link init/ first."""
        part = self.image.rodata or self.image.text
        end = min(part.end, part.first + _SEARCHED)
        tail = b""
        for at in range(part.first, end, _STEP):
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
        """The linear address of a frame of the kernel's text or rodata; None if it is in neither.
        Memory between the two was freed after boot: a process may have it now."""
        at = bisect_right(self._fixed_frames, (frame, 1 << 64, 0)) - 1
        if at < 0:
            return None
        pa, size, va = self._fixed_frames[at]
        return va + frame - pa if frame < pa + size else None

    @cached_property
    def _fixed_frames(self) -> list[tuple[int, int, int]]:
        """(pa, size, va), sorted by frame."""
        found = []
        for part in filter(None, (self.image.text, self.image.rodata)):
            for r in overlapping(self.ranges, part):
                first, end = max(r.va, part.first), min(r.va + r.size, part.end)
                if not r.write:
                    found.append((pa(r) + first - r.va, end - first, first))
        return sorted(found)

    # With symbols

    @cached_property
    def offset(self) -> int | None:
        """How far the kernel is above the addresses of the loaded symbols (by KASLR, if GDB does
        not know of it); None without symbols of this very kernel."""
        link_address = self.symbols.link_address
        linked = link_address("linux_banner")
        text = link_address("_text") or link_address("_stext")
        if linked is None or text is None:
            return None
        for offset in (self.image.text.first - text, 0):
            try:
                if self.memory.read(linked + offset, len(_BANNER)) == _BANNER:
                    return offset
            except Unreadable:
                pass
        return None

    @property
    def symbols(self) -> Symbols:
        """Those that are loaded; this kernel's only if `offset` is known."""
        return self._given.reader.symbols

    @property
    def wrong_symbols(self) -> bool:
        """Whether symbols of another Linux are loaded."""
        return self.symbols.link_address("linux_banner") is not None and self.offset is None

    def symbol(self, name: str) -> int | None:
        """A symbol's address in the running kernel."""
        if self.offset is None:
            return None
        linked = self.symbols.link_address(name)
        return None if linked is None else self.moved(linked)

    def moved(self, linked: int) -> int:
        """The address of something that the symbols put at LINKED. Only if `offset` is known."""
        return linked + (self.offset or 0) & self._mask

    def word(self, name: str) -> int | None:
        """The pointer-sized variable of that name; None if it is not known or not readable."""
        where = self.symbol(name)
        if where is None:
            return None
        try:
            return self.memory.unsigned(where, self.pointer)
        except Unreadable:
            return None

    def per_cpu(self, name: str, cpu: int) -> int | None:
        """Where a CPU has its own copy of a variable. Error: Unreadable.

        The link address counts from __per_cpu_start, which is 0 on 64-bit before 6.15. If GDB knows
        of KASLR both have moved.
        """
        linked, start, text = (
            self.symbols.link_address(one) for one in (name, "__per_cpu_start", "_text")
        )
        offsets = self.symbol("__per_cpu_offset")
        if linked is None or start is None or text is None:
            return None
        if offsets is None:
            return self.moved(linked)  # a kernel for one CPU
        base = 0 if start < text else self.symbol("__per_cpu_start") or 0
        offset = self.memory.unsigned(offsets + cpu * self.pointer, self.pointer)
        return offset + base + linked - start & self._mask

    # What only the symbols of a known kernel give: symbol_kernel.py

    def pair(self, root: int) -> Roots | None:
        """KPTI's roots for an mm_struct's root; None if only the tables tell."""
        return None

    def task_of_pid(self, pid: int) -> int | None:
        """The task_struct with a pid; None if only the list of tasks tells."""
        return None

    def running(self) -> Iterator[int]:
        """The task_structs that the CPUs run, if that is known."""
        return iter(())

    @property
    def _mask(self) -> int:
        return (1 << 8 * self.pointer) - 1


def is_special(walk: Walk) -> bool:
    """Whether Linux marked a page as not a process's own memory: a device's page, a vvar page."""
    return bool(walk.steps[-1].raw & _PAGE_SPECIAL)


def is_in_image(symbols: Symbols, linked: int) -> bool:
    """Whether an address is in the kernel's image by the symbols. If so KASLR moves it."""
    text, end = symbols.link_address("_text"), symbols.link_address("_end")
    return text is not None and end is not None and text <= linked < end
