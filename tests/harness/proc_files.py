"""/proc/PID/maps and /proc/PID/pagemap as judges of the user part, as a test guest prints them on
its console (init.c, pagemap=1); and what it tells of /proc/kallsyms (symbols=1)."""

from __future__ import annotations

import re
from typing import Any, Iterable, NamedTuple

import compare
import judges
from compare import Report, Run

judges.DEFECTS.update(
    {
        "pagemap-no-access": "pagemap calls the pages of a PROT_NONE range present; their P is 0",
        "no-nx": "without NX what can be read can be executed, whatever /proc/PID/maps says",
        "pae-nx-lost": "Linux 6.1 with PAE sets no NX on user pages: vm_get_page_prot() in "
        "arch/x86/mm/pgprot.c carries their bits through an unsigned long of 32 bits",
    }
)

PRESENT, SWAPPED = 1 << 63, 1 << 62
_FRAME = (1 << 55) - 1
_MAPS = re.compile(
    r"^([0-9a-f]{8,16})-([0-9a-f]{8,16}) ([r-])([w-])([x-])([ps]) "
    r"[0-9a-f]+ [0-9a-f]+:[0-9a-f]+ \d+ *(.*)$",
    re.M,
)
_SYMBOL = re.compile(r"^init: symbol (\S+) 0x([0-9a-f]+)$", re.M)
_PAGEMAP = re.compile(r"^init: pagemap 0x([0-9a-f]+) 0x([0-9a-f]+)$", re.M)


class MapsRange(NamedTuple):
    va: int
    size: int
    read: bool
    write: bool
    exec: bool
    shared: bool
    name: str  # a path, "[stack]", or nothing


def parse_maps(console: str) -> list[MapsRange]:
    ranges = []
    for start, end, read, write, exec_, shared, name in _MAPS.findall(console):
        va = int(start, 16)
        ranges.append(
            MapsRange(
                va, int(end, 16) - va, read == "r", write == "w", exec_ == "x", shared == "s", name
            )
        )
    return ranges


def parse_pagemap(console: str) -> dict[int, int]:
    """Entries that are not 0, by address."""
    return {int(va, 16): int(entry, 16) for va, entry in _PAGEMAP.findall(console)}


def parse_symbols(console: str) -> dict[str, int]:
    return {name: int(address, 16) for name, address in _SYMBOL.findall(console)}


def swap_entry(entry: int) -> tuple[int, int]:
    """Type and offset of a swapped page: see pagemap.rst in the kernel's documentation."""
    return entry & 31, entry >> 5 & (1 << 50) - 1


def with_pagemap(
    document: dict[str, Any], pagemap: dict[int, int], maps: Iterable[MapsRange], *, guest: str = ""
) -> Report:
    """The frame of every 4 KiB page of the process, no page more and none less."""
    no_access = [Run(r.va, r.size, None, None) for r in maps if not (r.read or r.write or r.exec)]
    theirs = list(
        compare.merged(
            Run(va, 4096, (entry & _FRAME) << 12, None)
            for va, entry in sorted(pagemap.items())
            if entry & PRESENT
        )
    )
    mine = list(
        compare.merged(
            run._replace(attributes=None, sizes=frozenset((4096,))) for run in _user_runs(document)
        )
    )
    report = Report("pagemap", _pages(theirs), _pages(mine), guest=guest)
    for a, b in compare.overlay(theirs, mine):
        if a and b:
            if a.pa != b.pa:
                report.note(a.size // 4096, f"pagemap {_text(a)}, ptmap {_text(b)}")
        elif a:
            for part, forbidden in compare.overlay([a], no_access):
                if part and forbidden:
                    report.excepted["pagemap-no-access"] += part.size // 4096
                elif part:
                    report.note(part.size // 4096, f"only pagemap has {_text(part)}")
        elif b:
            report.note(b.size // 4096, f"only ptmap has {_text(b)}")
    return report


def with_maps(document: dict[str, Any], maps: Iterable[MapsRange], *, guest: str = "") -> Report:
    """Every page of the process lies in a range of /proc/PID/maps and has no right beyond it."""
    theirs = [Run(r.va, r.size, None, (r.read, r.write, r.exec)) for r in maps if not r.va >> 63]
    mine = list(_user_runs(document))
    lost = {"32-bit": "no-nx", "pae": "pae-nx-lost"}.get(document["mode"])
    report = Report("/proc/maps", _pages(theirs), _pages(mine), guest=guest)
    for a, b in compare.overlay(theirs, mine):
        if b is None:
            continue
        pages = b.size // 4096
        user, write, exec_ = b.attributes[:3]
        if a is None:
            report.note(pages, f"only ptmap has {_text(b)}")
            continue
        may_read, may_write, may_exec = a.attributes
        # On x86 what can be written or executed can be read.
        if not user or not (may_read or may_write or may_exec) or write and not may_write:
            report.note(pages, f"/proc/maps {_text(a)}, ptmap {_text(b)}")
        elif exec_ and not may_exec:
            if lost:
                report.excepted[lost] += pages
            else:
                report.note(pages, f"/proc/maps {_text(a)}, ptmap {_text(b)}")
    return report


def _user_runs(document: dict[str, Any]) -> Iterable[Run]:
    """The process's part of a map: with 64 bits all of the lower half, and what user mode has."""
    wide = document["mode"] in ("4-level", "5-level")
    for run in compare.from_json(document).runs:
        if not run.va >> 63 and (wide or run.attributes[0]):
            yield run


def _pages(runs: list[Run]) -> int:
    return sum(run.size for run in runs) // 4096


def _text(run: Run) -> str:
    pa = "" if run.pa is None else f" -> {run.pa:#x}"
    rights = "" if run.attributes is None else f" {run.attributes}"
    return f"{run.va:#x}+{run.size:#x}{pa}{rights}"
