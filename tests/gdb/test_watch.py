"""pte -watch: the watchpoint is on the entry, GDB stops at the code that changes it, and nothing is
written to the machine to set it."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Iterator

import pytest

from gdbsession import GdbSession, ptmap_script, refused
from machine import BareMachine
from qemu import Qemu
from stub_proxy import StubProxy
from tables import KIB4, MIB2, NX, P, RW, US, Tables

ROOT = Path(__file__).resolve().parents[2]
KERNEL, USER = P | RW, P | RW | US
CODE = 0x300000  # physical; linear too
SET = re.compile(
    r"^Hardware watchpoint (\d+): \*\((unsigned (?:int|long long)) \*\) (0x[0-9a-f]+)$", re.M
)


@pytest.fixture(scope="module")
def machine() -> Iterator[BareMachine]:
    # No RAM file: of code that is written there QEMU's translator would not learn.
    with BareMachine(script=ptmap_script(), ram_file=False) as machine:
        yield machine


@pytest.fixture()
def gdb(machine: BareMachine) -> Iterator[GdbSession]:
    yield machine.session
    machine.session.run("delete")


@pytest.fixture()
def space(machine: BareMachine) -> Tables:
    """Two user pages, one of them not present; all of RAM at 0xffff888000000000 and, read-only,
    at 0xffff800000000000; code where it is."""
    space = Tables("4-level")
    space.map(0x400000, 0x1000000, KIB4, USER)
    space.set_entry(0x401000, 1, 0)
    space.map(CODE, CODE, KIB4, KERNEL, KERNEL)
    for page in range(32):
        space.map(0xFFFF888000000000 + page * MIB2, page * MIB2, MIB2, KERNEL | NX)
        space.map(0xFFFF800000000000 + page * MIB2, page * MIB2, MIB2, P | NX)
    space.write_to(machine)
    machine.set_mode("4-level", space.root)
    return space


def entry_of(gdb: GdbSession, va: int, options: str = "") -> int:
    document = json.loads(gdb.run(f"pte -json - {options} {va:#x}"))
    return int(document["addresses"][0]["steps"][-1]["entry_pa"], 16)


def watched(text: str) -> int:
    """The address."""
    found = SET.search(text)
    assert found and text.startswith(found[0]), text
    assert max(map(len, text.splitlines())) <= 80 and text.isascii()
    return int(found[3], 16)


def words(text: str) -> str:
    return " ".join(text.split())


def go_on(gdb: GdbSession) -> str:
    """Continue; why GDB stops, which it says outside of the command's output."""
    before = len(gdb.log)
    said = gdb.run("continue")
    gdb.python("gdb.flush()")  # without a terminal it is not written at once
    return said + gdb.log[before:]


def run_code(machine: BareMachine, code: bytes) -> str:
    """Continue there until GDB stops."""
    machine.write_phys(CODE, code + b"\xeb\xfe")
    machine.session.run(f"set $rip = {CODE:#x}")
    return go_on(machine.session)


def store(va: int, value: int) -> bytes:
    """mov rax, VA; mov rcx, VALUE; mov [rax], rcx; nop"""
    return (
        b"\x48\xb8"
        + va.to_bytes(8, "little")
        + b"\x48\xb9"
        + value.to_bytes(8, "little")
        + b"\x48\x89\x08\x90"
    )


def test_the_store_is_caught(machine: BareMachine, gdb: GdbSession, space: Tables) -> None:
    text = gdb.run("pte 0x400000 -watch")
    entry = entry_of(gdb, 0x400000)
    assert watched(text) == 0xFFFF888000000000 + entry
    assert f"the PTE 0 at physical {entry:#x} maps 0x0000000000400000" in words(text)
    assert "through an alias, supervisor, writable" in words(text)
    assert "accessed and dirty" in text
    assert f"(there is 1 now: ptmap find {entry:#x})" in words(text)
    stopped = run_code(machine, store(watched(text), 0x1001007))
    assert "Hardware watchpoint" in stopped and "New value = 16781319" in stopped
    assert gdb.eval("$rip") == CODE + 23  # behind the store
    assert gdb.run("pte 0x400000").count("physical 0x1001000") == 1


def test_what_is_not_present_yet(machine: BareMachine, gdb: GdbSession, space: Tables) -> None:
    text = gdb.run("pte -watch 0x401000")
    assert "the PTE 1 at physical" in text and "is not present: a walk ends there" in words(text)
    run_code(machine, store(watched(text), 0x1234007))
    assert gdb.eval("$rip") == CODE + 23
    assert "physical 0x1234000" in gdb.run("pte 0x401000")


def test_where_a_walk_ends_above(machine: BareMachine, gdb: GdbSession, space: Tables) -> None:
    text = gdb.run("pte -watch 0x40000000")
    assert "the PDPTE 1 at physical" in text
    assert watched(text) == 0xFFFF888000000000 + entry_of(gdb, 0x40000000)
    assert "the PDE 0 at" in gdb.run("pte -watch 0xffff888000000000")  # a large page's


def test_a_store_through_another_address_is_missed(
    machine: BareMachine, gdb: GdbSession, space: Tables
) -> None:
    """That is what the message says."""
    other = 0xFFFFA00000000000
    space.map(other, entry_of(gdb, 0x400000) & ~0xFFF, KIB4, KERNEL, KERNEL)
    space.write_to(machine)
    text = gdb.run("pte 0x400000 -watch")
    assert "(there are 2 now" in words(text)
    entry = entry_of(gdb, 0x400000)
    gdb.run(f"hbreak *{CODE + 46:#x}")
    missed = store(other + (entry & 0xFFF), 0x1005007)
    stopped = run_code(machine, missed + store(watched(text), 0x1006007) + bytes([0x90] * 8))
    assert "Hardware watchpoint" in stopped and gdb.eval("$rip") == CODE + 24 + 23


def test_the_same_value_is_no_change(machine: BareMachine, gdb: GdbSession, space: Tables) -> None:
    text = gdb.run("pte 0x400000 -watch")
    now = space.entry(0x400000, 1)
    gdb.run(f"hbreak *{CODE + 24:#x}")
    stopped = run_code(machine, store(watched(text), now) + b"\x90")
    assert gdb.eval("$rip") == CODE + 24 and "Old value" not in stopped


def test_read_only_is_better_than_nothing(
    machine: BareMachine, gdb: GdbSession, space: Tables
) -> None:
    only = Tables("4-level", at=0x2000000)
    only.map(0x400000, 0x1000000, KIB4, USER)
    only.map(0x500000, only.table_for(0x400000, 1), KIB4, P | US)
    only.write_to(machine)
    machine.set_mode("4-level", only.root)
    text = gdb.run("pte 0x400000 -watch")
    assert watched(text) == 0x500000 and "through an alias, user, read-only" in words(text)
    assert "(there is none now)" in words(text)


def test_of_other_tables(machine: BareMachine, gdb: GdbSession, space: Tables) -> None:
    """Their entries are reached through the tables in use."""
    other = Tables("4-level", at=0x2000000)
    entry = other.map(0x400000, 0x1000000, KIB4, USER)
    other.write_to(machine)
    assert (
        watched(gdb.run(f"pte -root {other.root:#x} 0x400000 -watch")) == 0xFFFF888000000000 + entry
    )


def test_no_address_reaches_it(machine: BareMachine, gdb: GdbSession) -> None:
    space = Tables("4-level")
    entry = space.map(0x400000, 0x1000000, KIB4, USER)
    space.write_to(machine)
    machine.set_mode("4-level", space.root)
    refused(
        gdb,
        "pte 0x400000 -watch",
        "no linear address maps the PTE",
        hex(entry),
        f"below the root {space.root:#x}",
    )
    assert "No breakpoints" in gdb.run("info breakpoints")


@pytest.mark.parametrize(
    "mode, kind",
    [("32-bit", "unsigned int"), ("pae", "unsigned long long"), ("5-level", "unsigned long long")],
)
def test_modes(machine: BareMachine, gdb: GdbSession, mode: str, kind: str) -> None:
    space = Tables(mode)
    entry = space.map(0x400000, 0x1000000, KIB4, USER)
    space.map(0x500000, entry & ~0xFFF, KIB4, KERNEL)
    space.write_to(machine)
    machine.set_mode(mode, space.root)
    text = gdb.run("pte 0x400000 -watch")
    assert watched(text) == 0x500000 + (entry & 0xFFF) and f"*({kind} *)" in text


def test_refusals(machine: BareMachine, gdb: GdbSession, space: Tables) -> None:
    refused(gdb, "pte -watch", "which address")
    refused(gdb, "pte -watch 0x400000 0x401000", "one address, not 2")
    refused(gdb, "pte -watch -json - 0x400000", "cannot go with -json")
    refused(gdb, "pte -watch -expect user 0x400000", "cannot go with -expect")
    refused(gdb, "pte -watch 0x800000000000", "not canonical")
    gdb.run("set can-use-hw-watchpoints 0")
    try:
        refused(gdb, "pte -watch 0x400000", "can-use-hw-watchpoints is 0")
    finally:
        gdb.run("set can-use-hw-watchpoints 1")
    gdb.run("set remote hardware-watchpoint-limit 0")
    try:
        refused(gdb, "pte -watch 0x400000", "no hardware watchpoint")
    finally:
        gdb.run("set remote hardware-watchpoint-limit unlimited")
    space.set_entry(0x80000000, 3, 0x7FFFF000 | USER)
    space.write_to(machine)
    refused(gdb, "pte -watch 0x80000000", "cannot be read: not RAM")
    machine.set_registers(cr0=0x11)
    refused(gdb, "pte -watch 0x400000", "paging is off")
    refused(gdb, f"pte -watch 0x400000 -root {space.root:#x} -mode 4-level", "not in use")
    assert "No breakpoints" in gdb.run("info breakpoints")


def test_a_dump_has_no_watchpoints(
    machine: BareMachine, gdb: GdbSession, space: Tables, tmp_path: Path
) -> None:
    machine.hmp(f"dump-guest-memory {tmp_path}/dump")
    with GdbSession(script=ptmap_script()) as other:
        other.run(f"set ptmap memory dump {tmp_path}/dump")
        assert "physical" in other.run("pte 0x400000")
        refused(other, "pte -watch 0x400000", "no target")
    with GdbSession(script=ptmap_script()) as other:
        other.run(f"core-file {tmp_path}/dump")
        refused(other, "pte -watch 0x400000", "core file")
    gdb.run(f"set ptmap memory dump {tmp_path}/dump")
    try:
        refused(gdb, "pte -watch 0x400000", "not a dump")
    finally:
        gdb.run("set ptmap memory auto")


def test_any_language(machine: BareMachine, gdb: GdbSession, space: Tables) -> None:
    for language in ("rust", "ada", "asm"):
        gdb.run(f"set language {language}")
        try:
            watched(gdb.run("pte -watch 4194304"))
            assert f'"{language}"' in gdb.run("show language")
        finally:
            gdb.run("set language auto")


def test_setting_it_writes_nothing(machine: BareMachine, space: Tables) -> None:
    entry = entry_of(machine.session, 0x400000)
    machine.write_phys(CODE, store(0xFFFF888000000000 + entry, 0x1009007) + b"\xeb\xfe")
    machine.session.disconnect()
    try:
        with StubProxy(machine.qemu.gdb_target) as proxy, GdbSession(script=ptmap_script()) as gdb:
            gdb.attach(proxy.gdb_target)
            proxy.reset()
            va = watched(gdb.run("pte -watch 0x400000"))
            assert proxy.count("[mM]") > 0 and proxy.count("[XMGPZz]") == 0
            gdb.run(f"set $rip = {CODE:#x}")
            proxy.reset()
            gdb.run("continue")
            assert proxy.sent("Z") == [b"Z2,%x,8" % va] and proxy.count("[XMGP]") == 0
            assert gdb.eval("$rip") == CODE + 23
    finally:
        machine.session.attach(machine.qemu.gdb_target)


def test_lab32(tmp_path: Path) -> None:
    """A kernel of 32 bits, stopped before it halts; what it does then is this test's code."""
    subprocess.run(["make", "-sC", ROOT / "examples/lab32", f"OUT={tmp_path}"], check=True)
    elf = tmp_path / "lab32-3g.elf"
    with Qemu(["-kernel", str(elf)], binary="qemu-system-i386") as lab, GdbSession(
        script=ptmap_script()
    ) as gdb:
        gdb.run(f"file {elf}")
        gdb.attach(lab.gdb_target)
        gdb.run("thbreak *lab_wait")
        gdb.run("continue")
        text = gdb.run("pte 0x08048000 -watch")
        va = watched(text)
        assert SET.search(text)[2] == "unsigned int" and va >= 0xC0000000  # type: ignore[index]
        code = b"".join(
            (b"\xc7\x05", va.to_bytes(4, "little"), (0x01000027).to_bytes(4, "little"), b"\xeb\xfe")
        )
        for at, byte in enumerate(code):
            gdb.run(f"set {{unsigned char}}((char *)lab_wait + {at}) = {byte}")
        stopped = go_on(gdb)
        assert "Old value = 16777253\nNew value = 16777255\n" in stopped
        assert gdb.eval("$pc - (unsigned)&lab_wait") == 10
        assert "user read write exec" in gdb.run("pte 0x08048000")


# A process's page on Linux


def linux(name: str, where: Any, kgdb: bool = False) -> Any:
    from guests import boot

    return boot(name, paused_at=where, append="vdso_sum=later", kgdb=kgdb)


def said(guest: Qemu, what: str) -> int:
    found = re.search(rf"^init: {what} (0x[0-9a-f]+)", guest.console(), re.M)
    assert found, what
    return int(found[1], 16)


@pytest.mark.linux
@pytest.mark.parametrize(
    "name, where", [("kgdb-64", "kernel"), ("kgdb-64", "ready"), ("kgdb-pae", "kernel")]
)
def test_linux_maps_a_page(name: str, where: Any) -> None:
    """The process touches its vDSO for the first time: the page fault handler is caught."""
    from guests import GUESTS
    from kernels import fetch

    with linux(name, where) as guest, GdbSession(script=ptmap_script()) as gdb:
        gdb.attach(guest.gdb_target)
        gdb.run(f"ptmap kaslr {fetch(GUESTS[name].kernel).with_name('vmlinux')}")
        vdso, flag = said(guest, "vdso"), said(guest, "vdso flag")
        text = gdb.run(f"pte {vdso:#x} -watch")
        va = watched(text)
        assert "is not present: a walk ends there" in words(text)
        through = "lowmem (deduced)" if name == "kgdb-pae" else "the direct map (read)"
        assert f"watched through {through}, supervisor, writable" in words(text)
        entry = entry_of(gdb, vdso)
        found = json.loads(gdb.run(f"ptmap find -half kernel {entry:#x} -json -"))["ranges"]
        assert va in [int(r["va"], 16) for r in found]
        on_user_root = where == "ready" and name == "kgdb-64"
        assert ("GDB cannot read it while CR3 is" in words(text)) == on_user_root
        gdb.run(f"set {{unsigned int}}{flag:#x} = 1")
        stopped = go_on(gdb)
        assert "Hardware watchpoint" in stopped and "New value" in stopped
        if name == "kgdb-pae":  # of 64-bit registers GDB makes no frames of a 32-bit kernel
            assert "set_64bit" in stopped
        else:
            backtrace = gdb.run("bt")
            assert "do_set_pte" in stopped and "asm_exc_page_fault" in backtrace
            assert "handle_mm_fault" in backtrace
        walk = gdb.run(f"pte -half kernel {vdso:#x}")
        assert "physical 0x" in walk or entry_of(gdb, vdso, "-half kernel") != entry
        gdb.run("delete")
        guest_said = guest.console().count("init: went on")
        assert not guest_said
        gdb.disconnect()
        guest.cont()
        guest.wait_line("init: went on")


@pytest.mark.linux("4-level-pti")
def test_kptis_user_half(name: str = "4-level-pti") -> None:
    """In user mode, without symbols: the table is reached through the kernel root's direct map."""
    with linux(name, "ready") as guest, GdbSession(script=ptmap_script()) as gdb:
        gdb.attach(guest.gdb_target)
        vdso, flag = said(guest, "vdso"), said(guest, "vdso flag")
        text = gdb.run(f"pte {vdso:#x} -watch")
        assert "through the direct map (deduced), supervisor, writable" in words(text)
        assert "GDB cannot read it while CR3 is" in words(text)
        gdb.run(f"set {{unsigned int}}{flag:#x} = 1")
        assert "Hardware watchpoint" in go_on(gdb)
        assert gdb.eval("$pc") >> 63 or gdb.eval("$pc") < 0  # the kernel
        assert "physical 0x" in gdb.run(f"pte {vdso:#x}")


@pytest.mark.linux("kgdb-64")
def test_kgdb() -> None:
    """The kernel's own debugger: by the debug registers, through the direct map that its symbols
    tell. That they are set is all that can be seen here: under QEMU's emulation this kernel's kgdb
    stops for none of them, be it GDB's own `watch jiffies_64`."""
    from guests import GUESTS, break_in, kgdb_target
    from kernels import fetch

    with linux("kgdb-64", "ready", kgdb=True) as guest, StubProxy(
        kgdb_target(guest)
    ) as proxy, GdbSession(script=ptmap_script(), timeout=60) as gdb:
        gdb.run(f"file {fetch(GUESTS['kgdb-64'].kernel).with_name('vmlinux')}")
        gdb.attach(proxy.gdb_target)
        vdso = said(guest, "vdso")
        proxy.reset()
        text = gdb.run(f"pte {vdso:#x} -watch")
        assert proxy.count("[XMGPZz]") == 0
        va, entry = watched(text), entry_of(gdb, vdso)
        assert "watched through the direct map (read) not seen:" in words(text)
        assert f"(ptmap find {entry:#x} has them all)" in words(text)
        running = threading.Thread(target=gdb.run, args=("continue",))
        running.start()
        while f"DR0={va:016x}" not in (registers := guest.hmp("info registers")):
            assert running.is_alive()
            time.sleep(0.1)
        found = re.search(r"DR7=([0-9a-f]+)", registers)
        assert found and int(found[1], 16) >> 16 & 15 == 0b1001  # of 8 bytes, writes
        assert proxy.sent("Z") == [b"Z2,%x,8" % va] and proxy.count("[XMGP]") == 0
        break_in(guest)
        running.join()
        gdb.run("delete")


@pytest.mark.linux("686-pae-pti")
def test_a_table_in_high_memory() -> None:
    from guests import boot

    with boot("686-pae-pti", paused_at="kernel") as guest, GdbSession(script=ptmap_script()) as gdb:
        gdb.attach(guest.gdb_target)
        refused(
            gdb,
            "pte -watch 0x8048000",
            "no linear address maps the PTE at physical 0x",
            "32-bit Linux maps tables in high memory only while it changes them",
        )
        assert "through lowmem (deduced)" in words(gdb.run("pte -watch $pc"))
