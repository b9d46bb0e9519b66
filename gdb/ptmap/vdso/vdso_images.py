"""The kernel's own vDSO images. The kernel maps their pages into processes.

For each, arch/x86/entry/vdso/vdso2c makes two things: a page-aligned array in the kernel's data
that is read-only after boot, and a struct vdso_image that begins with the array's address and size.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ..base import native
from ..linux.kernel import Kernel
from ..spaces.virtual_memory import Unreadable
from ..spaces.maps import overlapping, pa
from .elf_images import PAGE

if TYPE_CHECKING:
    from .._core import Elf, ImagePage, LinearImage

# Since Linux 7.0, and before (arch/x86/include/asm/vdso.h).
_SYMBOLS = (
    *("vdso64_image", "vdso32_image", "vdsox32_image"),
    *("vdso_image_64", "vdso_image_32", "vdso_image_x32"),
)


@dataclass(frozen=True)
class Copy:
    """An image in the kernel's memory."""

    va: int  # of its first byte, in the kernel's part
    size: int  # whole pages, in bytes
    elf: Elf
    image: int | None = None  # address of its struct vdso_image, if symbols tell


class Copies:
    """A kernel's images, searched at first use."""

    def __init__(self, linux: Kernel) -> None:
        self._linux = linux
        # Without NX rodata looks like text.
        self._section = linux.image.rodata or linux.image.text
        self._around: dict[int, Copy | None] = {}

    # By frame

    def around(self, frame: int) -> Copy | None:
        """The image that a frame belongs to; None if it belongs to none."""
        va = self._linux.image_address(frame)
        if va is None:
            return None
        for copy in self.by_symbols:
            if copy.va <= va < copy.va + copy.size:
                return copy
        if va not in self._around:
            with self._linux.memory.reading() as memory:
                self._around[va] = _copy(native.core.linear_image_around(memory, va))
        return self._around[va]

    def index(self, copy: Copy, frame: int) -> int | None:
        """A frame's index among an image's pages; None if it is not one of them."""
        va = self._linux.image_address(frame)
        return (va - copy.va) // PAGE if va is not None and 0 <= va - copy.va < copy.size else None

    def page(self, copy: Copy, index: int, va: int) -> ImagePage | None:
        """A page of an image, as the page at `va` of a process."""
        at = copy.va + index * PAGE
        if index * PAGE >= copy.size:
            return None
        try:
            self._linux.memory.read(at, PAGE)
        except Unreadable:
            return None
        pa = self._linux.memory.translate(at)
        return None if pa is None else native.core.ImagePage.of_kernel(va, pa, kernel_va=at)

    # All of them

    @cached_property
    def all(self) -> list[Copy]:
        return self.by_symbols or self._searched()

    @cached_property
    def by_symbols(self) -> list[Copy]:
        """Empty without symbols; costs no search."""
        images = (self._linux.symbol(name) for name in _SYMBOLS)
        copies = (self.of_image(image) for image in images if image is not None)
        return [copy for copy in copies if copy is not None]

    def of_image(self, image: int) -> Copy | None:
        """That of the struct vdso_image at an address."""
        pointer = self._linux.pointer
        try:
            data = self._linux.memory.unsigned(image, pointer)
            size = self._linux.memory.unsigned(image + pointer, pointer)
        except Unreadable:
            return None
        with self._linux.memory.reading() as memory:
            return _copy(native.core.linear_image_at(memory, data, size), image)

    def _searched(self) -> list[Copy]:
        """Those that begin a page with an ELF header."""
        parts = [(r.va, r.size, pa(r)) for r in overlapping(self._linux.ranges, self._section)]
        pulse = self._linux.space.reader.progress.searching
        with self._linux.memory.reading() as memory:
            found = native.core.linear_images(memory, parts, pulse)
        return [copy for image in found if (copy := _copy(image)) is not None]


def _copy(found: LinearImage | None, image: int | None = None) -> Copy | None:
    return None if found is None else Copy(found.va, found.size, found.elf, image)
