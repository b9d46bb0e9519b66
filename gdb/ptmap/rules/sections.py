"""The rights that the sections of loaded ELF files ask for."""

from __future__ import annotations

import os
from dataclasses import dataclass

from .. import elf_sections, native, symbol_files
from ..errors import Refusal
from ..text import printable

_PAGE = 4096


@dataclass(frozen=True)
class Section:
    """Where GDB has one, and the rights that its flags ask for."""

    name: str
    start: int
    end: int
    write: bool
    exec: bool
    file: str

    @property
    def pages(self) -> tuple[int, int]:
        """First and last address of the pages that it lies in."""
        return self.start & -_PAGE, (self.end - 1) | (_PAGE - 1)


@dataclass(frozen=True)
class Pages:
    """Whole pages and the sections that have a part of them."""

    first: int
    last: int
    sections: tuple[Section, ...]

    @property
    def write(self) -> bool:
        return any(section.write for section in self.sections)

    @property
    def exec(self) -> bool:
        return any(section.exec for section in self.sections)


def loaded() -> list[Section]:
    """Of all files but an image of ptmap's own (vdso -load), by rising address. Error: Refusal
    where there are none, or a file cannot be read."""
    found: list[Section] = []
    for path, places in elf_sections.files().items():
        if symbol_files.is_ours(path):
            continue
        flags = _flags(path)
        for name, start, end in places:
            kinds = flags.get((name, end - start))
            if not kinds:
                raise Refusal(f"{printable(path)} is not what GDB loaded: it has no such {name}")
            kind = kinds.pop(0) if len(kinds) > 1 else kinds[0]
            if kind is not None:
                found.append(Section(name, start, end, *kind, path))
    if not found:
        raise Refusal("GDB has no sections of an ELF file (file FILE, add-symbol-file FILE)")
    return sorted(found, key=lambda section: (section.start, section.end))


def named(name: str) -> list[Section]:
    """Those of this name. Error: Refusal where there is none."""
    sections = loaded()
    found = [section for section in sections if section.name == name]
    if not found:
        there = " ".join(dict.fromkeys(printable(section.name) for section in sections))
        raise Refusal(f"no loaded ELF file has a section {printable(name)}; there is {there}")
    return found


def by_pages(sections: list[Section]) -> list[Pages]:
    """The pages of sections by rising address; those that several share are apart."""
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


def _flags(path: str) -> dict[tuple[str, int], list[tuple[bool, bool] | None]]:
    """By name and size, in the file's order: (writable, executable) of each section that is loaded;
    None for one that only looks as if it were (.tbss)."""
    try:
        with open(path, "rb") as file:
            sections = native.core().elf_sections(file.fileno())
    except OSError as error:
        raise Refusal(f"{printable(path)}: {error.strerror}") from None
    except ValueError as error:
        raise Refusal(f"{printable(path)}: its sections cannot be read: {error}") from None
    found: dict[tuple[str, int], list[tuple[bool, bool] | None]] = {}
    for name, size, write, exec_, has_memory in sections:
        kind = (write, exec_) if has_memory else None
        found.setdefault((os.fsdecode(name), size), []).append(kind)
    return found
