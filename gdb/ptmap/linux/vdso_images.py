"""The kernel's own vDSO images, whose pages it maps into processes.

arch/x86/entry/vdso/vdso2c makes each a page-aligned array in the kernel's data that is read-only
after boot, and a struct vdso_image that begins with its address and size.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .. import native
from ..elf_images import MAGIC, MAX_SIZE, PAGE, Page
from ..virtual_memory import Unreadable
from .kernel import Kernel, Span

_SYMBOLS = ("vdso_image_64", "vdso_image_32", "vdso_image_x32")
_MAX_PAGES = 64  # of an image
_BATCH = 1024


@dataclass(frozen=True)
class Copy:
    """An image in the kernel's memory."""

    va: int  # of its first byte, in the kernel's part
    size: int  # whole pages, in bytes
    elf: Any
    image: int | None = None  # of its struct vdso_image, where symbols tell


class Copies:
    """Those of a kernel, looked for when they are asked for."""

    def __init__(self, linux: Kernel) -> None:
        self._linux = linux
        image = linux.image
        # Without NX rodata cannot be told from text; data last, it is none since Linux 4.6.
        spans = [part for part in (image.rodata or image.text, image.data) if part is not None]
        self._span = spans[0]
        rows = [r for r in linux.ranges if any(_overlap(r, span) for span in spans)]
        self._frames = sorted((r.pa, r.size, r.va) for r in rows)

    # By frame

    def address_of(self, frame: int) -> int | None:
        """Where the kernel's image has a frame; None where it has not."""
        at = bisect_right(self._frames, (frame, 1 << 64, 0)) - 1
        if at < 0:
            return None
        pa, size, va = self._frames[at]
        return va + frame - pa if frame < pa + size else None

    def around(self, frame: int) -> Copy | None:
        """The image that a frame belongs to."""
        va = self.address_of(frame)
        if va is None:
            return None
        for copy in self._by_symbols:
            if copy.va <= va < copy.va + copy.size:
                return copy
        for start in range(va, va - _MAX_PAGES * PAGE, -PAGE):
            found = self._at(start)
            if found is not None:
                return found if va < found.va + found.size else None
        return None

    def page(self, copy: Copy, index: int, va: int) -> Page | None:
        """A page of an image, for the address `va` of a process."""
        at = copy.va + index * PAGE
        if index * PAGE >= copy.size:
            return None
        try:
            content = self._linux.memory.read(at, PAGE)
        except Unreadable:
            return None
        return Page(va, self._linux.memory.translate(at), "kernel", content)

    # All of them

    @cached_property
    def all(self) -> list[Copy]:
        return self._by_symbols or self._searched()

    @cached_property
    def _by_symbols(self) -> list[Copy]:
        found = []
        pointer = 8 if self._linux.space.paging.canonical else 4
        for name in _SYMBOLS:
            image = self._linux.symbol(name)
            if image is None:
                continue
            try:
                data = self._linux.memory.unsigned(image, pointer)
                size = self._linux.memory.unsigned(image + pointer, pointer)
            except Unreadable:
                continue
            copy = self._at(data, size, image)
            if copy is not None:
                found.append(copy)
        return found

    def _searched(self) -> list[Copy]:
        """By the ELF header at the beginning of a page."""
        memory = self._linux.memory
        found: list[Copy] = []
        pages = [
            (r.va + at, r.pa + at)
            for r in self._linux.ranges
            if _overlap(r, self._span)
            for at in range(0, r.size, PAGE)
        ]
        for first in range(0, len(pages), _BATCH):
            batch = pages[first : first + _BATCH]
            for (va, _), head in zip(batch, memory.frames([(pa, len(MAGIC)) for _, pa in batch])):
                copy = self._at(va) if head == MAGIC else None
                if copy is not None:
                    found.append(copy)
        return found

    def _at(self, va: int, size: int | None = None, image: int | None = None) -> Copy | None:
        """The image at an address of the kernel's, None where there is none."""
        memory = self._linux.memory
        try:
            if size is None:
                head = memory.read(va, PAGE)
                if not head.startswith(MAGIC):
                    return None
                size = native.core().read_elf(head).size
            size = -(-size // PAGE) * PAGE
            if not 0 < size <= MAX_SIZE or va % PAGE:
                return None
            return Copy(va, size, native.core().read_elf(memory.read(va, size)), image)
        except (Unreadable, ValueError):
            return None


def _overlap(r: Any, span: Span) -> bool:
    return bool(r.va < span.end and span.start < r.va + r.size)
