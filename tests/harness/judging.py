"""One address space on a bare machine, before its judges: put it there, ask them, wipe it."""

from __future__ import annotations

import random
from typing import Sequence

import compare
import judges
import naive
import tables
from compare import Report
from machine import BareMachine, Registers, registers_for


def registers_of(space: tables.Space) -> Registers:
    return registers_for(space.mode, space.root, pse=space.pse, nxe=space.nxe, pge=space.pge)


def put(machine: BareMachine, space: tables.Tables, registers: Registers) -> None:
    space.write_to(machine)
    machine.set(registers)


def wipe(machine: BareMachine, space: tables.Tables) -> None:
    """Stray pointers of the next space read what this one left: nothing."""
    for pa in space.pages:
        machine.write_phys(pa, bytes(4096))


def walk(machine: BareMachine, registers: Registers, maxphyaddr: int = 52) -> naive.Walk:
    return naive.walk(machine.read_phys, registers.cr3, registers.cr4, registers.efer, maxphyaddr)


def info_mem(machine: BareMachine, registers: Registers) -> list[judges.MemRange]:
    """info mem; on 5 levels, where it is broken, of each PML4 on its own, in 4-level mode: the
    mode is another one then."""
    if registers.mode != "5-level":
        return judges.parse_info_mem(machine.hmp("info mem"), registers.mode)
    seen: dict[int, list[judges.MemRange]] = {}
    ranges = []
    root = machine.read_phys(registers.cr3 & 0xFFFFF_FFFFF000, 4096) or b""
    for index in range(len(root) // 8):
        pml5e = int.from_bytes(root[8 * index : 8 * index + 8], "little")
        pml4 = pml5e & 0x3FFFF_FFFFF000  # without bits 50 and 51, as info mem would
        if not pml5e & 1:
            continue
        if pml4 not in seen:
            machine.set_mode("4-level", pml4)
            seen[pml4] = judges.parse_info_mem(machine.hmp("info mem"), "4-level")
        for r in seen[pml4]:
            va = judges.canonical(index << 48 | r.va & (1 << 48) - 1, "5-level")
            ranges.append(
                judges.MemRange(va, r.size, r.user and bool(pml5e & 4), r.write and bool(pml5e & 2))
            )
    return ranges


def gva2gpa(
    machine: BareMachine,
    registers: Registers,
    answers: dict[int, int | None],
    exceptions: Sequence[compare.Exception_],
    *,
    guest: str = "",
    subject: str = "ptmap",
) -> Report:
    """Each address's translation, None if there is none, as somebody gave it."""
    report = Report("gva2gpa", guest=guest, subject=subject, unit="addresses")
    for va, answer in answers.items():
        if any(e.va <= va < e.va + e.size for e in exceptions):
            continue
        said = judges.parse_gva2gpa(machine.hmp(f"gva2gpa {va:#x}"))
        report.pages_in_judge += said is not None
        report.pages_in_ptmap += answer is not None
        lam = registers.mode == "5-level" and registers.cr3 >> 61
        if said is None and answer is not None and lam:
            report.excepted["gva2gpa-lam"] += 1
        elif said != answer:
            report.note(1, f"{va:#x}: gva2gpa {said}, {subject} {answer}")
    return report


def sample(walked: naive.Walk, seed: int) -> dict[int, int | None]:
    """Some mapped addresses, and those just after a run of pages, with naive's translations."""
    rng = random.Random(seed)
    half = 1 << judges.va_bits(walked.mode) - 1
    edges = [run.end for run in compare.from_naive(walked).runs if run.end < half]
    asked = [
        page.va + rng.randrange(page.size)
        for page in rng.sample(walked.pages, min(6, len(walked.pages)))
    ]
    answers: dict[int, int | None] = {}
    for va in asked + rng.sample(edges, min(4, len(edges))):
        page = next((p for p in walked.pages if p.va <= va < p.va + p.size), None)
        answers[va] = None if page is None else page.pa + va - page.va
    return answers
