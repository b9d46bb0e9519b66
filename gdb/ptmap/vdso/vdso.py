"""The vDSO of a space: which image it is, and all of its bytes.

The ways to find it, in this order:

1. An image in the user's executable pages; on Linux, one whose frames are the kernel's own image.
2. If its first page was never touched: the frames of its other pages.
3. If no page was touched: the address that the kernel (with symbols) or the process's auxiliary
   vector has.

Pages that the process does not have come from the kernel's copy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Iterator

from ..base import native
from ..base.errors import Refusal
from ..base.text import plural
from ..linux import recognition, tasks
from ..linux.kernel import Kernel
from ..linux.structures import Structures
from ..linux.user_stack import TASK_SIZE_COMPAT
from ..spaces import split
from ..spaces.address_space import AddressSpace
from ..spaces.virtual_memory import Unreadable, VirtualMemory
from . import auxv, vsyscall, vvar
from .elf_images import PAGE, Image, Search, UserCode, completed, look_at, search
from .vdso_images import Copies, Copy

if TYPE_CHECKING:
    from .._core import ImagePage

_LOWEST = 1 << 16  # Linux puts nothing lower by itself (vm.mmap_min_addr), not even vvar pages


@dataclass
class Vdso:
    """The vDSO of a space, or why there is none."""

    space: AddressSpace
    linux: Kernel | None
    search: Search
    image: Image | None
    others: list[Image]  # more images that look like a vDSO
    why_none: str  # if there is no image: why
    proven_absent: bool  # if there is no image: whether it is proved that there is none
    vvar: vvar.Vvar | None
    vsyscall: vsyscall.Vsyscall | None

    @property
    def complete(self) -> bool:
        """Whether all candidates were looked at and every byte is known and valid. Over a slow line
        the only candidate is the image that the kernel names."""
        image = self.image
        whole = image is None or not image.missing and not image.elf.problems
        return whole and self.search.complete


def find(space: AddressSpace) -> Vdso:
    linux = recognition.find(space)
    # On Linux the kernel's copies are needed too, so its part of the tables is read anyway.
    code = UserCode(space, whole=linux is not None and not space.memory.source.keeps)
    # Over a slow line only the page that the kernel names is read, if it names one.
    noted = _by_mm(linux, space) if linux and space.memory.source.keeps else None
    searched = look_at(code, noted[0]) if noted else search(code)
    finder = _OnLinux(space, linux, code) if linux else None
    images = [finder.completed(one) for one in searched.images] if finder else searched.images
    candidates = [one for one in images if one.elf.is_vdso]
    image = finder.find(candidates) if finder else None
    proven_absent = finder is not None and bool(finder.why_none)
    if image is None and candidates and not proven_absent:
        image = candidates[0]
        if linux is not None:
            image.notes.append("no page of it is the kernel's own: it may be a copy")
            finder = None  # a copy has no vvar pages
    why = "" if image else (finder.why_none if finder else "") or _nothing(searched, linux)
    return Vdso(
        space,
        linux,
        searched,
        image,
        others=[one for one in candidates if image is None or one.va != image.va],
        why_none=why,
        proven_absent=linux is None or proven_absent or not searched.pages,
        vvar=vvar.of(space, image, linux, finder.copies if finder else None) if image else None,
        vsyscall=vsyscall.of(space, linux),
    )


def _nothing(searched: Search, linux: Kernel | None) -> str:
    if not searched.pages and searched.complete:
        return "the space has no executable user pages"
    text = f"{searched}; none of the ELF images there is a vDSO"
    return text + (", and there is no auxiliary vector on the stack" if linux else "")


@dataclass(frozen=True)
class _Word:
    """What somebody says of the vDSO's place."""

    va: int  # 0: there is none
    found_by: str  # as Image.found_by
    who: str  # for people
    copy: Copy | None = None  # the kernel's image that it names
    abi: str = ""  # else the kind of it; "" if that is not known


class _OnLinux:
    """Ways that need a recognised Linux: the kernel's own copies, and the address that it names."""

    def __init__(self, space: AddressSpace, linux: Kernel, code: UserCode) -> None:
        self._space, self._linux, self._code = space, linux, code
        self.copies = Copies(linux)
        self.why_none = ""  # set if there certainly is no vDSO

    def completed(self, image: Image) -> Image:
        """The image with missing pages from the kernel's copy, if it is the kernel's image."""
        copy = self._copy_of(image) if image.missing else None
        return self._with(image, copy) if copy else image

    def find(self, candidates: list[Image]) -> Image | None:
        own = next((one for one in candidates if self._copy_of(one) is not None), None)
        return own or self._by_frames() or self._told(candidates)

    def _by_frames(self) -> Image | None:
        """By any mapped page: the first one may be missing."""
        for va, pa in self._code.read_only_pages():
            copy = self.copies.around(pa)
            if copy is not None:
                start = va - (self.copies.index(copy, pa) or 0) * PAGE
                if start >= 0 and native.core.fits(self._space.paging, start, copy.size):
                    return self._of_copy(start, copy, "frames")
        return None

    def _told(self, candidates: list[Image]) -> Image | None:
        """By the address in the process's mm_struct, or else in its auxiliary vector."""
        for word in self._words():
            self.why_none = ""
            if not word.va:
                self.why_none = f"{word.who} names no vDSO"
                return None
            for one in candidates:
                if one.va == word.va:
                    return one  # a page may be the process's own: a debugger's breakpoint copies it
            copies = [word.copy] if word.copy else self._of_abi(word.abi)
            if copies:
                return self._at(word, copies[0])
            where = self._space.hex(word.va)
            self.why_none = (
                f"{word.who} names {where}, but the image for it is not found or damaged"
            )
        return None

    def _words(self) -> Iterator[_Word]:
        noted = _by_mm(self._linux, self._space)
        if noted is not None:
            va, image = noted
            copy = self.copies.of_image(image) if va else None
            yield _Word(va, "mm", "the process's mm_struct", copy)
        vector = auxv.find(self._space, self._linux)
        if vector is not None:
            who = f"the process's auxiliary vector at {self._space.hex(vector.va)}"
            yield _Word(vector.vdso or 0, "auxv", who, abi=vector.abi)

    def _of_abi(self, abi: str) -> list[Copy]:
        copies = self.copies.all
        return [copy for copy in copies if copy.elf.abi == abi or abi == "" and len(copies) == 1]

    def _at(self, word: _Word, copy: Copy) -> Image | None:
        """The copy at the place that is named; None, and why, if it cannot be there."""
        if word.va % PAGE or not _LOWEST <= word.va <= self._user_end(copy.elf.abi) - copy.size:
            self.why_none = f"{word.who} names {word.va:#x}, which is not a possible address"
            return None
        image = self._of_copy(word.va, copy, word.found_by)
        if image is None:
            self.why_none = f"{word.who} names {self._space.hex(word.va)}, but {self.why_none}"
        return image

    def _user_end(self, abi: str) -> int:
        """Where a process's addresses end."""
        paging = self._space.paging
        if not paging.canonical:
            return split.split_of(self._space) or 1 << 32
        # Linux leaves the last page out (TASK_SIZE_MAX, arch/x86/include/asm/page_64_types.h).
        return paging.upper_part - PAGE if abi in ("64-bit", "") else TASK_SIZE_COMPAT

    def _copy_of(self, image: Image) -> Copy | None:
        """The kernel's copy that has one of the image's pages; None if there is none."""
        for index, page in enumerate(image.pages):
            copy = self.copies.around(page.pa) if page.pa is not None else None
            if copy is not None and self.copies.index(copy, page.pa or 0) == index:
                return copy
        return None

    def _with(self, image: Image, copy: Copy) -> Image:
        """The image with its missing pages from a copy."""

        def page(index: int) -> ImagePage | None:
            return self.copies.page(copy, index, image.va + index * PAGE)

        try:
            return completed(image, page)
        except ValueError:
            return image

    def _of_copy(self, va: int, copy: Copy, found_by: str) -> Image | None:
        """The kernel's image at an address of the process; None if something else is mapped
        there."""
        pages = self._code.read(va, copy.size // PAGE)
        memory = VirtualMemory(self._space)
        for index, page in enumerate(pages):
            frame = memory.translate(page.va)
            if frame is not None and self.copies.index(copy, frame) != index:
                self.why_none = f"another page is mapped at {self._space.hex(page.va)}"
                return None
        return self._with(Image(self._space, va, copy.elf, pages, found_by), copy)


def _by_mm(linux: Kernel, space: AddressSpace) -> tuple[int, int] | None:
    """mm_struct.context's vdso and vdso_image. None without types, and if the space is no
    process's."""
    if linux.offset is None:
        return None
    try:
        task = tasks.task_of_root(linux, space.root)
        if task is None or not task.mm:
            return None
        structures = Structures(linux)
        return (
            structures.read(task.mm, "mm_struct.context.vdso"),
            structures.read(task.mm, "mm_struct.context.vdso_image"),
        )
    except (Refusal, Unreadable):
        return None


def from_text(image: Image) -> str:
    """For example "2 pages: 1 the process's own, 1 the kernel's copy"."""
    words = {"process": "the process's own", "kernel": "the kernel's copy", None: "not known"}
    counts = {
        word: count
        for source, word in words.items()
        if (count := sum(page.source == source for page in image.pages))
    }
    pages = plural(len(image.pages), "page")
    if len(counts) == 1:
        return f"{pages}, {next(iter(counts))}"
    return f"{pages}: {', '.join(f'{count} {word}' for word, count in counts.items())}"
