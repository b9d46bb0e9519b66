"""ptmap check on real kernels: random rules about their maps against the naive walker, and what is
so on any Linux."""

from __future__ import annotations

import json
import mmap
import re
from pathlib import Path

import pytest

import compare
from gdbsession import GdbFailure, GdbSession, ptmap_script, refused
from guests import GUESTS, boot
from kernels import fetch
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
            gdb,
            tmp_path,
            lambda pa, n: ram[pa : pa + n] if pa + n <= len(ram) else None,
            registers,
            150,
            name,
            report,
        )
        assert min(seen["ok"], seen["failed"]) > 10, seen
        report.check()
        report.record()
        sp = gdb.eval("$sp") & ~0xFFF  # the process spins in user mode
        rules, _ = check(
            gdb,
            tmp_path,
            "null page unmapped",
            "vdso present",
            "$pc user exec read-only",
            "$sp user write",
            f"range {sp:#x} {sp + 1:#x} user 4K",
            "vdso absent",
            "$pc supervisor",
        )
        assert [rule["result"] for rule in rules] == ["ok"] * 5 + ["failed"] * 2, rules
        assert rules[-1]["entry"]["name"] == "PTE"


@pytest.mark.parametrize(
    "name, load",
    [
        ("kgdb-64", "ptmap kaslr"),
        ("kgdb-64", "file"),
        ("kgdb-64-nokaslr", "file"),
        ("kgdb-pae", "ptmap kaslr"),
    ],
)
def test_sections_of_the_kernel(name: str, load: str, tmp_path: Path) -> None:
    """Where KASLR put them, whatever GDB believes; but for what is not there any more."""
    vmlinux = fetch(GUESTS[name].kernel).with_name("vmlinux")
    with boot(name) as guest, GdbSession(script=ptmap_script()) as gdb:
        gdb.attach(guest.gdb_target)
        gdb.run(f"{load} {vmlinux}")
        half = "-half kernel" if "kpti" in gdb.run("ptmap -json -")[:4000] else ""
        where = tmp_path / "json"
        (tmp_path / "rules").write_text(
            "sections\nsection .text read-only exec\nsection .data write no-exec\n"
            "section .rodata write\nsection .init.text mapped\nsection .data..percpu mapped\n"
        )
        with pytest.raises(GdbFailure, match="1 of 6 rules failed: line 4; 2 are undecided"):
            gdb.run(f"ptmap check {half} -file {tmp_path}/rules -json {where}")
        rules = json.loads(where.read_text())["rules"]
        assert [rule["result"] for rule in rules] == [
            "ok",
            "ok",
            "ok",
            "failed",
            "undecided",
            "undecided",
        ], rules
        notes = "\n".join(rules[0]["notes"])
        assert ".data..percpu left out: each CPU has a copy" in notes
        assert re.search(r"^\.init\.text, .*\.exit\.text left out: the kernel frees", notes, re.M)
        text = json.loads(gdb.run("ptmap kaslr -json -"))["text"]
        assert int(rules[3]["va"], 16) > int(text, 16)
        if half:
            refused(gdb, "ptmap check -half user sections", "undecided", "-half kernel")
        if name == "kgdb-pae":  # another kernel's, which GDB takes
            gdb.run("symbol-file")
            gdb.run(f"file {fetch(GUESTS['kgdb-64'].kernel).with_name('vmlinux')}")
            refused(gdb, f"ptmap check {half} sections", "undecided", "not this Linux kernel's")
