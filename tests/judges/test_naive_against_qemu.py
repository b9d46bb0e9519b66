"""The judges prove each other: the naive walker against QEMU's, no ptmap involved."""

from __future__ import annotations

import os
import random
import sys
import types
from pathlib import Path
from typing import Any, Iterator

import pytest

import compare
import judges
import naive
import tables
from compare import Report
from machine import BareMachine, Registers

SPACES = int(os.environ.get("PTMAP_SPACES", "700"))  # in each mode


@pytest.fixture(scope="module")
def machine() -> Iterator[BareMachine]:
    with BareMachine() as machine:
        yield machine


def put(machine: BareMachine, space: tables.Space) -> Registers:
    space.tables.write_to(machine)
    return machine.set_mode(space.mode, space.root, pse=space.pse, nxe=space.nxe, pge=space.pge)


def wipe(machine: BareMachine, space: tables.Space) -> None:
    """Stray pointers read what the last space left: nothing."""
    for pa in space.tables.pages:
        machine.write_phys(pa, bytes(4096))


def info_mem(machine: BareMachine, space: tables.Space) -> list[judges.MemRange]:
    """info mem; on 5 levels, where it is broken, of each PML4 on its own, in 4-level mode."""
    if space.mode != "5-level":
        return judges.parse_info_mem(machine.hmp("info mem"), space.mode)
    seen: dict[int, list[judges.MemRange]] = {}
    ranges = []
    root = machine.read_phys(space.root & 0xFFFFF_FFFFF000, 4096) or b""
    for index in range(len(root) // 8):
        pml5e = int.from_bytes(root[8 * index:8 * index + 8], "little")
        pml4 = pml5e & 0x3FFFF_FFFFF000  # without bits 50 and 51, as info mem would
        if not pml5e & 1:
            continue
        if pml4 not in seen:
            machine.set_mode("4-level", pml4)
            seen[pml4] = judges.parse_info_mem(machine.hmp("info mem"), "4-level")
        for r in seen[pml4]:
            va = judges.canonical(index << 48 | r.va & (1 << 48) - 1, "5-level")
            ranges.append(judges.MemRange(va, r.size, r.user and bool(pml5e & 4),
                                          r.write and bool(pml5e & 2)))
    return ranges


def gva2gpa(machine: BareMachine, space: tables.Space, walk: naive.Walk,
            exceptions: list[compare.Exception_], guest: str) -> Report:
    """Some mapped addresses, and where nothing should be the address just after a page."""
    report = Report("gva2gpa", guest=guest, subject="naive")
    rng = random.Random(space.seed)
    runs = compare.from_naive(walk).runs
    edges = [run.end for run in runs if run.end < 1 << judges.va_bits(space.mode) - 1]
    asked = [page.va + rng.randrange(page.size)
             for page in rng.sample(walk.pages, min(6, len(walk.pages)))]
    for va in asked + rng.sample(edges, min(4, len(edges))):
        if any(e.va <= va < e.va + e.size for e in exceptions):
            continue
        page = next((p for p in walk.pages if p.va <= va < p.va + p.size), None)
        said = judges.parse_gva2gpa(machine.hmp(f"gva2gpa {va:#x}"))
        truth = None if page is None else page.pa + va - page.va
        report.pages_in_judge += said is not None
        report.pages_in_ptmap += truth is not None
        if said is None and truth is not None and space.mode == "5-level" and space.root >> 61:
            report.excepted["gva2gpa-lam"] += 1
        elif said != truth:
            report.note(1, f"{va:#x}: gva2gpa {said}, naive {truth}")
    return report


def judge(machine: BareMachine, space: tables.Space, walker: Any = naive) -> list[Report]:
    """Every report of QEMU's walkers about a walker, for one space."""
    mode, guest = space.mode, f"{space.mode} seed {space.seed}"
    registers = put(machine, space)
    where = registers.cr3, registers.cr4, registers.efer, space.maxphyaddr
    walk = walker.walk(machine.read_phys, *where)
    exceptions = compare.exceptions_by(naive.walk(machine.read_phys, *where), machine.regions)
    subject = compare.from_naive(walk)
    shown = machine.hmp("info tlb")
    one_by_one = gva2gpa(machine, space, walk, exceptions, guest)
    ranges = info_mem(machine, space)  # the last: on 5 levels it changes the mode
    wipe(machine, space)
    pages = judges.parse_info_tlb(shown, mode, judges.mapped_in(ranges))
    return [compare.with_tlb(subject, pages, mode=mode, pge=space.pge, nxe=space.nxe,
                             exceptions=exceptions, guest=guest),
            compare.leaves_with_tlb(walk, pages, exceptions=exceptions, guest=guest),
            compare.with_mem(subject, ranges, exceptions=exceptions, guest=guest), one_by_one]


@pytest.mark.parametrize("mode", tables.MODES)
def test_random_spaces(machine: BareMachine, mode: str) -> None:
    totals = [compare.total(name, f"random {mode}", "naive")
              for name in ("info tlb", "info tlb, leaf bits", "info mem", "gva2gpa")]
    for space in tables.spaces(mode, SPACES):
        for sum_, report in zip(totals, judge(machine, space)):
            report.check(empty_ok=True)
            sum_ += report
    for sum_ in totals:
        sum_.check()
        sum_.record()


@pytest.mark.parametrize("mode", tables.MODES)
def test_one_flipped_entry_is_one_difference(machine: BareMachine, mode: str) -> None:
    space = tables.Tables(mode)
    for va in range(0x400000, 0x600000, 4096):
        space.map(va, va + 0x1000000)
    flipped = space.entry(0x4FF000, 1) & ~tables.P
    space.write_to(machine)
    registers = machine.set_mode(mode, space.root)
    pages = judges.parse_info_tlb(machine.hmp("info tlb"), mode, lambda va: False)
    ranges = [judges.MemRange(0x400000, 0x200000, True, True)]
    space.set_entry(0x4FF000, 1, flipped)
    walk = naive.walk(space.read, registers.cr3, registers.cr4, registers.efer)
    subject = compare.from_naive(walk)
    for report in (compare.with_tlb(subject, pages, mode=mode, pge=True),
                   compare.leaves_with_tlb(walk, pages), compare.with_mem(subject, ranges)):
        assert (report.pages_in_judge, report.pages_in_ptmap, report.differing) == (512, 511, 1)
        with pytest.raises(AssertionError, match="1 differ"):
            report.check()


# What QEMU must notice in a walker: a line of naive.py, and how it may be wrong.
WRONG = {
    "PSE ignored": ('and (mode != "32-bit" or bool(cr4 & CR4_PSE))', ""),
    "4 MiB page's PAT bit in the address": ("bits(31, 22) |", "bits(31, 12) |"),
    "2 MiB page's PAT bit in the address": ("bits(51, 21)", "bits(51, 12)"),
    "address of 48 bits": ("else 51, 12)\n        if", "else 47, 12)\n        if"),
    "5-level sign-extended at bit 47": ('"5-level": 57}', '"5-level": 48}'),
    "4-level sign-extended at bit 46": ('{"4-level": 48', '{"4-level": 47'),
    "rights of the leaf only, US": ("user and bool(entry & US)", "bool(entry & US)"),
    "rights of the leaf only, RW": ("write and bool(entry & RW)", "bool(entry & RW)"),
    "PAE root 4 KiB aligned": ('bits(31, 5)}.get(mode, bits(51, 12))\n    top',
                               'bits(31, 12)}.get(mode, bits(51, 12))\n    top'),
    "PDPTE's PS in PAE honoured": ('if (mode, level) == ("pae", 3):  # S',
                                   'if (mode, level) == ("pae", 3) and not entry & PS:  # S'),
    "PDPTE's rights in PAE honoured": ("descend(address(entry, 3, False), 2, here, user, write",
                                       "descend(address(entry, 3, False), 2, here, "
                                       "bool(entry & US), bool(entry & RW)"),
    "1 GiB pages unknown": ("or level == 3)\n            if", ")\n            if"),
    "PCD and PWT swapped": ("(entry >> 4 & 1) << 1 | entry >> 3 & 1",
                            "(entry >> 3 & 1) << 1 | entry >> 4 & 1"),
    "global without PGE": ("bool(entry & G and cr4 & CR4_PGE)", "bool(entry & G)"),
    "last entry forgotten": ("            if not entry & P:",
                             "            if not entry & P or index == count - 1:"),
    "PSE-36 unknown": ("| (entry & bits(20, 13)) << 19", ""),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_walker_is_noticed(machine: BareMachine, what: str) -> None:
    old, new = WRONG[what]
    source = Path(naive.__file__).read_text()
    assert source.count(old) == 1, "the line has changed"
    wrong = types.ModuleType("wrong_naive")
    sys.modules["wrong_naive"] = wrong  # dataclasses look their module up
    exec(compile(source.replace(old, new), "wrong_naive.py", "exec"), wrong.__dict__)
    for seed in range(120):
        for mode in tables.MODES:
            space = tables.random_space(seed, mode)
            if any(report.differing for report in judge(machine, space, wrong)):
                return
    pytest.fail("QEMU's walkers agreed with it")
