"""The vDSO of a space: which image is it, and all of its bytes.

In this order: the images behind the user's executable pages; on Linux the one whose frames are the
kernel's own image; where its first page was never touched, by the frames of the others; where none
was, by what the kernel (with symbols) or the process's auxiliary vector says of its place. Pages
that the process does not have come from the kernel's copy.
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

_LOWEST = 1 << 16  # that Linux gives a process unasked (vm.mmap_min_addr), vvar pages included


@dataclass
class Vdso:
    """What there is of it in a space."""

    space: AddressSpace
    linux: Kernel | None
    search: Search
    image: Image | None
    others: list[Image]  # further ones that look like a vDSO
    why_none: str  # no image: why
    certain: bool  # no image: there is none, and not only none to be found
    vvar: vvar.Vvar | None
    vsyscall: vsyscall.Vsyscall | None

    @property
    def complete(self) -> bool:
        """All that could be another was looked at, and every byte is known and sound. Over a slow
        line that is what the kernel names."""
        image = self.image
        whole = image is None or not image.missing and not image.elf.problems
        return whole and self.search.complete


def find(space: AddressSpace) -> Vdso:
    linux = recognition.find(space)
    # On Linux the kernel's part tells of its own copies.
    code = UserCode(space, whole=linux is not None and not space.memory.source.keeps)
    # Over a slow line not every page is looked into, where the kernel says which one it is.
    noted = _by_mm(linux, space) if linux and space.memory.source.keeps else None
    searched = look_at(code, noted[0]) if noted else search(code)
    finder = _OnLinux(space, linux, code) if linux else None
    images = [finder.completed(one) for one in searched.images] if finder else searched.images
    candidates = [one for one in images if one.elf.is_vdso]
    image = finder.find(candidates) if finder else None
    certain = finder is not None and bool(finder.why_none)
    if image is None and candidates and not certain:
        image = candidates[0]
        if linux is not None:
            image.notes.append("no page of it is the kernel's own: it may be somebody's copy")
            finder = None  # it has no vvar pages then
    why = "" if image else (finder.why_none if finder else "") or _nothing(searched, linux)
    return Vdso(
        space,
        linux,
        searched,
        image,
        others=[one for one in candidates if image is None or one.va != image.va],
        why_none=why,
        certain=linux is None or certain or not searched.pages,
        vvar=vvar.of(space, image, linux, finder.copies if finder else None) if image else None,
        vsyscall=vsyscall.of(space, linux),
    )


def _nothing(searched: Search, linux: Kernel | None) -> str:
    if not searched.pages and searched.complete:
        return "the space has no executable user pages"
    text = f"{searched}; none of the ELF images there is a vDSO"
    return text + (", and no auxiliary vector is found on the stack" if linux else "")


@dataclass(frozen=True)
class _Word:
    """What somebody says of the vDSO's place."""

    va: int  # 0: there is none
    how: str  # Image.how
    who: str  # for people
    copy: Copy | None = None  # the kernel's image that it names
    abi: str = ""  # else the kind of it; "" if that is not known


class _OnLinux:
    """What only Linux has: its own copies, and what it says of the place."""

    def __init__(self, space: AddressSpace, linux: Kernel, code: UserCode) -> None:
        self._space, self._linux, self._code = space, linux, code
        self.copies = Copies(linux)
        self.why_none = ""  # nothing was found, and that is certain

    def completed(self, image: Image) -> Image:
        """With what it lacks from the kernel's copy, where it is the kernel's."""
        copy = self._copy_of(image) if image.missing else None
        return self._with(image, copy) if copy else image

    def find(self, candidates: list[Image]) -> Image | None:
        own = next((one for one in candidates if self._copy_of(one) is not None), None)
        return own or self._by_frames() or self._told(candidates)

    def _by_frames(self) -> Image | None:
        """By a page that is mapped though the first one is not."""
        for va, pa in self._code.read_only_pages():
            copy = self.copies.around(pa)
            if copy is not None:
                start = va - (self.copies.index(copy, pa) or 0) * PAGE
                if start >= 0 and native.core.fits(self._space.paging, start, copy.size):
                    return self._of_copy(start, copy, "frames")
        return None

    def _told(self, candidates: list[Image]) -> Image | None:
        """By what the kernel noted of the process, else by what it told it."""
        for word in self._words():
            self.why_none = ""
            if not word.va:
                self.why_none = f"{word.who} names none"
                return None
            for one in candidates:
                if one.va == word.va:
                    return (
                        one  # a debugger's breakpoint in the guest makes a page the process's own
                    )
            for copy in [word.copy] if word.copy else self._of_abi(word.abi):
                return self._at(word, copy)
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
            self.why_none = f"{word.who} names {word.va:#x}, where none can be"
            return None
        image = self._of_copy(word.va, copy, word.how)
        if image is None:
            self.why_none = f"{word.who} names {self._space.hex(word.va)}, but {self.why_none}"
        return image

    def _user_end(self, abi: str) -> int:
        """Where addresses of a process end."""
        paging = self._space.paging
        if not paging.canonical:
            return split.split_of(self._space) or 1 << 32
        # Linux leaves the last page out (TASK_SIZE_MAX, arch/x86/include/asm/page_64_types.h).
        return int(paging.upper_part) - PAGE if abi in ("64-bit", "") else TASK_SIZE_COMPAT

    def _copy_of(self, image: Image) -> Copy | None:
        """The kernel's copy, where a page of the image is one of its."""
        for index, page in enumerate(image.pages):
            copy = self.copies.around(page.pa) if page.pa is not None else None
            if copy is not None and self.copies.index(copy, page.pa or 0) == index:
                return copy
        return None

    def _with(self, image: Image, copy: Copy) -> Image:
        """With its missing pages from a copy."""

        def page(index: int) -> ImagePage | None:
            return self.copies.page(copy, index, image.va + index * PAGE)

        try:
            return completed(image, page)
        except ValueError:
            return image

    def _of_copy(self, va: int, copy: Copy, how: str) -> Image | None:
        """The kernel's image as the process has it at an address; None where something else is
        mapped there."""
        pages = self._code.read(va, copy.size // PAGE)
        memory = VirtualMemory(self._space)
        for index, page in enumerate(pages):
            frame = memory.translate(page.va)
            if frame is not None and self.copies.index(copy, frame) != index:
                self.why_none = f"at {self._space.hex(page.va)} is another page"
                return None
        return self._with(Image(self._space, va, copy.elf, pages, how), copy)


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
    """As "2 pages: 1 the process's own, 1 the kernel's copy"."""
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
