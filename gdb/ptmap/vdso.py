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
    finder = _Finder(space, linux)
    image = finder.find()
    others = [one for one in finder.candidates if image is None or one.va != image.va]
    pages = vvar.of(space, image, linux, finder.copies) if image else None
    return Vdso(
        space, linux, finder.search, image, others, finder.why_none, pages,
        vsyscall.of(space, linux),
    )  # fmt: skip


class _Finder:
    def __init__(self, space: AddressSpace, linux: Kernel | None) -> None:
        self.space, self.linux = space, linux
        self.code = UserCode(space)
        self.search = search(self.code)
        self.copies = Copies(linux) if linux else None
        self.images = [self._completed(one) for one in self.search.images]
        self.candidates = [one for one in self.images if one.is_vdso]
        self.why_none = ""

    def find(self) -> Image | None:
        image = self._kernels_own() or self._by_frames() or self._told()
        if image is not None:
            return image
        if not self.candidates:
            self.why_none = self.why_none or self._nothing()
            return None
        image = self.candidates[0]
        if self.linux is not None:
            image.notes.append("no page of it is the kernel's own: it may be somebody's copy")
        return image

    def _nothing(self) -> str:
        if not self.search.pages and self.search.complete:
            return "the space has no executable user pages"
        text = f"{searched_text(self.search)}, and no ELF image there is a vDSO"
        if self.search.unreadable:
            text += f"; {plural(self.search.unreadable, 'table')} could not be read"
        return text + ("; there may be more" if self.search.cut else "")

    def _kernels_own(self) -> Image | None:
        return next((one for one in self.candidates if self._copy_of(one) is not None), None)

    def _by_frames(self) -> Image | None:
        """By a page that is mapped though the first one is not."""
        if self.copies is None:
            return None
        for va, pa in self.code.pages():
            if self.copies.address_of(pa) is None:
                continue
            copy = self.copies.around(pa)
            if copy is not None:
                index = ((self.copies.address_of(pa) or 0) - copy.va) // PAGE
                return self._of_copy(va - index * PAGE, copy, "frames")
        return None

    def _told(self) -> Image | None:
        """By what the kernel noted of the process, or told it."""
        if self.linux is None or self.copies is None:
            return None
        found = _by_mm(self.linux, self.space)
        if found is not None:
            va, abi, how = found[0], found[1], "mm"
            told = "the process's mm_struct"
        else:
            vector = auxv.find(self.space)
            if vector is None:
                return None
            va, abi, how = vector.vdso or 0, vector.abi, "auxv"
            told = f"the process's auxiliary vector at {self.space.hex(vector.va)}"
        if not va:
            self.why_none = f"{told} names none"
            return None
        at = [one for one in self.candidates if one.va == va]
        if at:
            return at[0]  # a debugger's breakpoint in the guest makes a page the process's own
        for copy in self.copies.all:
            if copy.elf.abi == abi or abi == "" and len(self.copies.all) == 1:
                return self._of_copy(va, copy, how)
        self.why_none = f"{told} names {self.space.hex(va)}, but no image is found for it"
        return None

    # The kernel's copy

    def _copy_of(self, image: Image) -> Copy | None:
        if self.copies is None:
            return None
        for index, page in enumerate(image.pages):
            copy = self.copies.around(page.pa) if page.pa is not None else None
            if copy is not None and self.copies.address_of(page.pa or 0) == copy.va + index * PAGE:
                return copy
        return None

    def _completed(self, image: Image) -> Image:
        """With what it lacks from the kernel's copy, where it is the kernel's."""
        copy = self._copy_of(image) if image.missing else None
        return self._with(image, copy) if copy else image

    def _with(self, image: Image, copy: Copy) -> Image:
        def page(index: int) -> Page | None:
            assert self.copies is not None
            return self.copies.page(copy, index, image.va + index * PAGE)

        try:
            return completed(image, page)
        except ValueError:
            return image

    def _of_copy(self, va: int, copy: Copy, how: str) -> Image | None:
        """The kernel's image as the process has it at an address; None where something else is
        mapped there."""
        pages = [self.code.read(va + at) for at in range(0, copy.size, PAGE)]
        assert self.copies is not None
        for index, page in enumerate(pages):
            frame = self.space.linear.translate(page.va)
            if frame is not None and self.copies.address_of(frame) != copy.va + index * PAGE:
                self.why_none = f"{self.space.hex(page.va)}, where it belongs, has another page"
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
