"""ELF images in the user's executable pages (native/vdso/), and an image's pages."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Callable, Iterator

from ..base import native
from ..base.text import plural
from ..spaces import scanned
from ..spaces.address_space import AddressSpace

if TYPE_CHECKING:
    from .. import _core
    from .._core import Elf, ImagePage

PAGE = 0x1000


@dataclass(frozen=True)
class Image:
    """An image at an address of the process."""

    space: AddressSpace
    va: int
    elf: Elf
    pages: list[ImagePage]
    found_by: str = "image"
    notes: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Whole pages, in bytes."""
        return len(self.pages) * PAGE

    @property
    def content(self) -> bytes:
        """All bytes, with zeros for pages that are not known."""
        return _read(self.space, self.pages)

    @property
    def missing(self) -> list[ImagePage]:
        return [page for page in self.pages if page.source is None]


def _user_executable(space: AddressSpace, whole: bool) -> _core.UserCode:
    """WHOLE: from all tables of the space; else it reads only the user's part."""
    pulse = space.reader.progress.scanning
    if whole:
        tables = scanned.of(space).part(0, space.paging.last_offset).tables
        if not tables.cut:
            return native.core.UserCode(tables, pulse)
    with space.memory.reading():
        return native.core.UserCode(space.paging, space.root, space.memory.core, pulse)


class UserCode:
    """The user's pages that are executable by their leaf entry."""

    def __init__(self, space: AddressSpace, whole: bool = False) -> None:
        """WHOLE: read all tables, because the command needs them anyway."""
        self.space = space
        self.core = _user_executable(space, whole)

    def read_only_pages(self) -> Iterator[tuple[int, int]]:
        """(va, pa) of every 4 KiB."""
        return iter(self.core.pages(writable=False))

    def read(self, va: int, count: int) -> list[ImagePage]:
        """COUNT pages from VA on. A page whose bytes are not known says why."""
        with self.space.memory.reading():
            return native.core.image_pages(self.core, self.space.memory.core, va, count)


@dataclass
class Search:
    """The images found, and how complete the search was."""

    images: list[Image]
    rejected: list[tuple[int, str]]  # address of an ELF header, and why it is not an image
    looked: int  # pages that were searched
    pages: int  # all pages
    unreadable: int  # tables
    cut: bool

    @property
    def complete(self) -> bool:
        return not self.cut and not self.unreadable

    def __str__(self) -> str:
        """For example "2108 executable user pages looked at"."""
        pages = plural(self.pages, "executable user page")
        text = f"{'' if self.looked == self.pages else f'{self.looked} of '}{pages} looked at"
        if self.unreadable:
            text += f"; {plural(self.unreadable, 'table')} could not be read"
        return text + ("; there may be more" if self.cut else "")


def search(code: UserCode) -> Search:
    """All images that begin at a read-only page of `code`. If none of them is a vDSO, those at
    writable pages too."""
    space = code.space
    with space.memory.reading():
        found = native.core.search_images(
            space.paging, code.core, space.memory.core, space.reader.progress.searching
        )
    return _search(code, found)


def look_at(code: UserCode, va: int) -> Search:
    """As search(), at one page only."""
    space = code.space
    with space.memory.reading():
        found = native.core.look_at_image(space.paging, code.core, space.memory.core, va)
    return _search(code, found)


def _search(code: UserCode, found: _core.ImageSearch) -> Search:
    images = [Image(code.space, one.va, one.elf, one.pages) for one in found.images]
    return Search(
        images, found.rejected, found.looked, found.pages, code.core.unreadable, found.cut
    )


def completed(image: Image, copy: Callable[[int], ImagePage | None]) -> Image:
    """The image with its missing pages, which copy(index) gives, or None.

    Error: ValueError if the result is not an image.
    """
    pages = [
        (copy(index) or page) if page.source is None else page
        for index, page in enumerate(image.pages)
    ]
    return replace(image, pages=pages, elf=native.core.read_elf(_read(image.space, pages)))


def _read(space: AddressSpace, pages: list[ImagePage]) -> bytes:
    with space.memory.reading():
        return native.core.read_image(space.memory.core, pages)
