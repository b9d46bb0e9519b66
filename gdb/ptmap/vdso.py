"""The vDSO of a space: which image is it, and all of its bytes.

In this order: the images behind the user's executable pages; on Linux the one whose frames are the
kernel's own image; where its first page was never touched, by the frames of the others; where none
was, by what the kernel (with symbols) or the process's auxiliary vector says of its place. Pages
that the process does not have come from the kernel's copy.
"""

from __future__ import annotations

from dataclasses import dataclass

from .address_space import AddressSpace
from .command import plural
from .elf_images import (PAGE, Image, Page, Search, UserCode, completed, search,
                         searched_text)  # fmt: skip
from .errors import Refusal
from .linux import auxv, kernel, tasks, vsyscall, vvar
from .linux.kernel import Kernel
from .linux.structures import Structures
from .linux.vdso_images import Copies, Copy
from .virtual_memory import Unreadable


@dataclass
class Vdso:
    """What there is of it in a space."""

    space: AddressSpace
    linux: Kernel | None
    search: Search
    image: Image | None
    others: list[Image]  # further ones that look like a vDSO
    why_none: str  # no image: why
    vvar: vvar.Vvar | None
    vsyscall: vsyscall.Vsyscall | None

    @property
    def complete(self) -> bool:
        """All was looked at where something is missing, and every byte is known."""
        if self.image is None:
            return self.search.complete
        return not self.image.missing and not self.image.elf.problems


def find(space: AddressSpace) -> Vdso:
    linux = kernel.find(space)
    code = UserCode(space)
    searched = search(code)
    finder = _OnLinux(space, linux, code) if linux else None
    images = [finder.completed(one) for one in searched.images] if finder else searched.images
    candidates = [one for one in images if one.is_vdso]
    image = finder.find(candidates) if finder else None
    if image is None and candidates:
        image = candidates[0]
        if linux is not None:
            image.notes.append("no page of it is the kernel's own: it may be somebody's copy")
    why = "" if image else (finder.why_none if finder else "") or _nothing(searched)
    return Vdso(
        space, linux, searched, image,
        others=[one for one in candidates if image is None or one.va != image.va],
        why_none=why,
        vvar=vvar.of(space, image, linux, finder.copies if finder else None) if image else None,
        vsyscall=vsyscall.of(space, linux),
    )  # fmt: skip


def _nothing(searched: Search) -> str:
    if not searched.pages and searched.complete:
        return "the space has no executable user pages"
    text = f"{searched_text(searched)}, and no ELF image there is a vDSO"
    if searched.unreadable:
        text += f"; {plural(searched.unreadable, 'table')} could not be read"
    return text + ("; there may be more" if searched.cut else "")


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
        for va, pa in self._code.pages():
            copy = self.copies.around(pa)
            if copy is not None:
                index = self.copies.index(copy, pa) or 0
                return self._of_copy(va - index * PAGE, copy, "frames")
        return None

    def _told(self, candidates: list[Image]) -> Image | None:
        """By what the kernel noted of the process, or told it."""
        found = _by_mm(self._linux, self._space)
        if found is not None:
            (va, abi), how, told = found, "mm", "the process's mm_struct"
        else:
            vector = auxv.find(self._space, self._linux)
            if vector is None:
                return None
            va, abi, how = vector.vdso or 0, vector.abi, "auxv"
            told = f"the process's auxiliary vector at {self._space.hex(vector.va)}"
        if not va:
            self.why_none = f"{told} names none"
            return None
        for one in candidates:
            if one.va == va:
                return one  # a debugger's breakpoint in the guest makes a page the process's own
        for copy in self.copies.all:
            if copy.elf.abi == abi or abi == "" and len(self.copies.all) == 1:
                return self._of_copy(va, copy, how)
        self.why_none = f"{told} names {self._space.hex(va)}, but no image is found for it"
        return None

    def _copy_of(self, image: Image) -> Copy | None:
        """The kernel's copy, where a page of the image is one of its."""
        for index, page in enumerate(image.pages):
            copy = self.copies.around(page.pa) if page.pa is not None else None
            if copy is not None and self.copies.index(copy, page.pa or 0) == index:
                return copy
        return None

    def _with(self, image: Image, copy: Copy) -> Image:
        """With its missing pages from a copy."""

        def page(index: int) -> Page | None:
            return self.copies.page(copy, index, image.va + index * PAGE)

        try:
            return completed(image, page)
        except ValueError:
            return image

    def _of_copy(self, va: int, copy: Copy, how: str) -> Image | None:
        """The kernel's image as the process has it at an address; None where something else is
        mapped there."""
        pages = [self._code.read(va + at) for at in range(0, copy.size, PAGE)]
        for index, page in enumerate(pages):
            frame = self._space.linear.translate(page.va)
            if frame is not None and self.copies.index(copy, frame) != index:
                self.why_none = f"{self._space.hex(page.va)}, where it belongs, has another page"
                return None
        return self._with(Image(va, copy.elf, pages, how), copy)


def _by_mm(linux: Kernel, space: AddressSpace) -> tuple[int, str] | None:
    """mm_struct.context's vdso and the kind of its image; "" where that is not known. None without
    types, and where the space is no process's."""
    if linux.offset is None:
        return None
    try:
        task = tasks.task_of_root(linux, space.root)
        if task is None or not task.mm:
            return None
        structures = Structures(linux)
        va = structures.read(task.mm, "mm_struct.context.vdso")
        image = structures.read(task.mm, "mm_struct.context.vdso_image")
    except (Refusal, Unreadable):
        return None
    kinds = {"vdso_image_64": "64-bit", "vdso_image_32": "32-bit", "vdso_image_x32": "x32"}
    return va, next((abi for name, abi in kinds.items() if linux.symbol(name) == image), "")


def from_text(image: Image) -> str:
    """"2 pages: 1 of the process, 1 of the kernel's copy" """
    words = {"process": "of the process", "kernel": "of the kernel's copy", None: "not known"}
    counts = [
        f"{count} {word}"
        for source, word in words.items()
        if (count := sum(page.source == source for page in image.pages))
    ]
    return f"{plural(len(image.pages), 'page')}: {', '.join(counts)}"
