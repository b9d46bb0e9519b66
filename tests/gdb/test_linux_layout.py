"""What is worked out of ranges, structures and registers that are made up here: no Linux boots."""

from __future__ import annotations

import json
import struct
from typing import Any, Iterator

import pytest

from gdbsession import GdbSession, ptmap_script
from machine import BareMachine
from tables import KIB4, P, RW, US, Tables

MIB, GIB, TIB = 1 << 20, 1 << 30, 1 << 40
CPU_ENTRY_AREA = 0xFFFFFE0000000000


@pytest.fixture(scope="module")
def gdb() -> Iterator[GdbSession]:
    with GdbSession(script=ptmap_script()) as session:
        yield session


# Where Linux's parts begin and end

RANGES = """
from types import SimpleNamespace
from ptmap.linux import layout
def ranges(*rows):
    return [SimpleNamespace(va=va, pa=pa, size=size, page_sizes=sizes)
            for va, pa, size, sizes in rows]
def direct_map(*rows):
    return ends(layout._direct_map(SimpleNamespace(ranges=ranges(*rows)), {lowest}))
def vmemmap(*rows):
    return ends(layout._vmemmap(ranges(*rows), {struct_pages}))
def ends(found):
    return found and [found.first, found.end]
"""
LOWEST, STRUCT_PAGES = 0xFFFF888000000000, 8 * MIB
DEFINED = RANGES.format(lowest=LOWEST, struct_pages=STRUCT_PAGES)
BASE = LOWEST + 5 * GIB

Row = tuple[int, int, int, int]


def ask(gdb: GdbSession, function: str, *rows: Row) -> Any:
    return gdb.python(f"{DEFINED}\nresult = {function}(*{rows!r})")


def direct(pa: int, size: int, base: int = BASE) -> Row:
    return (base + pa, pa, size, 1)


IN_RANGES = """
from types import SimpleNamespace
from ptmap.base.interval import Interval
from ptmap.spaces import maps
found = [SimpleNamespace(va=va, size=size) for va, size in {rows}]
result = [
    [[r.va for r in maps.overlapping(found, Interval.until(start, end))],
     [r.va for r in maps.beginning_in(found, start, end)]]
    for start, end in {asked}
]
"""


def test_ranges_by_address(gdb: GdbSession) -> None:
    rows = [(10, 5), (15, 5), (30, 10), (50, 1)]
    asked = [(start, end) for start in range(8, 54) for end in range(start + 1, 55)]
    expected = [
        [
            [va for va, size in rows if va < end and start < va + size],
            [va for va, _ in rows if start <= va < end],
        ]
        for start, end in asked
    ]
    assert gdb.python(IN_RANGES.format(rows=rows, asked=asked)) == expected
    assert gdb.python(IN_RANGES.format(rows=[], asked=[(1, 2)])) == [[[], []]]


def test_direct_map(gdb: GdbSession) -> None:
    """From where physical 0 would be, though Linux leaves page 0 out, over holes in RAM."""
    low, high = direct(0x1000, 0x9E000), direct(MIB, 63 * MIB)
    assert ask(gdb, "direct_map", low, high) == [BASE, BASE + 64 * MIB]
    above = direct(4 * GIB, GIB)
    assert ask(gdb, "direct_map", low, high, above) == [BASE, BASE + 5 * GIB]
    vmalloc = (BASE + 40 * TIB, 0x5000, 0x1000, 1)
    assert ask(gdb, "direct_map", low, high, vmalloc) == [BASE, BASE + 64 * MIB]
    below, entry_area = direct(0, MIB, LOWEST - GIB), (CPU_ENTRY_AREA, 0x7000, 0x1000, 1)
    assert ask(gdb, "direct_map", below, low, entry_area) == [BASE, BASE + 0x9F000]


def test_no_direct_map(gdb: GdbSession) -> None:
    assert ask(gdb, "direct_map") is None
    assert ask(gdb, "direct_map", direct(0, MIB, BASE + 2 * MIB)) is None
    assert ask(gdb, "direct_map", direct(MIB, MIB)) is None
    assert ask(gdb, "direct_map", (CPU_ENTRY_AREA, 0, MIB, 1)) is None


def test_vmemmap(gdb: GdbSession) -> None:
    """The first ranges on 1 GiB in large pages may be vmalloc's: those behind are too far off."""
    vmalloc, vmemmap = BASE + 4 * TIB, BASE + 40 * TIB
    stack, huge = (vmalloc + GIB + 0x4000, 0x5000, 0x4000, 1), (vmalloc + 2 * GIB, 0, 2 * MIB, 2)
    first, second = (vmemmap, GIB, 2 * MIB, 2), (vmemmap + 6 * MIB, 0, 2 * MIB, 2)
    found = [vmemmap, vmemmap + STRUCT_PAGES]
    assert ask(gdb, "vmemmap", stack, first, second) == found
    assert ask(gdb, "vmemmap", stack, huge, first, second) == found
    none = [CPU_ENTRY_AREA, CPU_ENTRY_AREA]
    beyond = (vmemmap + STRUCT_PAGES, 0, 2 * MIB, 2)
    assert ask(gdb, "vmemmap", stack, huge, first, beyond) == none
    assert ask(gdb, "vmemmap", (vmemmap, GIB, 2 * MIB, 1)) == none  # 4 KiB pages
    assert ask(gdb, "vmemmap", (vmemmap + 2 * MIB, GIB, 2 * MIB, 2)) == none


# Labels over each other

LABELS = """
from ptmap.spaces.labels import Label, layered, to_pages
def made(rows):
    return [Label(start, end, name, "read") for start, end, name in rows]
def rows(labels):
    return [[one.start, one.end, one.name] for one in labels]
"""

Labels = list[tuple[int, int, str]]


def layered(gdb: GdbSession, *layers: Labels) -> Labels:
    found = gdb.python(f"{LABELS}\nresult = rows(layered(*map(made, {layers!r})))")
    return [(start, end, name) for start, end, name in found]


def to_pages(gdb: GdbSession, labels: Labels) -> Labels:
    found = gdb.python(f"{LABELS}\nresult = rows(to_pages(made({labels!r})))")
    return [(start, end, name) for start, end, name in found]


def test_layers(gdb: GdbSession) -> None:
    """An earlier layer covers a later one."""
    over, under = [(3, 6, "over")], [(1, 4, "under")]
    assert layered(gdb, over, under) == [(1, 3, "under"), (3, 6, "over")]
    assert layered(gdb, under, over) == [(1, 4, "under"), (4, 6, "over")]
    cut = [(1, 3, "cut"), (3, 6, "over"), (6, 9, "cut")]
    assert layered(gdb, over, [(1, 9, "cut")]) == cut
    assert layered(gdb, [(1, 9, "all")], over) == [(1, 9, "all")]
    assert layered(gdb, [(1, 3, "a")], [(3, 5, "b")]) == [(1, 3, "a"), (3, 5, "b")]
    assert layered(gdb, [(7, 8, "a"), (2, 3, "b")], [(0, 9, "c")], [(0, 10, "d")]) == [
        (0, 2, "c"),
        (2, 3, "b"),
        (3, 7, "c"),
        (7, 8, "a"),
        (8, 9, "c"),
        (9, 10, "d"),
    ]


def test_overlap_inside_a_layer(gdb: GdbSession) -> None:
    """The one that begins first is whole, and one inside it does not show."""
    assert layered(gdb, [(4, 8, "b"), (1, 5, "a")]) == [(1, 5, "a"), (5, 8, "b")]
    assert layered(gdb, [(1, 9, "a"), (2, 3, "b"), (8, 9, "c")]) == [(1, 9, "a")]


def test_whole_pages(gdb: GdbSession) -> None:
    """As far as the neighbours leave room."""
    assert to_pages(gdb, [(0x1010, 0x1020, "a"), (0x5000, 0x6001, "b")]) == [
        (0x1000, 0x2000, "a"),
        (0x5000, 0x7000, "b"),
    ]
    assert to_pages(gdb, [(0x1010, 0x1020, "a"), (0x1800, 0x2800, "b")]) == [
        (0x1000, 0x1800, "a"),
        (0x1800, 0x3000, "b"),
    ]
    assert to_pages(gdb, [(2**64 - 8, 2**64, "a")]) == [(2**64 - 4096, 2**64, "a")]


# Names of a process's mappings that have no file

BY_PLACE = """
from types import SimpleNamespace
from ptmap.base.interval import Interval
from ptmap.linux.vmas import _Vmas
fields = dict(brk=0x8000, start_brk=0x5010, start_stack=0x20800)
vmas = object.__new__(_Vmas)
vmas._mm = 0
vmas._structures = SimpleNamespace(read=lambda at, field: fields[field.partition(".")[2]])
result = [vmas._name_by_place(Interval.until(start, end)) for start, end in {spans}]
"""


def test_heap_and_stack(gdb: GdbSession) -> None:
    """mprotect() splits a heap: all of it up to brk is the heap, as show_map_vma() has it."""
    spans = [
        (0x4000, 0x5000),
        (0x5000, 0x6000),
        (0x6000, 0x7000),
        (0x7000, 0x8000),
        (0x8001, 0x9000),
        (0x1F000, 0x21000),
        (0x21000, 0x22000),
    ]
    assert gdb.python(BY_PLACE.format(spans=spans)) == [
        "",
        "[heap]",
        "[heap]",
        "[heap]",
        "",
        "[stack]",
        "",
    ]


# The stack of a CPU's SYSCALL

PER_CPU = """
from types import SimpleNamespace
from ptmap.entry import kernel_entry
from ptmap.linux import kernel
linked = {{"__per_cpu_start": 0, "_text": 0xffffffff81000000, "{name}": 0x1C090}}
offsets, memory = 0xffffffff82000000, {{}}
for cpu in range(3):
    memory[offsets + 8 * cpu] = (cpu + 1) << 20
    memory[((cpu + 1) << 20) + 0x1C090] = 0xffffc90000000000 + (cpu << 14)
class Linux(kernel.Kernel):
    memory = SimpleNamespace(unsigned=lambda at, size: memory[at])
    symbols = SimpleNamespace(link_address=linked.get)
    pointer, _mask = 8, (1 << 64) - 1
    def __init__(self):
        self.symbol = {{"__per_cpu_offset": offsets}}.get
result = [kernel_entry._top_of_stack(Linux(), cpu) for cpu in range(3)]
"""


@pytest.mark.parametrize("name", ["cpu_current_top_of_stack", "pcpu_hot.top_of_stack"])
def test_each_cpu_has_its_stack(gdb: GdbSession, name: str) -> None:
    assert gdb.python(PER_CPU.format(name=name)) == [
        0xFFFFC90000000000 + (cpu << 14) for cpu in range(3)
    ]


# What the stack pointer says

GDT = struct.pack("<QQQQ", 0, 0x00AF9A000000FFFF, 0x00AF9A000000FFFF, 0x00AFFA000000FFFF)
CPL_0, CPL_3 = 0x10, 0x1B


def test_no_stack_in_kernel_mode() -> None:
    """With SP in a user page that is no less the user's."""
    space = Tables("4-level")
    space.map(0, 0x300000, KIB4, P)
    space.map(0x400000, 0x301000, KIB4, P | RW | US)
    with BareMachine(script=ptmap_script()) as machine:
        space.write_to(machine)
        machine.write_phys(0x300000, GDT)
        machine.set_mode("4-level", space.root)
        machine.session.run("set var $rsp = 0x400800")
        for cs, labels in ((CPL_3, {"stack"}), (CPL_0, set()), (CPL_3, {"stack"})):
            machine.set_registers(cs=cs)
            assert machine.session.eval("$cs") == cs
            ranges = json.loads(machine.session.run("ptmap -phys -json -"))["ranges"]
            assert len(ranges) == 2
            assert {r["label"] for r in ranges if "label" in r} == labels
