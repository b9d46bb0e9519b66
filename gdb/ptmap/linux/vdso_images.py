"""The kernel's own vDSO images, whose pages it maps into processes.

arch/x86/entry/vdso/vdso2c makes each a page-aligned array in the kernel's data that is read-only
after boot, and a struct vdso_image that begins with its address and size.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .. import native
from ..elf_images import MAGIC, MAX_SIZE, PAGE, Page
from ..virtual_memory import Unreadable
from .kernel import Kernel

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
        # Without NX rodata cannot be told from text.
        self._span = linux.image.rodata or linux.image.text

    # By frame

    def around(self, frame: int) -> Copy | None:
        """The image that a frame belongs to."""
        va = self._linux.image_address(frame)
        if va is None:
            return None
        for copy in self.by_symbols:
            if copy.va <= va < copy.va + copy.size:
                return copy
        for start in range(va, va - _MAX_PAGES * PAGE, -PAGE):
            found = self._at(start)
            if found is not None:
                return found if va < found.va + found.size else None
        return None

    def index(self, copy: Copy, frame: int) -> int | None:
        """Which page of an image a frame is."""
        va = self._linux.image_address(frame)
        return (va - copy.va) // PAGE if va is not None and 0 <= va - copy.va < copy.size else None

    def page(self, copy: Copy, index: int, va: int) -> Page | None:
        """A page of an image, for the address `va` of a process."""
        at = copy.va + index * PAGE
        if index * PAGE >= copy.size:
            return None
        try:
            content = self._linux.memory.read(at, PAGE)
        except Unreadable:
            return None
        pa = self._linux.memory.translate(at)
        return Page(va, pa, "kernel", content, kernel_va=at)

    # All of them

    @cached_property
    def all(self) -> list[Copy]:
        return self.by_symbols or self._searched()

    @cached_property
    def by_symbols(self) -> list[Copy]:
        """Empty without symbols; costs no search."""
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
            if self._span.overlaps(r)
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
