"""Where Linux has its parts, in the kernel's own words: /proc/kcore's program headers and
/proc/kallsyms, as a test guest prints them (init.c, kcore=1 and symbols=1), the CPU's IDT register,
and the markers of the kernel's dump of its tables."""

from __future__ import annotations

import re
from typing import NamedTuple

import proc_files

MIB, GIB = 1 << 20, 1 << 30
_KCORE = re.compile(r"^init: kcore 0x([0-9a-f]+) 0x([0-9a-f]+) 0x([0-9a-f]+)$", re.M)
_MARKED = re.compile(r"---\[ (.*) \]---\n0x([0-9a-f]+)-")


class Part(NamedTuple):
    start: int
    end: int


def parts(console: str, registers: str) -> dict[str, Part]:
    """By ptmap's names for them. Text, rodata and data where kallsyms tells them; `registers` is
    QEMU's info registers."""
    rows = [tuple(int(word, 16) for word in row) for row in _KCORE.findall(console)]
    symbols = proc_files.parse_symbols(console)
    wide = any(va >> 32 for va, _, _ in rows) or any(va >> 32 for va in symbols.values())
    found = _wide(rows) if wide else _narrow(rows)
    for name, first, last in (
        ("kernel text", "_text", "_etext"),
        ("kernel rodata", "__start_rodata", "__end_rodata"),
        ("kernel data", "_sdata", "_end"),
    ):
        if first in symbols and last in symbols:
            found[name] = Part(symbols[first], symbols[last])
    idt = re.search(r"IDT= +([0-9a-f]+)", registers)
    assert idt
    found["cpu_entry_area"] = Part(int(idt[1], 16), 0)  # of which the IDT is the first page
    return found


def _wide(rows: list[tuple[int, ...]]) -> dict[str, Part]:
    found = {}
    memory = [row for row in rows if row[1] != (1 << 64) - 1 and row[0] < 0xFFFFFFFF80000000]
    if memory:
        bases = {va - pa for va, pa, _ in memory}
        assert len(bases) == 1
        base = bases.pop()
        found["direct map"] = Part(base, base + max(pa + size for _, pa, size in memory))
    others = [Part(va, va + size) for va, pa, size in rows if pa == (1 << 64) - 1]
    modules = [part for part in others if part.start >= 0xFFFFFFFF80000000]
    vmalloc = [part for part in others if part not in modules and part.end - part.start >= 1 << 40]
    vmemmap = [part for part in others if part not in modules and part not in vmalloc]
    for name, group in (("modules", modules), ("vmalloc", vmalloc), ("vmemmap", vmemmap)):
        if group:
            found[name] = Part(min(p.start for p in group), max(p.end for p in group))
    return found


def _narrow(rows: list[tuple[int, ...]]) -> dict[str, Part]:
    found = {}
    for va, pa, size in rows:
        found["lowmem" if pa == 0 else "vmalloc"] = Part(va, va + size)
    return found


def markers(console: str) -> dict[str, int]:
    """Of the kernel's dump of init_mm: where the line behind each marker begins."""
    dump = re.search(r"^init: begin \S+/kernel\n(.*?)^init: end", console, re.M | re.S)
    return {name: int(va, 16) for name, va in _MARKED.findall(dump[1])} if dump else {}
