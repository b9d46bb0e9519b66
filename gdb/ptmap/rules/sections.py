"""The rights that the sections of loaded ELF files ask for."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from .. import elf_sections, symbol_files
from ..errors import Refusal
from ..text import printable

_WRITE, _ALLOC, _EXECINSTR, _TLS = 1, 2, 4, 0x400  # sh_flags
_NOBITS = 8  # sh_type
_PAGE = 4096
# Of a section header: struct format, and its fields' places (ELF-32, ELF-64).
_HEADERS = {1: ("<10I", 2, 5), 2: ("<IIQQQQIIQQ", 2, 5)}


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
            content = file.read()
    except OSError as error:
        raise Refusal(f"{printable(path)}: {error.strerror}") from None
    try:
        return _read_flags(content)
    except (struct.error, IndexError, KeyError, ValueError):
        raise Refusal(f"{printable(path)}: its section headers cannot be read") from None


def _read_flags(content: bytes) -> dict[tuple[str, int], list[tuple[bool, bool] | None]]:
    if content[:4] != b"\x7fELF" or content[5] != 1:
        raise ValueError
    wide = content[4] == 2
    layout, flags_at, size_at = _HEADERS[content[4]]
    (at,) = struct.unpack_from("<Q" if wide else "<I", content, 40 if wide else 32)
    step, count, names = struct.unpack_from("<3H", content, 58 if wide else 46)
    rows = [struct.unpack_from(layout, content, at + index * step) for index in range(count)]
    strings = rows[names][4]
    found: dict[tuple[str, int], list[tuple[bool, bool] | None]] = {}
    for row in rows:
        flags = row[flags_at]
        if not flags & _ALLOC:
            continue
        begin = strings + row[0]
        name = content[begin:content.index(b"\0", begin)].decode(errors="replace")
        kind = None if flags & _TLS and row[1] == _NOBITS else (
            bool(flags & _WRITE), bool(flags & _EXECINSTR))  # fmt: skip
        found.setdefault((name, row[size_at]), []).append(kind)
    return found
