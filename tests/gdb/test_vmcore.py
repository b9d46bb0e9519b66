"""Crash dumps that are made up here: the kernel's own space by VMCOREINFO, what is not known."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, Iterator

import pytest

import compare
import naive
import tables
from gdbsession import GdbSession, memory_shown, ptmap_script, refused
from tables import KIB4, NX, P, RW, Tables, US

IMAGE_MAP = 0xFFFFFFFF80000000  # where the kernel's image is mapped: __START_KERNEL_map
PHYS_BASE = -0x3000000
IDT = 0xFFFFFE0000000000
CR4 = {"4-level": naive.CR4_PAE | naive.CR4_PGE}
CR4["5-level"] = CR4["4-level"] | naive.CR4_LA57
EFER = naive.EFER_LMA | naive.EFER_NXE
ASSUMED = ["CR0.WP=1", "CR4.PGE=1, SMEP=SMAP=PKE=0"]


@pytest.fixture(scope="module")
def gdb() -> Iterator[GdbSession]:
    """Without a target."""
    with GdbSession(script=ptmap_script()) as gdb:
        yield gdb


def vmcoreinfo(space: Tables) -> str:
    root = space.root + IMAGE_MAP - PHYS_BASE
    return (
        f"OSRELEASE=6.1.0\x1b[2J\nSYMBOL(init_top_pgt)={root:x}\nNUMBER(phys_base)={PHYS_BASE}\n"
        f"NUMBER(pgtable_l5_enabled)={int(space.mode == '5-level')}\nKERNELOFFSET=0\n"
    )


def note(name: bytes, kind: int, contents: bytes) -> bytes:
    parts = (name + b"\0", contents)
    padded = (part + bytes(-len(part) % 4) for part in parts)
    return struct.pack("<III", len(parts[0]), len(contents), kind) + b"".join(padded)


def dumped(path: Path, space: Tables, info: str) -> Path:
    """An ELF core of the pages of a space's tables, as /proc/vmcore has its memory."""
    notes = note(b"CORE", 1, bytes(336)) + note(b"VMCOREINFO", 0, info.encode())
    pages = sorted(space.pages.items())
    at = 64 + 56 * (1 + len(pages))
    heads = [struct.pack("<IIQQQQQQ", 4, 0, at, 0, 0, len(notes), len(notes), 4)]
    at += len(notes)
    for address, _ in pages:
        heads.append(struct.pack("<IIQQQQQQ", 1, 7, at, 0, address, 4096, 4096, 0))
        at += 4096
    ident = b"\x7fELF\2\1\1".ljust(16, b"\0")
    head = struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, len(heads), 0, 0, 0)
    path.write_bytes(ident + head + b"".join(heads) + notes + b"".join(bytes(p) for _, p in pages))
    return path


def kernel(mode: str) -> Tables:
    """Some tables as a kernel has them; the IDT's page is no-execute."""
    space = Tables(mode)
    space.map(0x401000, 0x200000, KIB4, P | US | RW | NX)
    space.map(IDT, 0x300000, KIB4, P | NX)
    space.map(IMAGE_MAP + 0x1000000, 0x1000000, tables.MIB2, P)
    return space


def ask(gdb: GdbSession, command: str) -> Any:
    return json.loads(gdb.run(command))


def opened(gdb: GdbSession, dump: Path) -> None:
    gdb.run("set ptmap memory auto")
    gdb.run(f"set ptmap memory dump {dump}")


def judged(document: dict[str, Any], space: Tables, root: int) -> compare.Report:
    walk = naive.walk(space.read, root, CR4[space.mode], EFER)
    return compare.with_naive(document, walk)


@pytest.mark.parametrize("mode", CR4)
def test_random_spaces(gdb: GdbSession, tmp_path: Path, mode: str) -> None:
    report = compare.total("naive", f"crash dumps, {mode}")
    for made in tables.spaces(mode, 20, first=14000):
        space = made.tables
        opened(gdb, dumped(tmp_path / "dump", space, vmcoreinfo(space)))
        document = ask(gdb, "ptmap -phys -json -")
        assert {gap["why"] for gap in document["unreadable"]} <= {"not in the dump"}
        assert "outside_ram" not in document  # it does not know what is RAM
        report += judged(document, space, space.root)
    report.record()
    report.check()


@pytest.mark.parametrize("mode", CR4)
def test_what_is_not_known_is_said(gdb: GdbSession, tmp_path: Path, mode: str) -> None:
    space = kernel(mode)
    opened(gdb, dumped(tmp_path / "dump", space, vmcoreinfo(space)))
    assert "crash dump of Linux 6.1.0\\x1b[2J" in memory_shown(gdb)
    document = ask(gdb, "ptmap regs -json -")
    assert set(document["registers"].values()) == {None}
    assert (document["mode"], document["root"]) == (mode, hex(space.root))
    assert document["assumed"] == ASSUMED
    level5 = int(mode == "5-level")
    assert document["deduced"] == [
        f"root {space.root:#x}: the kernel's own, by VMCOREINFO",
        f"CR4.LA57={level5}: VMCOREINFO",
        "EFER.NXE=1: an entry has XD",
    ]
    text = gdb.run("ptmap regs")
    for name in ("CR0   ", "CR3   ", "CR4   ", "EFER  ", "GDTR, IDTR, LDTR, TR  "):
        assert f"{name}not known\n" in text
    for command in ("ptmap", "ptmap -ranges", "pte 0x401000", "ptmap check no 1G"):
        said = gdb.run(command)
        assert "the kernel's own root, by VMCOREINFO" in said
        assert all(f"assuming {what}\n" in said for what in ASSUMED)
        assert "assuming EFER" not in said
    verdict = gdb.run("pte 0x401000")
    assert "user    write ok" in verdict and "user    fetch #PF 0x15" in verdict


def test_nx_is_assumed_if_nothing_shows_it(gdb: GdbSession, tmp_path: Path) -> None:
    space = kernel("4-level")
    space.map(IDT, 0x300000, KIB4, P)
    opened(gdb, dumped(tmp_path / "dump", space, vmcoreinfo(space)))
    assert "assuming EFER.NXE=1\n" in gdb.run("pte 0x401000")
    assert ask(gdb, "ptmap regs -json -")["assumed"] == [*ASSUMED, "EFER.NXE=1"]


def test_another_root_and_set_registers(gdb: GdbSession, tmp_path: Path) -> None:
    space = kernel("4-level")
    other = Tables("4-level", at=space.next)
    other.map(0x800000, 0x500000)
    space.pages.update(other.pages)
    opened(gdb, dumped(tmp_path / "dump", space, vmcoreinfo(space)))
    linear = other.root + IMAGE_MAP + 0x1000000 - PHYS_BASE - 0x1000000
    for root in (f"{other.root:#x}", f"{linear:#x}"):
        if root != hex(other.root):  # the pointer's page is in no 2 MiB page that is mapped
            refused(gdb, f"ptmap -root {root}", "neither a physical address nor mapped")
            continue
        said = gdb.run(f"ptmap -root {root}")
        assert "VMCOREINFO" not in said and "assuming CR0.WP=1\n" in said
    gdb.run(f"set ptmap cr3 {other.root:#x}")
    gdb.run("set ptmap cr0 0x80000001")
    try:
        said = gdb.run("pte 0x800000")
        assert f"root {other.root:#x}\n" in said and "VMCOREINFO" not in said
        assert "CR0.WP" not in said and f"assuming {ASSUMED[1]}\n" in said
        assert ask(gdb, "ptmap regs -json -")["registers"]["cr3"]["set"] is True
    finally:
        gdb.run("set ptmap cr3 auto")
        gdb.run("set ptmap cr0 auto")


def test_a_table_that_was_left_out(gdb: GdbSession, tmp_path: Path) -> None:
    """It is not in the dump, and the map says that it is not complete."""
    space = kernel("4-level")
    del space.pages[space.table_for(0x401000, 1)]
    opened(gdb, dumped(tmp_path / "dump", space, vmcoreinfo(space)))
    document = ask(gdb, "ptmap -phys -json -")
    assert not document["complete"]
    assert [gap["why"] for gap in document["unreadable"]] == ["not in the dump"]
    judged(document, space, space.root).check()
    assert "; INCOMPLETE\n" in gdb.run("ptmap")
    walk = ask(gdb, "pte -json - 0x401000")["addresses"][0]
    assert (walk["outcome"], walk["why"]) == ("unreadable", "not in the dump")
    refused(gdb, "ptmap check no user", "undecided", "unreadable: not in the dump")
    assert refused(gdb, "xp/xg 0x200000") == "xp: 0x200000: not in the dump"
    assert "physical 0x300000: not in the dump" in refused(gdb, f"xp/xg -va {IDT:#x}")


@pytest.mark.parametrize(
    "before, after, why",
    [
        ("NUMBER(phys_base)", "NUMBER(base)", "NUMBER(phys_base) is missing"),
        ("phys_base)=", "phys_base)=99999999999999999999", "is not a number of 64 bits"),
        ("OSRELEASE", "NUMBER(phys_base)=0\nOSRELEASE", "NUMBER(phys_base) has two values"),
        ("KERNELOFFSET", "NUMBER(sme_mask)=140737488355328\nK", "the tables are encrypted"),
        ("SYMBOL(init_top_pgt)=ffffffff", "SYMBOL(swapper_pg_dir)=", "is a 32-bit kernel's"),
    ],
)
def test_vmcoreinfo_that_tells_no_root(
    gdb: GdbSession, tmp_path: Path, before: str, after: str, why: str
) -> None:
    """One sentence; memory and options work as without it."""
    space = kernel("4-level")
    info = vmcoreinfo(space).replace(before, after)
    opened(gdb, dumped(tmp_path / "dump", space, info))
    said = refused(gdb, "ptmap", "its VMCOREINFO tells no root: ", why, "give -root PA -mode MODE")
    assert "CR0" not in said.partition(":")[2].partition("give")[0]
    assert why in memory_shown(gdb)
    refused(gdb, "ptmap regs", "no control registers")
    command = f"ptmap -phys -root {space.root:#x} -mode 4-level -json -"
    judged(ask(gdb, command), space, space.root).check()
