"""The judges prove each other: the naive walker against QEMU's, no ptmap involved."""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path
from typing import Any, Iterator

import pytest

import compare
import judges
import judging
import naive
import tables
from compare import Report
from machine import BareMachine

SPACES = int(os.environ.get("PTMAP_SPACES", "500"))  # in each mode


@pytest.fixture(scope="module")
def machine() -> Iterator[BareMachine]:
    with BareMachine() as machine:
        yield machine


def judge(machine: BareMachine, space: tables.Space, walker: Any = naive) -> list[Report]:
    """Every report of QEMU's walkers about a walker, for one space."""
    mode, guest = space.mode, f"{space.mode} seed {space.seed}"
    registers = judging.registers_of(space)
    judging.put(machine, space.tables, registers)
    walk = walker.walk(
        machine.read_phys, registers.cr3, registers.cr4, registers.efer, space.maxphyaddr
    )
    truth = judging.walk(machine, registers, space.maxphyaddr)
    exceptions = compare.exceptions_by(truth, machine.regions)
    subject = compare.from_naive(walk)
    one_by_one = judging.gva2gpa(
        machine,
        registers,
        judging.sample(walk, space.seed),
        exceptions,
        guest=guest,
        subject="naive",
    )
    shown = machine.hmp("info tlb")
    ranges = judging.info_mem(machine, registers)
    judging.wipe(machine, space.tables)
    pages = judges.parse_info_tlb(shown, mode, judges.mapped_in(ranges))
    return [
        compare.with_tlb(
            subject,
            pages,
            mode=mode,
            pge=space.pge,
            nxe=space.nxe,
            exceptions=exceptions,
            guest=guest,
        ),
        compare.leaves_with_tlb(walk, pages, exceptions=exceptions, guest=guest),
        compare.with_mem(subject, ranges, exceptions=exceptions, guest=guest),
        one_by_one,
    ]


@pytest.mark.parametrize("mode", tables.MODES)
def test_random_spaces(machine: BareMachine, mode: str) -> None:
    totals = [
        compare.total(name, f"random {mode}", "naive", unit)
        for name, unit in (
            ("info tlb", "pages"),
            ("info tlb, leaf bits", "pages"),
            ("info mem", "pages"),
            ("gva2gpa", "addresses"),
        )
    ]
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
    judging.wipe(machine, space)
    space.set_entry(0x4FF000, 1, flipped)
    walk = naive.walk(space.read, registers.cr3, registers.cr4, registers.efer)
    subject = compare.from_naive(walk)
    for report in (
        compare.with_tlb(subject, pages, mode=mode, pge=True),
        compare.leaves_with_tlb(walk, pages),
        compare.with_mem(subject, ranges),
    ):
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
    "PAE root 4 KiB aligned": (
        "bits(31, 5)}.get(mode, bits(51, 12))\n    top",
        "bits(31, 12)}.get(mode, bits(51, 12))\n    top",
    ),
    "PDPTE's PS in PAE honoured": (
        'if (mode, level) == ("pae", 3):  # S',
        'if (mode, level) == ("pae", 3) and not entry & PS:  # S',
    ),
    "PDPTE's rights in PAE honoured": (
        "maxphyaddr - 1, 12), 2, here, user, write",
        "maxphyaddr - 1, 12), 2, here, bool(entry & US), bool(entry & RW)",
    ),
    "1 GiB pages unknown": ("or level == 3)\n            )", ")\n            )"),
    "PCD and PWT swapped": (
        "(entry >> 4 & 1) << 1 | entry >> 3 & 1",
        "(entry >> 3 & 1) << 1 | entry >> 4 & 1",
    ),
    "global without PGE": ("bool(entry & G and cr4 & CR4_PGE)", "bool(entry & G)"),
    "last entry forgotten": (
        "            if not entry & P:",
        "            if not entry & P or index == count - 1:",
    ),
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
        for mode in ("pae",) if "PAE" in what else tables.MODES:
            space = tables.random_space(seed, mode)
            if any(report.differing for report in judge(machine, space, wrong)):
                return
    pytest.fail("QEMU's walkers agreed with it")
