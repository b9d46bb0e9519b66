"""ptmap find: every frame of whole spaces against the naive walker, turned round; what is said."""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from pathlib import Path
from typing import Any, Iterator

import pytest

import compare
import inversion
import judges
import judging
import naive
import tables
from gdbsession import GdbSession, ptmap_script, refused
from machine import BareMachine
from qemu import Qemu
from tables import KIB4, MIB2, NX, P, PCD, PWT, RW, US, G, Tables

ROOT = Path(__file__).resolve().parents[2]
SPACES = int(os.environ.get("PTMAP_SPACES", "250")) // 5  # random ones, in each mode
KERNEL, USER_RO, USER_RW = P | RW, P | US, P | US | RW


@pytest.fixture(scope="module")
def machine() -> Iterator[BareMachine]:
    with BareMachine(script=ptmap_script()) as machine:
        yield machine


@pytest.fixture()
def gdb(machine: BareMachine) -> GdbSession:
    return machine.session


@pytest.fixture()
def space(machine: BareMachine) -> Tables:
    """A process's text, heap and a page that it may write and execute; all of it in a direct map
    of large pages, which is not executable; a device; a page of the kernel's that is W+X."""
    space = Tables("4-level")
    space.map(0x400000, 0x1000000, KIB4, USER_RO)
    space.map(0x401000, 0x1001000, KIB4, USER_RO)
    for page in range(6):
        space.map(0x600000 + page * KIB4, 0x1200000 - 2 * page * KIB4, KIB4, USER_RW | NX)
    space.map(0x700000, 0x1300000, KIB4, USER_RW)
    for page in range(32):
        space.map(0xFFFF888000000000 + page * MIB2, page * MIB2, MIB2, KERNEL | NX | G)
    space.map(0xFFFFFFFF80000000, 0x1401000, KIB4, KERNEL)
    space.map(0xFFFFFFFFFF000000, 0xFEC00000, KIB4, KERNEL | NX | PCD | PWT)
    space.write_to(machine)
    machine.set_mode("4-level", space.root)
    machine.session.run("set ptmap maxphyaddr auto")
    return space


def ask(gdb: GdbSession, command: str) -> Any:
    return json.loads(gdb.run(f"{command} -json -"))


def row(text: str, va: int) -> list[str]:
    return next(line.split() for line in text.splitlines() if line.startswith(f"0x{va:016x}"))


# Against the naive walker


@pytest.mark.parametrize("mode", tables.MODES)
def test_random_spaces(machine: BareMachine, mode: str) -> None:
    sums = [
        compare.total(judge, f"bare QEMU, {mode}", unit="frames")
        for judge in ("naive, inverted, find", "naive, inverted, -aliases")
    ]
    whole = compare.total("naive", f"bare QEMU, {mode}, find of all memory")
    for space in tables.spaces(mode, SPACES, first=10000):
        registers = judging.registers_of(space)
        judging.put(machine, space.tables, registers)
        machine.session.run(f"set ptmap maxphyaddr {space.maxphyaddr}")
        walk = judging.walk(machine, registers, space.maxphyaddr)
        guest = f"seed {space.seed}"
        for total, report in zip(sums, inversion.with_find(machine.session, walk, guest=guest)):
            report.check(empty_ok=True)
            total += report
        report = compare.with_naive(
            ask(machine.session, f"ptmap find 0 {1 << 52:#x}"), walk, guest=guest
        )
        report.check(empty_ok=True)
        whole += report
        judging.wipe(machine, space.tables)
    for total in (*sums, whole):
        total.check()
        total.record()


def ram_reader(lab: Qemu) -> naive.Read:
    assert lab.ram_path
    ram = lab.ram_path.read_bytes()
    return lambda pa, length: ram[pa : pa + length] if pa + length <= len(ram) else None


def compared(gdb: GdbSession, read: naive.Read, guest: str) -> None:
    walk = naive.walk(read, gdb.eval("$cr3"), gdb.eval("$cr4"), gdb.eval("$efer"))
    for report in inversion.with_find(gdb, walk, guest=guest):
        report.check(empty_ok=True)
        report.record()


@pytest.mark.parametrize(
    "name, binary, words",
    [
        ("lab32", "qemu-system-i386", ()),
        ("lab64", "qemu-system-x86_64", ("-cpu", "max")),
        ("lab64", "qemu-system-x86_64", ("-cpu", "qemu64,+pdpe1gb")),
    ],
)
def test_labs(name: str, binary: str, words: tuple[str, ...], tmp_path: Path) -> None:
    subprocess.run(["make", "-sC", ROOT / "examples" / name, f"OUT={tmp_path}"], check=True)
    kernel = tmp_path / ("lab32-3g.elf" if name == "lab32" else "lab64.elf32")
    with Qemu(["-kernel", str(kernel), *words], binary=binary, paused=False, ram_file=True) as lab:
        lab.wait_line(f"{name}: ready")
        lab.qmp("stop")
        with GdbSession(script=ptmap_script()) as gdb:
            gdb.attach(lab.gdb_target)
            compared(gdb, ram_reader(lab), " ".join((name, *words)))
            if name == "lab32":
                text = gdb.run("ptmap find 0xb8000")
                assert len([line for line in text.splitlines() if line.startswith("0x")]) == 1
                assert "32-bit paging has no NX: every mapped page is executable" in text


@pytest.mark.linux
@pytest.mark.parametrize("where", ["ready", "kernel"])
@pytest.mark.parametrize("name", ["4-level", "4-level-pti", "686-pae-pti"])
def test_linux(name: str, where: Any) -> None:
    from guests import boot

    with boot(name, paused_at=where, ram_file=True) as guest, GdbSession(
        script=ptmap_script()
    ) as gdb:
        gdb.attach(guest.gdb_target)
        regions = judges.parse_mtree(guest.hmp("info mtree -f"))
        read_ram = ram_reader(guest)

        def read(pa: int, length: int) -> bytes | None:
            is_ram = any(
                r.kind == "ram"
                and r.name in ("ram", "pc.ram")
                and r.start <= pa
                and pa + length <= r.start + r.size
                for r in regions
            )
            return read_ram(pa, length) if is_ram else None

        compared(gdb, read, f"{name} {where}")
        text = gdb.run("ptmap find -aliases")
        assert max(map(len, text.splitlines())) <= 80 and text.isascii()
        if "pti" not in name or where == "kernel":
            assert "direct map" in text or "lowmem" in text
            assert "user+kernel" in text
        else:  # none of the process's memory is the kernel's too
            assert "user+kernel  none" in text
            assert "KPTI's user root" in text


# What is said


def test_a_byte(gdb: GdbSession, space: Tables) -> None:
    text = gdb.run("ptmap find 0x1001234")
    assert "\nphysical 0x1001234\n" in text
    assert row(text, 0x401234)[1:] == ["0x0000000000401235", "1B", "ur-x-", "WB", "4K", "0x1001234"]
    assert row(text, 0xFFFF888001001234)[3:] == ["srw-g", "WB", "2M", "0x1001234"]
    assert (
        "write+exec: writable at 0xffff888001001234, executable at 0x0000000000401234\n"
        "user+kernel: user at 0x0000000000401234, supervisor at 0xffff888001001234\n"
    ) in text
    assert "pages: 1 of 4K, 1 of 2M; complete\n" in text


def test_several_pages(gdb: GdbSession, space: Tables) -> None:
    """Neighbours are one line, with the physical address that they begin at; a conflict is of
    part of it only."""
    text = gdb.run("ptmap find 0x1000000 0x3000")
    assert "\nphysical 0x1000000, 12 KiB\n" in text
    assert row(text, 0x400000)[1:] == ["0x0000000000402000", "8K", "ur-x-", "WB", "4K", "0x1000000"]
    assert "write+exec: 8 KiB of it, the first at 0x1000000:\n  writable at 0xffff8880010" in text
    document = ask(gdb, "ptmap find 0x1000000 0x3000")
    assert (document["kind"], document["pa"], document["size"]) == ("find", "0x1000000", "0x3000")
    assert [(r["va"], r["size"], r["pa"]) for r in document["ranges"]] == [
        ("0x400000", "0x2000", "0x1000000"),
        ("0xffff888001000000", "0x3000", "0x1000000"),
    ]
    assert [(a["pa"], a["size"], a["conflicts"]) for a in document["aliases"]] == [
        ("0x1000000", "0x2000", ["write+exec", "user+kernel"])
    ]
    text = gdb.run("ptmap find 0x13ff800 0x1000")
    assert row(text, 0xFFFF8880013FF800)[2:] == ["4K", "srw-g", "WB", "2M", "0x13ff800"]


def test_one_that_is_both(gdb: GdbSession, space: Tables) -> None:
    assert "write+exec: writable and executable at 0x0000000000700010\n" in gdb.run(
        "ptmap find 0x1300010"
    )


def test_types(gdb: GdbSession, space: Tables) -> None:
    assert row(gdb.run("ptmap find 0xfec00000"), 0xFFFFFFFFFF000000)[3:6] == ["srw--", "UC", "4K"]


def test_nothing_is_an_answer(gdb: GdbSession, space: Tables) -> None:
    text = gdb.run("ptmap find 0x8000000")
    assert "\nphysical 0x8000000: no address maps it\n" in text and text.endswith("complete\n")
    document = ask(gdb, "ptmap find 0x8000000")
    assert document["complete"] and document["ranges"] == document["aliases"] == []


def test_there_may_be_more(machine: BareMachine, gdb: GdbSession, space: Tables) -> None:
    where = space.set_entry(0x40000000, 2, 0x7FFFF000 | USER_RW)
    machine.write_phys(where, space.entry(0x40000000, 2).to_bytes(8, "little"))
    space.write_to(machine)
    text = gdb.run("ptmap find 0x8000000")
    assert "no address maps it\n" in text and "INCOMPLETE: there may be more\n" in text
    assert "1 table could not be read:\n  0x0000000040000000" in text
    assert not ask(gdb, "ptmap find 0x1000000")["complete"]
    assert "INCOMPLETE: there may be more" in gdb.run("ptmap find -aliases")
    document = ask(gdb, "ptmap find -aliases")
    assert not document["complete"] and document["unreadable"][0]["va"] == "0x40000000"
    gdb.run("set ptmap max-tables 3")
    try:
        assert "limit of tables is reached (set ptmap max-tables)" in gdb.run("ptmap find 0x1000")
        gdb.run("set ptmap max-tables auto")
        gdb.run("set ptmap max-ranges 1")
        text = gdb.run("ptmap find 0x1000000")
        assert "limit of ranges is reached (set ptmap max-ranges)" in text
    finally:
        gdb.run("set ptmap max-tables auto")
        gdb.run("set ptmap max-ranges auto")


def test_aliases(gdb: GdbSession, space: Tables) -> None:
    text = gdb.run("ptmap find -aliases")
    lines = text.splitlines()
    assert lines[1:3] == [
        "write+exec   16K in 3 places; through one address 8K in 2 places",
        "user+kernel  36K in 8 places",
    ]
    heap = lines.index("24K in 6 places, the first at 0x11f6000: user+kernel")
    assert lines[heap + 1].split() == [
        "0x0000000000600000",
        "0x0000000000606000",
        "urw--",
        "WB",
        "4K",
    ]
    assert lines[heap + 2].split()[:2] == ["0xffff888000000000", "0xffff888004000000"]
    # What is worst comes first.
    assert lines[3] == "4K, at 0x1300000: write+exec, user+kernel"
    assert lines[6] == "4K, at 0x1401000: write+exec"
    document = ask(gdb, "ptmap find -aliases")
    assert document["totals"] == {
        "write+exec": {
            "bytes": "0x4000",
            "stretches": 3,
            "in_one": {"bytes": "0x2000", "stretches": 2},
        },
        "user+kernel": {"bytes": "0x9000", "stretches": 8},
    }
    assert len(document["aliases"]) == 9


def test_aliases_of_one_kind(gdb: GdbSession, space: Tables) -> None:
    text = gdb.run("ptmap find -aliases write+exec")
    assert "user+kernel  " not in text and "write+exec   16K in 3 places" in text
    assert "24K in 6 places" not in text
    document = ask(gdb, "ptmap find -aliases user+kernel")
    assert list(document["totals"]) == document["conflicts"] == ["user+kernel"]
    assert gdb.run("ptmap find -aliases user+kernel write+exec") == gdb.run("ptmap find -aliases")


def test_a_long_list_is_cut_unless_it_goes_to_a_file(
    machine: BareMachine, gdb: GdbSession, tmp_path: Path
) -> None:
    space = Tables("pae")
    for page in range(40):
        space.map(0x400000 + 2 * page * KIB4, 0x1000000 + 2 * page * KIB4, KIB4, USER_RW | NX)
        space.map(0xC0000000 + 2 * page * KIB4, 0x1000000 + 2 * page * KIB4, KIB4, KERNEL | NX)
    space.write_to(machine)
    machine.set_mode("pae", space.root)
    text = gdb.run("ptmap find -aliases")
    assert text.count("user+kernel\n") == 24
    assert "and 16 entries more: all with -o FILE or -json FILE\n" in text
    gdb.run(f"ptmap find -aliases -o {tmp_path}/all")
    assert (tmp_path / "all").read_text().count("user+kernel\n") == 40
    assert len(ask(gdb, "ptmap find -aliases")["aliases"]) == 40


def test_half(machine: BareMachine, gdb: GdbSession, space: Tables) -> None:
    other = Tables("4-level", at=0x2000000)
    other.map(0x123000, 0x1000000, KIB4, USER_RO)
    other.write_to(machine)
    document = ask(gdb, f"ptmap find -root {other.root:#x} 0x1000000")
    assert [r["va"] for r in document["ranges"]] == ["0x123000"]
    assert document["root"] == hex(other.root)


def test_refusals(machine: BareMachine, gdb: GdbSession, space: Tables) -> None:
    refused(gdb, "ptmap find", "which physical address")
    refused(gdb, "ptmap find 1 2 3", "one word each")
    refused(gdb, "ptmap find nosuch", "nosuch")
    refused(gdb, "ptmap find 0x10000000000000", "52 bits")
    refused(gdb, "ptmap find -1", "physical address")
    refused(gdb, "ptmap find '(char *)0xffff888000000000'", "linear address", "pte")
    for pointer in ("(char*)0x1000000", "$pc", "(char*)0"):  # whatever its value
        refused(gdb, f"ptmap find {pointer}", f"{pointer} is a linear address: `pte` shows its")
        for rule in ("mapped", "unmapped", "user"):
            refused(gdb, f"ptmap check pa {pointer} {rule}", "malformed", "is a linear address")
    refused(gdb, "ptmap find 0x1000 0", "1 or more")
    refused(gdb, "ptmap find 0x1000 -5", "1 or more")
    refused(gdb, "ptmap find -aliases 0x1000", "write+exec and user+kernel")
    machine.set_registers(cr0=0x11)
    refused(gdb, "ptmap find 0x1000", "paging is off")
    assert gdb.run("ptmap find 0x1001234 -root 0x100000 -mode 4-level").count("0x1001234") == 3


def test_help(gdb: GdbSession) -> None:
    text = gdb.run("help ptmap find")
    assert "Examples:" in text and max(map(len, text.splitlines())) <= 80
    for option in ("-aliases", "-root", "-mode", "-half", "-cpu", "-pid", "-comm", "-json"):
        assert option in text


# Hostile spaces


def test_recursive(machine: BareMachine, gdb: GdbSession) -> None:
    """Every entry of every table names the root: 2^36 addresses for one frame, each of them the
    root itself."""
    space = Tables("4-level")
    for index in range(512):
        space.set(space.root, index, space.root | USER_RW)
    space.write_to(machine)
    machine.set_mode("4-level", space.root)
    gdb.run("set ptmap max-ranges 100000")
    try:
        began = time.monotonic()
        document = ask(gdb, f"ptmap find {space.root:#x}")
        assert len(document["ranges"]) == 100000 and document["truncated"]
        assert document["aliases"][0]["count"] == 100000
        assert len(document["aliases"][0]["mappings"]) <= 32
        text = gdb.run(f"ptmap find {space.root:#x}")
        assert "and the same frame 99999 times more, every 4K\n" in text
        assert "the limit of ranges is reached" in text
        text = gdb.run("ptmap find -aliases")
        assert "  and 99996 more: ptmap find 0x100000\n" in text
        assert time.monotonic() - began < 20
        assert ask(gdb, "ptmap find 0x5000")["complete"]
    finally:
        gdb.run("set ptmap max-ranges auto")


def test_more_conflicts_than_groups(machine: BareMachine, gdb: GdbSession) -> None:
    """Pages apart that are writable and executable, more than are told apart; behind them a frame
    that the user and the kernel map."""
    space = Tables("4-level", at=0x100000)
    for table in range(260):
        at = space.table_for(table * MIB2, 1)
        for index in range(512):
            space.set(at, index, (table << 21 | index << 12) | (USER_RW, USER_RO)[index % 2])
    space.map(0x4000000000, 0xF0000000, KIB4, USER_RO | NX)
    space.map(0x5000000000, 0xF0000000, KIB4, KERNEL | NX)
    space.write_to(machine)
    machine.set_mode("4-level", space.root)
    text = gdb.run("ptmap find 0 0x100000000")
    assert "write+exec: 260 MiB of it, the first at 0x0:\n" in text
    assert (
        "user+kernel: 4 KiB of it, the first at 0xf0000000:\n"
        "  user at 0x0000004000000000, supervisor at 0x0000005000000000\n"
    ) in text
    assert "in no entry above: all with -json FILE\n" in gdb.run("ptmap find -aliases")


def test_costs_about_a_scan(machine: BareMachine, gdb: GdbSession) -> None:
    """A million pages in frames anywhere: found in no more than the map takes."""
    space = Tables("4-level", at=0x100000)
    numbers = random.Random(1)
    for table in range(2048):
        at = space.table_for(0x100000000 + table * MIB2, 1)
        frames = numbers.getrandbits(36 * 512)
        for index in range(512):
            frame = (frames >> 36 * index & (1 << 36) - 1) << 12
            space.set(at, index, frame | USER_RW)
    wanted = space.get(space.table_for(0x100000000 + 1000 * MIB2, 1), 77) & ~0xFFF
    space.write_to(machine)
    machine.set_mode("4-level", space.root)

    def took(command: str) -> float:
        times = []
        for _ in range(3):
            began = time.monotonic()
            gdb.run(command)
            times.append(time.monotonic() - began)
        return min(times)

    found, scanned, aliases = (
        took(command) for command in (f"ptmap find {wanted:#x}", "ptmap", "ptmap find -aliases")
    )
    print(f"find {found:.3f} s, ptmap {scanned:.3f} s, -aliases {aliases:.3f} s")
    assert "0x000000017d04d000" in gdb.run(f"ptmap find {wanted:#x}")
    assert found < 2 * scanned + 0.2
