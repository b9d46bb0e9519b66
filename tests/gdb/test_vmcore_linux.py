"""Crash dumps of real kernels (tests/guests/vmcore.py), as /proc/vmcore is and as makedumpfile
writes it: the same kernel as before the crash, page by page."""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator

import pytest

import compare
import guard
import judges
import naive
import proc_files
from gdbsession import GdbFailure, GdbSession, memory_shown, ptmap_script, refused
from guests import GUESTS
from kernels import fetch
from vmcore import VMCORES, kernel_root, vmcore, walk

pytestmark = pytest.mark.vmcore

# As people have them: whole; without zeros; without all that may be left out, flattened, as ELF.
FORMS = {
    "vmcore": None,
    "compressed": ["-c", "-d", "1"],
    "filtered": ["-c", "-d", "31"],
    "filtered-elf": ["-E", "-d", "31"],
    "flattened": ["-F", "-c", "-d", "31"],
}
WHOLE = ("vmcore", "compressed")


@dataclass
class Crash:
    name: str
    kept: Path  # the folder of vmcore()
    forms: dict[str, Path]
    gdb: GdbSession  # without a target

    def open(self, form: str) -> None:
        self.gdb.run("set ptmap memory auto")
        self.gdb.run(f"set ptmap memory dump {self.forms[form]}")

    def ask(self, command: str) -> Any:
        return json.loads(self.gdb.run(command))

    @property
    def console(self) -> str:
        return (self.kept / "console").read_text()

    @property
    def symbols(self) -> dict[str, int]:
        """By /proc/kallsyms."""
        return proc_files.parse_symbols(self.console)

    def before(self, pieces: list[tuple[int, int]] | None = None) -> naive.Walk:
        """The kernel's own root before the crash; with only these pieces of memory."""
        with open(self.kept / "tables", "rb") as tables:

            def read(address: int, length: int) -> bytes | None:
                is_there = pieces is None or any(
                    at <= address and address + length <= at + size for at, size in pieces
                )
                tables.seek(address)
                return tables.read(length) if is_there else None

            return walk(self.kept, read)


@pytest.fixture(scope="module", params=VMCORES)
def crash(request: pytest.FixtureRequest) -> Iterator[Crash]:
    kept = vmcore(request.param)
    with guard.Folder(guard.SHORT) as folder, GdbSession(script=ptmap_script()) as gdb:
        forms = {}
        for form, options in FORMS.items():
            forms[form] = kept / "vmcore" if options is None else Path(folder, form)
            if options is not None:
                made(kept / "vmcore", forms[form], options)
        yield Crash(request.param, kept, forms, gdb)


def made(plain: Path, to: Path, options: list[str]) -> None:
    command = ["makedumpfile", *options, plain]
    if "-F" in options:
        with open(to, "wb") as out:
            subprocess.run(command, check=True, stdout=out, stderr=subprocess.DEVNULL)
    else:
        subprocess.run([*command, to], check=True, capture_output=True)


@pytest.mark.parametrize("form", FORMS)
def test_each_page_as_before_the_crash(crash: Crash, form: str) -> None:
    """By default it is the kernel's own root. The naive walker had read its tables."""
    crash.open(form)
    document = crash.ask("ptmap -phys -json -")
    assert document["complete"]
    report = compare.with_naive(document, crash.before(), guest=f"{crash.name}, {form}")
    report.record()
    report.check()


def test_each_page_of_info_tlb(crash: Crash) -> None:
    """QEMU walked the root that was in CR3: the kernel's part of it is the same."""
    crash.open("vmcore")
    document = crash.ask("ptmap -phys -json -")
    text = (crash.kept / "tlb").read_text()
    mode = document["mode"]
    pages = [p for p in judges.parse_info_tlb(text, mode, lambda va: False) if p.va >> 63]
    subject = compare.from_json(document)
    report = compare.with_tlb(subject, pages, mode=mode, pge=True, guest=crash.name)
    report.record()
    report.check()


@pytest.mark.parametrize("form", FORMS)
def test_what_it_tells_of_itself(crash: Crash, form: str) -> None:
    crash.open(form)
    document = crash.ask("ptmap regs -json -")
    assert set(document["registers"].values()) == {None}
    assert document["root"] == hex(kernel_root(crash.kept))
    assert document["mode"] == ("5-level" if crash.name.startswith("5") else "4-level")
    assert "EFER.NXE=1: an entry has XD" in document["deduced"]
    assert document["assumed"] == ["CR0.WP=1", "CR4.PGE=1, SMEP=SMAP=PKE=0"]
    kaslr = crash.ask("ptmap kaslr -json -")
    assert int(kaslr["text"], 16) == crash.symbols["_text"]
    release = re.search(r"Linux version (\S+)", kaslr["version"])
    assert release and f"crash dump of Linux {release[1]}" in memory_shown(crash.gdb)


@pytest.fixture(scope="module")
def symbols(crash: Crash) -> Iterator[GdbSession]:
    """With the kernel's symbols at their place."""
    with GdbSession(script=ptmap_script()) as gdb:
        gdb.run(f"set ptmap memory dump {crash.forms['filtered']}")
        gdb.run(f"ptmap kaslr {fetch(GUESTS[crash.name].kernel).with_name('vmlinux')}")
        yield gdb


def test_symbols(crash: Crash, symbols: GdbSession) -> None:
    symbols.run(f"set ptmap memory dump {crash.forms['filtered']}")
    for symbol, address in crash.symbols.items():
        walk_of = json.loads(symbols.run(f"pte -json - &{symbol}"))["addresses"][0]
        assert int(walk_of["va"], 16) == address, symbol
    pointer = json.loads(symbols.run("ptmap -root init_mm.pgd -json - 0 1"))
    assert pointer["root"] == hex(kernel_root(crash.kept))


@pytest.mark.parametrize("form", FORMS)
def test_pages_that_were_left_out(crash: Crash, symbols: GdbSession, form: str) -> None:
    """makedumpfile -d 31 leaves user pages out: not in the dump. Their tables are in it."""
    symbols.run(f"set ptmap memory dump {crash.forms[form]}")
    areas = re.findall(r"^init: map (\S+) (0x\w+) (0x\w+)$", crash.console, re.M)
    starts = {kind: int(at, 16) for kind, at, _ in areas}
    mapped = " ".join(hex(starts[kind]) for kind in ("rw", "ro", "exec", "rwx", "shared", "big"))
    for walk_of in json.loads(symbols.run(f"pte -pid 1 -json - {mapped}"))["addresses"]:
        assert walk_of["outcome"] == "mapped" and walk_of["rights"]["user"]
        pa = walk_of["pa"]
        if form in WHOLE:  # each page holds its own address
            assert int(symbols.run(f"xp/xg {pa}").split()[-1], 16) == int(walk_of["va"], 16)
        else:
            assert refused(symbols, f"xp/xg {pa}") == f"xp: {pa}: not in the dump"
    assert "not RAM" not in symbols.run("ptmap -pid 1")


def test_processes(crash: Crash, symbols: GdbSession) -> None:
    symbols.run(f"set ptmap memory dump {crash.forms['vmcore']}")
    [child] = re.findall(r"^init: child PID (\d+)$", crash.console, re.M)
    [at] = re.findall(r"^init: child map child (0x\w+)", crash.console, re.M)
    for option in (f"-pid {child}", "-comm sleeper"):
        said = symbols.run(f"pte {option} {at}")
        assert f"pid {child} (sleeper)" in said and "user    write ok" in said
        assert "VMCOREINFO" not in said
    vdso = json.loads(symbols.run("vdso -pid 1 -json -"))["vdso"]
    [base] = re.findall(r"^init: vdso (0x\w+)$", crash.console, re.M)
    assert vdso["va"] == base


def test_as_gdbs_core_file(crash: Crash) -> None:
    crash.open("vmcore")
    commands = ("ptmap -phys -json -", "ptmap regs -json -", "pte -json - 0xfffffe0000000000")
    expected = [crash.ask(command) for command in commands]
    with GdbSession(script=ptmap_script()) as gdb:
        gdb.run(f"core-file {crash.forms['vmcore']}")
        assert [json.loads(gdb.run(command)) for command in commands] == expected
        assert "supervisor read exec" in gdb.run("pte $pc")


def test_a_part_that_was_left_out(crash: Crash, tmp_path: Path) -> None:
    """Tables that are not in the dump make a map that says so, and is right otherwise."""
    before = crash.before()
    tables = sorted(address for address, _ in before.tables if address != before.root)
    lost = tables[len(tables) // 2]
    cut, pieces = tmp_path / "cut", []
    subprocess.run(["cp", "--sparse=always", crash.kept / "vmcore", cut], check=True)
    with open(cut, "r+b") as file:
        [count] = struct.unpack_from("<H", file.read(64), 56)  # e_phnum
        for place in range(64, 64 + 56 * count, 56):
            file.seek(place)
            kind, _, _, _, address, size, _, _ = struct.unpack("<IIQQQQQQ", file.read(56))
            if kind == 1 and address <= lost < address + size:
                size = lost - address
                file.seek(place + 32)
                file.write(struct.pack("<Q", size))  # p_filesz
            if kind == 1:
                pieces.append((address, size))
    crash.gdb.run(f"set ptmap memory dump {cut}")
    document = crash.ask("ptmap -phys -json -")
    assert not document["complete"]
    assert {gap["why"] for gap in document["unreadable"]} == {"not in the dump"}
    report = compare.with_naive(document, crash.before(pieces), guest=f"{crash.name}, cut")
    report.record()
    report.check()
    assert "; INCOMPLETE\n" in crash.gdb.run("ptmap")


@pytest.mark.parametrize("form", ["vmcore", "compressed"])
def test_damaged_vmcoreinfo(crash: Crash, form: str, tmp_path: Path) -> None:
    """Wherever the file has that line."""
    damaged = tmp_path / "damaged"
    shutil.copy(crash.forms[form], damaged)
    content = damaged.read_bytes()[: 1 << 20]
    assert content.count(b"\nNUMBER(phys_base)=") == 1
    with open(damaged, "r+b") as file:
        file.seek(content.index(b"\nNUMBER(phys_base)="))
        file.write(b"\nNUMBER(phys_basf)=")
    crash.gdb.run(f"set ptmap memory dump {damaged}")
    refused(crash.gdb, "ptmap", "its VMCOREINFO tells no root: NUMBER(phys_base) is missing")
    with pytest.raises(GdbFailure, match="no control registers"):
        crash.gdb.run("ptmap regs")
    crash.gdb.run("set ptmap memory auto")
