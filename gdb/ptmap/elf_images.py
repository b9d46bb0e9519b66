"""ELF images behind the user's executable pages, and the bytes of one page by page.

An image is found by its header in a page that is executable by its leaf entry: under KPTI the
kernel's root takes the right to execute away above it. No place is assumed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Iterator

from . import native
from .address_space import AddressSpace
from .text import plural

PAGE = 0x1000
MAGIC = b"\x7fELF"
_HEADER = 20  # bytes: e_ident, e_type, e_machine

# Of one search. A space with more is none of a process's, or it takes too long to look at all.
_MAX_TABLES, _MAX_LEAVES, _MAX_HEADS, _MAX_IMAGES = 1 << 16, 1 << 20, 1 << 16, 1 << 10
_BATCH = 1024
# linux-vdso.so.1, linux-gate.so.1 (32-bit), FreeBSD's elf-vdso.so.1.
_VDSO = re.compile(r"(?:^|[^A-Za-z])(?:vdso|gate)\.so(?:\.|$)")

# A vDSO is a few pages; what claims to be larger is none.
MAX_SIZE = 1 << 20


@dataclass(frozen=True)
class Page:
    """A page of an image."""

    va: int
    pa: int | None = None  # of where its bytes were read
    source: str | None = None  # "process", "kernel"; None where no bytes are known
    content: bytes = bytes(PAGE)  # zeros where none are known
    kernel_va: int | None = None  # source "kernel": where the kernel has it
    why: str = ""  # no source: why not


@dataclass(frozen=True)
class Image:
    """An image at an address of the process."""

    va: int
    elf: Any  # _core.Elf, of `content`
    pages: list[Page]
    found_by: str = "image"
    notes: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Whole pages, in bytes."""
        return len(self.pages) * PAGE

    @property
    def content(self) -> bytes:
        return b"".join(page.content for page in self.pages)

    @property
    def missing(self) -> list[Page]:
        return [page for page in self.pages if page.source is None]

    @property
    def is_vdso(self) -> bool:
        """By the name that its dynamic section gives it."""
        return bool(_VDSO.search(self.elf.soname))


class UserCode:
    """The user's pages that are executable by their leaf entry."""

    def __init__(self, space: AddressSpace) -> None:
        self.space = space
        with space.memory.reading():
            leaves, self.cut, self.unreadable = native.core().user_executable(
                space.paging, space.root, space.memory.core, _MAX_TABLES, _MAX_LEAVES
            )
        self._small = {va: (pa, write) for va, size, pa, write in leaves if size == PAGE}
        self._large = [leaf for leaf in leaves if leaf[1] != PAGE]

    def count(self, writable: bool) -> int:
        """In pages of 4 KiB."""
        small = sum(write == writable for _, write in self._small.values())
        return small + sum(s // PAGE for _, s, _, write in self._large if write == writable)

    def frame(self, va: int) -> int | None:
        """Of the page at an address, None where there is none."""
        if va in self._small:
            return self._small[va][0]
        for start, size, pa, _ in self._large:
            if start <= va < start + size:
                return int(pa + va - start)
        return None

    def pages(self, writable: bool) -> Iterator[tuple[int, int]]:
        """(va, pa) of every 4 KiB, the likely ones first: small before large pages, high before low
        addresses, as Linux maps vDSOs near the stack."""
        for va in sorted(self._small, reverse=True):
            pa, write = self._small[va]
            if write == writable:
                yield va, pa
        for start, size, pa, write in self._large:
            if write == writable:
                yield from ((start + at, pa + at) for at in range(0, size, PAGE))

    def read(self, va: int) -> Page:
        """A page of this code, or why its bytes are not known."""
        pa = self.frame(va)
        if pa is None:
            return Page(va, why="not mapped executable")
        with self.space.memory.reading():
            (content,) = self.space.memory([(pa, PAGE)])
        if isinstance(content, bytes):
            return Page(va, pa, "process", content)
        return Page(va, why=f"its frame {pa:#x}: {content}")


@dataclass
class Search:
    """What was found of images, and how thoroughly."""

    images: list[Image]
    rejected: list[tuple[int, str]]  # where an ELF header is, and why it is no image
    looked: int = 0  # pages
    pages: int = 0  # of so many
    unreadable: int = 0  # tables
    cut: bool = False

    @property
    def complete(self) -> bool:
        return not self.cut and not self.unreadable

    def __str__(self) -> str:
        """"2108 executable user pages looked at" """
        pages = plural(self.pages, "executable user page")
        text = f"{'' if self.looked == self.pages else f'{self.looked} of '}{pages} looked at"
        if self.unreadable:
            text += f"; {plural(self.unreadable, 'table')} could not be read"
        return text + ("; there may be more" if self.cut else "")


def search(code: UserCode) -> Search:
    """Every image that begins at a read-only page of `code`, a vDSO or not; where none is a vDSO
    those at writable pages too."""
    result = Search([], [], unreadable=code.unreadable, cut=code.cut)
    for writable in (False, True):
        if not any(image.is_vdso for image in result.images):
            result.pages += code.count(writable)
            _search(code, writable, result)
    return result


def look_at(code: UserCode, va: int) -> Search:
    """The same, of one page only."""
    pages = code.count(False) + code.count(True)
    result = Search([], [], pages=pages, unreadable=code.unreadable)
    if code.frame(va) is not None:
        result.looked = 1
        try:
            result.images.append(image_at(code, va))
        except ValueError as error:
            result.rejected.append((va, str(error)))
    return result


def _search(code: UserCode, writable: bool, result: Search) -> None:
    for va in _headed(code, writable, result):
        if len(result.images) + len(result.rejected) == _MAX_IMAGES:
            result.cut = True
            result.looked -= 1
            break
        try:
            result.images.append(image_at(code, va))
        except ValueError as error:
            result.rejected.append((va, str(error)))


def _headed(code: UserCode, writable: bool, result: Search) -> Iterator[int]:
    """The addresses of pages that begin with an ELF header; each costs one short read."""
    memory, pages = code.space.memory, code.pages(writable)
    while batch := [page for _, page in zip(range(_BATCH), pages)]:
        if result.looked + len(batch) > _MAX_HEADS:
            result.cut = True
            return
        with memory.reading():
            heads = memory([(pa, _HEADER) for _, pa in batch])
        for (va, _), head in zip(batch, heads):
            result.looked += 1
            if isinstance(head, bytes) and head.startswith(MAGIC):
                yield va


def fits(space: AddressSpace, va: int, size: int) -> bool:
    """Whether so many bytes from an address on are all addresses."""
    ends = va, va + size - 1
    return ends[1] < 1 << 64 and all(space.paging.translatable(end) for end in ends)


def image_at(code: UserCode, va: int) -> Image:
    """The image that begins at an address. Error: ValueError where what begins there is none."""
    core = native.core()
    pages = [code.read(va)]
    elf = core.read_elf(pages[0].content)
    count = -(-elf.size // PAGE)
    if elf.size > MAX_SIZE:
        raise ValueError(f"it is larger than a vDSO: {elf.size >> 10} KiB")
    end = va + count * PAGE
    if not fits(code.space, va, count * PAGE) or elf.abi != "64-bit" and va < 1 << 32 < end:
        raise ValueError("it would end beyond the address space")
    for index in range(1, count):
        pages.append(code.read(va + index * PAGE))
    image = Image(va, elf, pages)
    return replace(image, elf=core.read_elf(image.content)) if count > 1 else image


def completed(image: Image, copy: Callable[[int], Page | None]) -> Image:
    """With the missing pages from elsewhere: copy(index) gives one, or None.

    Error: ValueError where it is no image any more.
    """
    pages = [
        (copy(index) or page) if page.source is None else page
        for index, page in enumerate(image.pages)
    ]
    result = replace(image, pages=pages)
    return replace(result, elf=native.core().read_elf(result.content))
