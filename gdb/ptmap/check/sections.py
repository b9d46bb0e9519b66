"""The rights that the sections of loaded ELF files ask for."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import NamedTuple

from ..base import native
from ..base.errors import Refusal
from ..base.interval import Interval
from ..base.text import printable
from ..context import elf_sections, kernel_files
from ..debugger import files, symbol_files
from ..linux.kernel import Kernel
from ..spaces import kpti
from ..spaces.address_space import AddressSpace

_PAGE = 4096
# arch/x86/kernel/vmlinux.lds.S; modules have no .brk
_OF_KERNELS = {".text", ".data", ".brk", ".init.text"}
_PER_CPU, _SMP_LOCKS = ".data..percpu", ".smp_locks"


@dataclass(frozen=True)
class Section:
    """A section's addresses, and the rights that its flags ask for."""

    name: str
    start: int
    end: int
    write: bool
    exec: bool
    file: str
    flagged_both: bool  # SHF_WRITE and SHF_EXECINSTR: exec is allowed then, not demanded
    kernel: LinkedKernel | None = (
        None  # if it is a Linux kernel's: then addresses are link addresses
    )

    @property
    def pages(self) -> Interval:
        """First and last address of its pages."""
        return Interval(self.start & -_PAGE, (self.end - 1) | (_PAGE - 1))


@dataclass(frozen=True)
class Pages:
    """Whole pages, and the sections that lie on them."""

    first: int
    last: int
    sections: tuple[Section, ...]

    @property
    def write(self) -> bool:
        return any(section.write for section in self.sections)

    @property
    def must_write(self) -> bool:
        """Not for a kernel's section: Linux makes some data read-only, as the IDT in .bss."""
        return any(section.write and section.kernel is None for section in self.sections)

    @property
    def exec(self) -> bool:
        return any(section.exec for section in self.sections)

    @property
    def must_exec(self) -> bool:
        return any(section.exec and not section.flagged_both for section in self.sections)


@dataclass(frozen=True)
class LinkedKernel:
    """Link addresses in a Linux kernel's ELF file."""

    text: int
    initial: range  # what is freed after boot


def loaded() -> list[Section]:
    """Sections of all files, except an image that `vdso -load` loaded, by rising address. A Linux
    kernel's have link addresses: see placed(). Error: Refusal if there are none, or a file cannot
    be read."""
    found: list[Section] = []
    listed = elf_sections.files()
    for path, places in listed.items():
        if not symbol_files.is_ours(path):
            found += _of_file(path, places)
    for path in symbol_files.paths():
        if path not in listed:  # GDB does not list the file that `ptmap kaslr` loads
            found += _of_kernel(path, _headers(path))
    if not found:
        raise Refusal("GDB has no sections of an ELF file (file FILE, add-symbol-file FILE)")
    return sorted(found, key=lambda section: (section.start, section.end))


def named(sections: list[Section], name: str) -> list[Section]:
    """The sections with this name. Error: Refusal if there is none."""
    found = [section for section in sections if section.name == name]
    if not found:
        there = " ".join(dict.fromkeys(printable(section.name) for section in sections))
        raise Refusal(f"no loaded ELF file has a section {printable(name)}; there are {there}")
    return found


@dataclass(frozen=True)
class Placed:
    """Sections at their places in a space; notes say which were left out."""

    sections: list[Section]
    notes: tuple[str, ...] = ()


def placed(space: AddressSpace, linux: Kernel | None, sections: list[Section]) -> Placed:
    """Moves a Linux kernel's sections to where KASLR put them. Leaves out those that are freed
    after boot and those of which each CPU has a copy. Error: Refusal if the place is not known."""
    if not any(section.kernel for section in sections):
        return Placed(sections, _of_both(sections))
    if kpti.half(space) == "user":
        raise Refusal("this is KPTI's user root, which does not map the kernel: -half kernel")
    if linux is None:
        raise Refusal("a Linux kernel's ELF file is loaded, but these tables have no Linux")
    if linux.offset is None:
        raise Refusal(
            "the loaded ELF file is not this Linux kernel's, or has no symbols "
            "(`ptmap kaslr VMLINUX`)"
        )
    left_out = {one: why for one in sections if one.kernel and (why := _why_left_out(one))}
    stay = [_moved(one, linux) for one in sections if one not in left_out]
    notes = [
        f"{', '.join(printable(one.name) for one in sections if left_out.get(one) == why)} "
        f"left out: {why}"
        for why in dict.fromkeys(left_out.values())
    ]
    notes.append("of Linux's own sections those before .data are read-only, others may be writable")
    return Placed(stay, (*notes, *_of_both(stay)))


def _of_both(sections: list[Section]) -> tuple[str, ...]:
    both = dict.fromkeys(printable(one.name) for one in sections if one.flagged_both)
    if not both:
        return ()
    return (f"{', '.join(both)}: flagged write and exec, so exec is allowed and not demanded",)


def _moved(section: Section, linux: Kernel) -> Section:
    if section.kernel is None:
        return section
    offset = linux.image.text.first - section.kernel.text
    mask = (1 << (64 if linux.space.paging.canonical else 32)) - 1
    start = section.start + offset & mask
    return replace(section, start=start, end=start + section.end - section.start)


def _why_left_out(section: Section) -> str | None:
    """None if it stays."""
    if section.name == _PER_CPU:
        return "each CPU has a copy"
    # free_initmem(), arch/x86/mm/init.c. .init.scratch lies behind .brk.
    freed = section.kernel is not None and section.start in section.kernel.initial
    if freed or section.name.startswith(".init."):
        return "the kernel frees it after boot"
    if section.name == _SMP_LOCKS:  # alternative_instructions(), arch/x86/kernel/alternative.c
        return "the kernel frees it if it has one CPU"
    return None


def by_pages(sections: list[Section]) -> list[Pages]:
    """The pages of sections by rising address; a page that several sections share is by itself."""
    borders = sorted({at for s in sections for at in (s.pages[0], s.pages[1] + 1)})
    waiting = sorted(sections, key=lambda s: s.start, reverse=True)
    here: list[Section] = []
    pages = []
    for first, after in zip(borders, borders[1:]):
        while waiting and waiting[-1].pages[0] <= first:
            here.append(waiting.pop())
        here = [section for section in here if section.pages[1] >= first]
        if here:
            pages.append(Pages(first, after - 1, tuple(here)))
    return pages


def _of_file(path: str, places: list[tuple[str, int, int]]) -> list[Section]:
    """A file's sections where GDB has them; a kernel's at link addresses. Error: Refusal."""
    headers = _headers(path)
    if kernel := _of_kernel(path, headers):
        return kernel
    # By name and size, in the file's order.
    kinds: dict[tuple[str, int], list[_Header]] = {}
    for header in headers:
        kinds.setdefault((header.name, header.size), []).append(header)
    found = []
    for name, start, end in places:
        same = kinds.get((name, end - start))
        if not same:
            raise Refusal(
                f"{printable(path)} has changed since GDB loaded it: its {printable(name)} differs"
            )
        header = same.pop(0) if len(same) > 1 else same[0]
        if header.has_memory:
            both = header.write and header.exec
            found.append(Section(name, start, end, header.write, header.exec, path, both))
    return found


def _of_kernel(path: str, headers: list[_Header]) -> list[Section]:
    """A Linux kernel's sections at their link addresses; empty for another file."""
    by_name = {header.name: header for header in headers}
    if not _OF_KERNELS <= by_name.keys():
        return []
    file = LinkedKernel(by_name[".text"].start, _initial(path))
    # After boot Linux sets rights by region, whatever the sections' flags (mark_rodata_ro()).
    data = by_name[".data"].start
    return [
        Section(
            one.name,
            one.start,
            one.start + one.size,
            one.start >= data,
            one.exec,
            path,
            one.write and one.exec,
            file,
        )
        for one in headers
        if one.has_memory and one.size
    ]


def _initial(path: str) -> range:
    try:
        kernel = kernel_files.inspect(path)
    except Refusal:  # it was stripped
        return range(0)
    return range(kernel.init_begin, kernel.init_end)


class _Header(NamedTuple):
    """See _core.elf_sections."""

    name: str
    start: int
    size: int
    write: bool
    exec: bool
    has_memory: bool  # False for .tbss, which has addresses but takes no memory


def _headers(path: str) -> list[_Header]:
    """Headers of the loaded sections, in the file's order. Error: Refusal."""
    try:
        with files.open_regular(path) as file:
            sections = native.core.elf_sections(file.fileno())
    except OSError as error:
        raise Refusal(f"{printable(path)}: {error.strerror}") from None
    except ValueError as error:
        raise Refusal(f"{printable(path)}: its sections cannot be read: {error}") from None
    return [
        _Header(os.fsdecode(name), start, size, write, exec_, has_memory)
        for name, start, size, write, exec_, has_memory in sections
    ]
