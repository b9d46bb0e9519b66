"""ptmap check on real kernels: random rules about their maps against the naive walker, and what is
so on any Linux."""

from __future__ import annotations

import mmap
from pathlib import Path

import pytest

import compare
from gdbsession import GdbSession, ptmap_script
from guests import boot
from machine import Registers
from rule_judge import against_naive, check

pytestmark = pytest.mark.linux


@pytest.mark.parametrize("name", ("686", "686-pae-pti", "4-level-pti", "5-level"))
def test_linux(name: str, tmp_path: Path) -> None:
    with boot(name, ram_file=True) as guest, GdbSession(script=ptmap_script()) as gdb:
        assert guest.ram_path is not None
        gdb.attach(guest.gdb_target)
        registers = Registers(*(gdb.eval(f"${word}") for word in ("cr0", "cr3", "cr4", "efer")))
        report = compare.total("naive rules", name, unit="rules")
        with open(guest.ram_path, "rb") as file:
            ram = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        seen = against_naive(
            gdb, tmp_path, lambda pa, n: ram[pa:pa + n] if pa + n <= len(ram) else None,
            registers, 150, name, report,
        )  # fmt: skip
        assert min(seen["ok"], seen["failed"]) > 10, seen
        report.check()
        report.record()
        sp = gdb.eval("$sp") & ~0xFFF  # the process spins in user mode
        rules, _ = check(
            gdb, tmp_path, "null page unmapped", "vdso present", "$pc user exec read-only",
            "$sp user write", f"range {sp:#x} {sp + 1:#x} user 4K", "vdso absent",
            "$pc supervisor",
        )  # fmt: skip
        assert [rule["result"] for rule in rules] == ["ok"] * 5 + ["failed"] * 2, rules
        assert rules[-1]["entry"]["name"] == "PTE"
