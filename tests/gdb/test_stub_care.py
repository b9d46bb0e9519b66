"""What ptmap leaves behind: nothing. The stub's physical mode is off again, whatever happened.

A proxy makes it happen: errors, late and lost replies, the connection's end; and it sees every
packet, so that none can be one that writes, resumes the guest, or reads a device.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

import pytest

import judges
from gdbsession import GdbFailure, GdbSession, memory_shown, ptmap_script, refused
from qemu import Qemu
from stub_proxy import (
    NO_MONITOR,
    OLD_STUB,
    Answer,
    Cut,
    Delay,
    Garble,
    Hold,
    Lose,
    ProxiedMachine,
    Replace,
    Rule,
    StubProxy,
    only_m_packets,
)
from tables import KIB4, P, RW, US, Tables

ON, OFF = r"Qqemu\.PhyMemMode:1", r"Qqemu\.PhyMemMode:0"
FOUND_ON = "QEMU's stub was still in physical-memory mode"
READ = "m"

# All that ptmap may say to a stub: ask, read, switch the mode. ('' is the RAM map's request.)
_MTREE, _REGISTERS = b"info mtree -f".hex(), b"info registers -a".hex()
_PLACE = b"gpa2hva 0x".hex() + "[0-9a-f]+"
HARMLESS = re.compile(
    rf"(m[0-9a-f]+,[0-9a-f]+|g|p[0-9a-f]+|H[gc][p0-9a-f.-]+|T[p0-9a-f.-]+|qqemu\.PhyMemMode"
    rf"|Qqemu\.PhyMemMode:[01]|qRcmd,(?:{_MTREE}|{_PLACE}|{_REGISTERS})"
    rf"|q[fs]ThreadInfo|qThreadExtraInfo,[p0-9a-f.]+)$".encode()
)

CODE, DATA, STACK = 0xF000, 0x20000, 0x30000  # linear; 0xfff0 is where the CPU is after reset
CODE_PA, DATA_PA, STACK_PA = 0x300000, 0x301000, 0x302000
TABLES_MANY = 40


def everyday(count: int = TABLES_MANY) -> Tables:
    """Code, data and a stack, none of them where it is physically, and more tables."""
    space = Tables("32-bit")
    for va, pa in ((CODE, CODE_PA), (DATA, DATA_PA), (STACK, STACK_PA)):
        space.map(va, pa)
    for i in range(1, count):
        space.map(i << 22, 0x310000)
    return space


def fill(machine: ProxiedMachine) -> None:
    """Different bytes at an address, by whether it is linear or physical."""
    machine.write_phys(CODE_PA, b"\x90" * KIB4)  # nop
    machine.write_phys(CODE, b"\xcc" * KIB4)  # int3
    machine.write_phys(DATA_PA, b"right" * 800)
    machine.write_phys(DATA, b"wrong" * 800)
    machine.write_phys(STACK_PA, (STACK + 0x100).to_bytes(8, "little") * 512)
    machine.write_phys(STACK, bytes(KIB4))


@pytest.fixture(scope="module")
def shared() -> Iterator[ProxiedMachine]:
    with ProxiedMachine() as machine:
        yield machine


@pytest.fixture()
def machine(shared: ProxiedMachine) -> Iterator[ProxiedMachine]:
    """Attached, at rest, GDB two frames deep; whatever the test before did to the connection."""
    shared.proxy.play()
    session = shared.session
    session.run("set remotetimeout 10")
    if session.python("result = gdb.selected_inferior().connection is not None"):
        session.disconnect()
    session.attach(shared.proxy.gdb_target)
    session.packet(b"Qqemu.PhyMemMode:0")
    space = everyday()
    fill(shared)
    space.write_to(shared)
    shared.set_mode(space.mode, space.root)
    session.run(f"set $rsp = {STACK}")
    session.run(f"set $rbp = {STACK + 0x40}")
    shared.flush()
    yield shared
    shared.proxy.play()


def state(session: GdbSession) -> dict[str, str]:
    """What a person has on the screen before and after."""
    return {
        command: session.run(command)
        for command in (
            "frame",
            "thread",
            "info registers",
            f"x/4xw {DATA}",
            f"x/s {DATA}",
            "x/2i $pc",
            "info frame",
            "info inferiors",
            "show language",
            "show width",
            "info display",
        )
    }


def is_physical(session: GdbSession) -> bool:
    """The stub itself, asked."""
    answer = session.packet(b"qqemu.PhyMemMode")
    assert answer in (b"0", b"1")
    return answer == b"1"


@contextmanager
def untouched(machine: ProxiedMachine) -> Iterator[None]:
    """Around commands: nothing but asked and read, the mode off, GDB as before, no traceback."""
    session, proxy = machine.session, machine.proxy
    before, log = state(session), len(session.log)
    proxy.reset()
    yield
    proxy.play()
    odd = [payload for payload in proxy.sent() if not HARMLESS.match(payload)]
    assert odd == []
    assert not is_physical(session)
    assert state(session) == before
    assert not re.search("Traceback|Python", session.log[log:])


def document(session: GdbSession, command: str = "ptmap -json -") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(session.run(command))
    return found


def works(machine: ProxiedMachine) -> None:
    """The next command, as if nothing had been."""
    made = document(machine.session)
    assert made["complete"] and made["tables"] == 1 + TABLES_MANY
    assert f"physical {DATA_PA + 4:#x}" in machine.session.run(f"pte {DATA + 4}")
    assert machine.session.run(f"x/s {DATA}").count("right")


# Answers


@pytest.mark.parametrize(
    "command",
    [
        "ptmap",
        "ptmap -ranges",
        "ptmap -json -",
        "ptmap -at $pc",
        f"pte $pc {DATA} 0x3ff000",
        "pte -json - $rsp",
        "ptmap regs",
        "pte -root 0x7ffff000 0",
        "help ptmap",
        "show ptmap",
    ],
)
def test_after_an_answer(machine: ProxiedMachine, command: str) -> None:
    with untouched(machine):
        assert machine.session.run(command)


def test_in_another_frame(machine: ProxiedMachine) -> None:
    machine.session.run("up")
    assert "#1 " in machine.session.run("frame")
    with untouched(machine):
        for command in ("ptmap", "pte $pc", "ptmap regs"):
            machine.session.run(command)
    assert "#1 " in machine.session.run("frame")


# Errors in the middle: of 41 tables, 82 reads


@pytest.mark.parametrize("nth", [1, 3, 82])
@pytest.mark.parametrize(
    "action",
    [Answer(b"E14"), Answer(b""), Garble("short"), Answer(b"nonsense\xff")],
    ids=["E14", "empty", "short", "odd"],
)
def test_a_read_fails(machine: ProxiedMachine, action: Answer | Garble, nth: int) -> None:
    """It is missing from the map, which says so; and pte says it of its one address."""
    with untouched(machine):
        machine.proxy.play(Rule(READ, action, nth=nth, physical=True))
        made = document(machine.session)
        assert machine.proxy.fired == [1]
        assert not made["complete"] and len(made["unreadable"]) == 1
        assert made["unreadable"][0]["level"] == (2 if nth == 1 else 1)
        assert made["tables"] == {1: 0, 3: 40, 82: 40}[nth]
    works(machine)


@pytest.mark.parametrize("nth, name", [(1, "PDE"), (2, "PTE")])
def test_pte_fails(machine: ProxiedMachine, nth: int, name: str) -> None:
    with untouched(machine):
        machine.proxy.play(Rule(READ, Answer(b"E14"), nth=nth, physical=True))
        said = machine.session.run("pte $pc")
        assert re.search(rf"unreadable.*{name}.*E14", said)
    works(machine)


def test_a_bad_checksum_heals(machine: ProxiedMachine) -> None:
    """GDB asks again."""
    with untouched(machine):
        machine.proxy.play(Rule(READ, Garble("checksum"), nth=5, physical=True))
        works(machine)
        assert machine.proxy.fired == [1]


def test_wrong_content(machine: ProxiedMachine) -> None:
    """Nobody can know; but nothing is left behind."""
    with untouched(machine):
        machine.proxy.play(Rule(READ, Garble("content"), nth=5, physical=True))
        machine.session.run("ptmap")
    works(machine)


def test_a_lost_reply(machine: ProxiedMachine) -> None:
    machine.session.run("set remotetimeout 1")
    with untouched(machine):
        machine.proxy.play(Rule(READ, Lose(), nth=5, physical=True))
        refused(machine.session, "ptmap", "ptmap: ")
        assert machine.proxy.fired == [1]
    works(machine)


@pytest.mark.parametrize(
    "command, match, nth",
    [
        ("ptmap -json -", READ, 5),
        ("ptmap -json -", READ, 82),
        ("ptmap -json -", ON, 1),
        ("ptmap -json -", OFF, 1),
        ("pte -json - $pc", READ, 1),
        ("pte -json - $pc", OFF, 1),
    ],
)
def test_a_late_reply(machine: ProxiedMachine, command: str, match: str, nth: int) -> None:
    """GDB gives up waiting, asks again, and gets two: each later reply is one read too old.
    Never an answer from that: the stub's reply to the mode's end is not the right one."""
    session = machine.session
    right = session.run(command)
    session.run("set remotetimeout 1")
    machine.proxy.play(Rule(match, Delay(1.5), nth=nth, physical=match == READ))
    try:
        assert session.run(command) == right
    except GdbFailure as failure:
        assert failure.kind == "error" and "physical-memory mode" in str(failure)
    session.disconnect()
    session.attach(machine.proxy.gdb_target)
    assert not is_physical(session)
    works(machine)


@pytest.mark.parametrize("action", [Replace(b"E22"), Replace(b""), Garble("short")])
def test_an_odd_answer_to_the_mode(machine: ProxiedMachine, action: Replace | Garble) -> None:
    """The stub may have done it all the same."""
    with untouched(machine):
        machine.proxy.play(Rule(ON, action))
        refused(machine.session, "ptmap", "physical")
        refused(machine.session, "pte $pc", "physical")
        assert machine.proxy.fired[0] >= 2
    works(machine)


def test_the_mode_does_not_end(machine: ProxiedMachine) -> None:
    """Refused once: asked again; an error is as good an answer as the map then."""
    with untouched(machine):
        machine.proxy.play(Rule(OFF, Answer(b"E22"), nth=1))
        try:
            machine.session.run("ptmap")
        except GdbFailure as failure:
            assert failure.kind == "error" and "physical" in str(failure)
        assert machine.proxy.fired == [1]
    works(machine)


def test_the_mode_never_ends(machine: ProxiedMachine) -> None:
    machine.proxy.play(Rule(OFF, Answer(b"E22")))
    refused(machine.session, "ptmap", "physical")
    assert is_physical(machine.session)
    machine.proxy.play()
    assert "right" in machine.session.run("ptmap regs") + machine.session.run(f"x/s {DATA}")
    assert not is_physical(machine.session)
    works(machine)


def test_our_own_mistake(machine: ProxiedMachine) -> None:
    """An exception that nobody expected, while the mode is on."""
    patch = """
from ptmap.machine.sources.source import Source
kept = Source.is_ram
calls = []
def broken(self, *arguments):
    calls.append(arguments)
    return 1 / 0 if len(calls) > 5 else kept(self, *arguments)
Source.is_ram = broken
try:
    gdb.execute("ptmap", False, True)
except gdb.error as error:
    result = str(error)
finally:
    Source.is_ram = kept
"""
    with untouched(machine):
        assert "division by zero" in machine.session.python(patch)
        assert machine.proxy.count(ON) == machine.proxy.count(OFF) > 0
    works(machine)


# Ctrl-C


@contextmanager
def ctrl_c_at(
    machine: ProxiedMachine, match: str, nth: int, seconds: float = 0.0
) -> Iterator[None]:
    """Ctrl-C while GDB waits for the reply to the nth such packet; pressed for so many seconds."""
    passed = threading.Event()
    machine.proxy.play(Rule(match, Hold(passed), nth=nth, physical=match == READ))

    def press() -> None:
        try:
            deadline = time.monotonic() + 20
            while machine.proxy.fired != [1]:
                assert time.monotonic() < deadline
                time.sleep(0.001)
            deadline = time.monotonic() + seconds
            machine.session.interrupt()
            while time.monotonic() < deadline:
                time.sleep(0.05)
                machine.session.interrupt()
        finally:
            passed.set()

    thread = threading.Thread(target=press)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def interrupted(session: GdbSession, command: str) -> None:
    with pytest.raises(GdbFailure) as failure:
        session.run(command)
    assert failure.value.kind == "KeyboardInterrupt" and str(failure.value) == "Quit"


@pytest.mark.parametrize("command", ["ptmap", "ptmap -json -"])
@pytest.mark.parametrize(
    "match, nth, reads",
    [
        ("qqemu", 1, 0),
        ("qRcmd", 1, 0),
        (ON, 1, 0),
        (OFF, 1, 82),
        (READ, 1, 1),
        (READ, 30, 30),
        (READ, 82, 82),
    ],
    ids=["asked", "RAM map", "on", "off", "first read", "30th read", "last read"],
)
def test_ctrl_c(machine: ProxiedMachine, command: str, match: str, nth: int, reads: int) -> None:
    """It ends the command at the next packet."""
    with untouched(machine):
        with ctrl_c_at(machine, match, nth):
            interrupted(machine.session, command)
        assert machine.proxy.count(READ, physical=True) == reads
    works(machine)


@pytest.mark.parametrize("match", [ON, OFF, READ])
def test_an_impatient_ctrl_c(machine: ProxiedMachine, match: str) -> None:
    """While GDB waits for one reply it looks for Ctrl-C once a second; at the second one it would
    give the connection up, the mode on."""
    with untouched(machine):
        with ctrl_c_at(machine, match, 1, seconds=2.3):
            interrupted(machine.session, "ptmap")
    works(machine)


def test_ctrl_c_of_many_tables(machine: ProxiedMachine) -> None:
    """A thousand tables in one call of the core."""
    space = everyday(1000)
    space.write_to(machine)
    machine.flush()
    with untouched(machine):
        with ctrl_c_at(machine, READ, 1001):
            interrupted(machine.session, "ptmap")
        assert machine.proxy.count(READ, physical=True) <= 1002
    assert document(machine.session)["tables"] == 1001


@pytest.mark.parametrize("pulse", ["flattening", "writing"])
@pytest.mark.parametrize("command", ["ptmap -ranges", "ptmap -json -"])
def test_ctrl_c_without_any_reads(machine: ProxiedMachine, command: str, pulse: str) -> None:
    """A few tables that are a million ranges: it ends the making of the map, and of its text."""
    space = Tables("4-level")
    for i in range(0, 512, 2):
        space.map(i * KIB4, 0x300000)
    for level in (3, 2):
        table, entry = space.table_for(0, level), space.entry(0, level)
        for i in range(512 if level == 2 else 16):
            space.set(table, i, entry)
    space.write_to(machine)
    machine.set_mode(space.mode, space.root)
    said = machine.session.python(
        f"""
import os, signal
from ptmap.debugger import progress
kept, calls = progress.{pulse}, []
def pressed(ranges):
    calls.append(ranges)
    os.kill(os.getpid(), signal.SIGINT)
progress.{pulse} = pressed
try:
    gdb.execute({command!r}, False, True)
    said = "went on"
except KeyboardInterrupt:
    said = "ended"
except gdb.error as error:
    said = str(error)
finally:
    progress.{pulse} = kept
result = [said, calls]
"""
    )
    assert said[0] == "ended" and len(said[1]) == 1


def test_ctrl_c_among_scattered_pages(machine: ProxiedMachine) -> None:
    """Four tables, each entry of a level naming the next, whose pages are in no order and have a
    hole: it is heard while entries are looked at, however few ranges they make."""
    space = Tables("4-level")
    for i in range(511):
        space.map(i * KIB4, (i * 37 % 512) * 2 * KIB4)
    for level in (4, 3, 2):
        table, entry = space.table_for(0, level), space.entry(0, level)
        for i in range(512):
            space.set(table, i, entry)
    space.write_to(machine)
    machine.set_mode(space.mode, space.root)
    pressed = []

    def press() -> None:
        pressed.append(time.monotonic())
        machine.session.interrupt()

    machine.session.run("set ptmap max-ranges 16000000")  # some seconds of work
    timer = threading.Timer(1, press)
    timer.start()
    try:
        interrupted(machine.session, "ptmap -ranges")
        assert time.monotonic() - pressed[0] < 1  # 50 ms, when nothing else runs
    finally:
        timer.join()
        machine.session.run("set ptmap max-ranges auto")


# The connection


@pytest.mark.parametrize("command", ["ptmap", f"pte $pc {DATA}"])
@pytest.mark.parametrize("where", ["before", "after", "middle"])
@pytest.mark.parametrize(
    "match, nth, on",
    [
        ("qqemu", 1, False),
        ("qRcmd", 1, False),
        (ON, 1, None),
        (READ, 1, True),
        (READ, 3, True),
        (OFF, 1, None),
    ],
)
def test_the_connection_dies(
    machine: ProxiedMachine, command: str, match: str, nth: int, on: bool | None, where: Any
) -> None:
    session = machine.session
    machine.proxy.play(Rule(match, Cut(where), nth=nth, physical=match == READ))
    if on is None:
        on = (where == "before") == (match == OFF)
    refused(session, command, command.split()[0] + ": ", "connection")
    assert machine.proxy.fired == [1]
    refused(session, command, "no target")
    machine.proxy.play()
    said = session.attach(machine.proxy.gdb_target)
    assert (FOUND_ON in said) == on
    assert not is_physical(session)
    works(machine)


SCRIPT = """
import ptmap
try:
    result = str(ptmap.space().walk(0x20000))
except ptmap.Error as error:
    result = str(error)
"""
ASKING = ["ptmap", "ptmap regs", "show ptmap memory", "print $ptmap_pa(0x20000)",
          SCRIPT]  # fmt: skip


@pytest.mark.parametrize("memory", ["process", "packets", "direct-map", "file"])
def test_the_connection_ends_at_each_packet(
    machine: ProxiedMachine, memory: str, tmp_path: Path
) -> None:
    """While a source is chosen, while it is read, while GDB asks for registers: one sentence, and
    never that of a Python exception."""
    session, proxy = machine.session, machine.proxy
    everyday(6).write_to(machine)
    (tmp_path / "file").write_bytes(bytes(KIB4))
    word = {"file": f"file {tmp_path}/file", "process": "auto"}.get(memory, memory)
    if memory == "packets":
        session.python("import importlib, ptmap.machine.sources.pmemsave as p; importlib.reload(p)")
    if memory == "process":  # the proxy is at the other end: it is taken for the machine here
        session.python(
            f"""
from ptmap.machine.sources import peer
kept = peer.find, peer.Peer.is_there
peer.find = lambda connection: peer.Peer({machine.qemu.pid}, 0, 0)
peer.Peer.is_there = lambda self: True
peer.put_back = lambda: (setattr(peer, "find", kept[0]), setattr(peer.Peer, "is_there", kept[1]))
"""
        )
    session.run("set ptmap direct-map 0")
    ended, ends = "onnection (closed|to the target ended)", 0
    if memory == "direct-map":  # who asks for the kernel's symbols may be the one to notice
        ended += "|no remote target"
    try:
        for command, nth in itertools.product(ASKING, range(1, 100)):
            if nth > 1 and proxy.fired == [0]:
                continue  # it has no more packets
            proxy.play()
            if session.python("result = gdb.selected_inferior().connection is None"):
                session.attach(proxy.gdb_target)
            session.run(f"set ptmap memory {word}")  # chosen anew
            log = len(session.log)
            proxy.play(Rule("", Cut("before"), nth=nth))
            said = outcome(session, command) + session.log[log:]
            ends += proxy.fired[0]
            assert proxy.fired == [0] or re.search(ended, said), (command, nth, said)
            wrong = "Error occurred in Python|no longer exist|Exception|NoneType|Traceback"
            assert not re.search(wrong, said), (command, nth, said)
    finally:
        proxy.play()
        only_m_packets(session)
        if memory == "process":
            session.python("from ptmap.machine.sources import peer; peer.put_back()")
        session.run("set ptmap direct-map auto")
    assert ends > 5 * len(ASKING)


def outcome(session: GdbSession, command: str) -> str:
    """What it says, or the one sentence of its failure."""
    try:
        return str(session.python(command) if command == SCRIPT else session.run(command))
    except GdbFailure as failure:
        assert failure.kind == "error" and "\n" not in str(failure)
        return str(failure)


@pytest.mark.parametrize("kind", ["remote", "extended-remote"])
def test_found_on_at_attach(machine: ProxiedMachine, kind: str) -> None:
    session, proxy = machine.session, machine.proxy
    session.disconnect()
    with GdbSession() as other:
        other.attach(proxy.gdb_target)
        other.packet(b"Qqemu.PhyMemMode:1")
        other.run("maintenance flush dcache")
        assert "wrong" in other.run(f"x/s {DATA}")  # what it does to a debugger
    said = session.run(f"target {kind} {proxy.gdb_target}")
    assert said.count(FOUND_ON) == 1 and "\nptmap: " in "\n" + said
    assert "right" in session.run(f"x/s {DATA}") and "nop" in session.run("x/i $pc")
    assert not is_physical(session)
    assert FOUND_ON not in session.run("ptmap")
    works(machine)
    session.disconnect()
    assert FOUND_ON not in session.attach(proxy.gdb_target)


@pytest.mark.parametrize("command", ["ptmap regs", "ptmap", "pte $pc"])
def test_found_on_when_sourced_late(machine: ProxiedMachine, command: str) -> None:
    machine.session.disconnect()
    with GdbSession() as session:
        session.attach(machine.proxy.gdb_target)
        session.packet(b"Qqemu.PhyMemMode:1")
        session.run("maintenance flush dcache")
        assert "int3" in session.run("x/i $pc")
        said = session.run(f"source {ptmap_script()}") + session.run(command)
        assert said.count(FOUND_ON) == 1
        assert "right" in session.run(f"x/s {DATA}") and "nop" in session.run("x/i $pc")
        assert not is_physical(session)
    machine.session.attach(machine.proxy.gdb_target)


@pytest.mark.parametrize(
    "rules, words",
    [
        (NO_MONITOR, ["monitor"]),
        ((Rule("qRcmd", Answer(b"E01")),), ["monitor"]),
        ((Rule("qRcmd", Answer(b"OK")),), ["monitor", "RAM"]),
    ],
    ids=["no monitor", "monitor fails", "monitor silent"],
)
def test_no_monitor(machine: ProxiedMachine, rules: tuple[Rule, ...], words: list[str]) -> None:
    with untouched(machine):
        for command in ("ptmap", "pte $pc"):
            machine.proxy.play(*rules)
            refused(machine.session, command, *words)
            assert sum(machine.proxy.fired) > 0
        assert machine.proxy.reads() == []
        assert "32-bit paging" in machine.session.run("ptmap regs")
    works(machine)


def test_a_stub_without_physical_mode(machine: ProxiedMachine) -> None:
    """The monitor's xp does it too, and a device is not read by it either."""
    commands = ("ptmap -json -", "pte -json - $pc", f"xp/4xb {CODE_PA}", "xp/xb 0xa0000")
    right = [answer(machine.session, command) for command in commands]
    machine.session.disconnect()
    machine.proxy.play(*OLD_STUB)
    machine.session.attach(machine.proxy.gdb_target)
    machine.proxy.reset()
    assert [answer(machine.session, command) for command in commands] == right
    assert "`xp`" in memory_shown(machine.session)
    assert machine.proxy.reads() == [] and machine.proxy.count("Qqemu") == 0
    assert sum(machine.proxy.fired) > 0
    machine.session.disconnect()
    machine.proxy.play()
    machine.session.attach(machine.proxy.gdb_target)
    works(machine)


def answer(session: GdbSession, command: str) -> str:
    """What a command says, or why it refuses."""
    try:
        return session.run(command)
    except GdbFailure as failure:
        return str(failure)


# What is not RAM


DEVICES = (0xA0000, 0xBF000, 0xFEC00000, 0xFED00000, 0xFEE00000)
HOLES = (0x8000000, 0x3FFFFFFF000, 0xFFFFFFFFFF000)


def hostile(mode: str, end_of_ram: int) -> Tables:
    """Tables that point at devices, the VGA window, holes and the edges of RAM, at each level."""
    space = Tables(mode)
    top = 2 if mode == "32-bit" else 4
    targets = [
        *DEVICES,
        *(hole for hole in HOLES if mode != "32-bit" or hole < 1 << 32),
        end_of_ram - KIB4,
        end_of_ram,
        end_of_ram + KIB4,
        0xFFFFF000,
    ]
    for level in range(top, 1, -1):
        table = space.table_for(0, level)
        for n, target in enumerate(targets):
            space.set(table, 20 + n, target | P | RW | US)
    return space


@pytest.mark.parametrize("mode", ["32-bit", "4-level"])
def test_only_ram_is_read(mode: str) -> None:
    with ProxiedMachine(args=["-device", "VGA"]) as machine:
        session, proxy = machine.session, machine.proxy
        space = hostile(mode, 64 << 20)
        space.write_to(machine)
        machine.set_mode(mode, space.root)
        before = session.run("info registers")
        proxy.reset()
        made = document(session)
        addresses = sorted({int(gap["table"], 16) for gap in made["unreadable"]})
        assert not made["complete"] and set(DEVICES) <= set(addresses)
        assert {gap["why"] for gap in made["unreadable"]} == {"not RAM"}
        top = {"32-bit": 22, "4-level": 39}[mode]
        for n in range(20, 33):
            session.run(f"pte {n << top:#x} {n << top - 9:#x}")
        for root in DEVICES:
            assert not document(session, f"ptmap -json - -root {root:#x}")["complete"]
            assert "not RAM" in session.run(f"pte -root {root:#x} 0")
            assert "not RAM" in session.run(f"ptmap -root {root:#x} -at 0")
        regions = judges.parse_mtree(machine.hmp("info mtree -f"))
        ram = [(r.start, r.start + r.size) for r in regions if r.kind in ("ram", "rom", "romd")]
        reads = proxy.reads()
        assert len(reads) > 30
        for address, length in reads:
            # A read may cross from one block of RAM into the next, and no test here does.
            assert any(
                start <= address and address + length <= end for start, end in ram
            ), f"{length} bytes at {address:#x}"
        proxy.play()
        assert session.run("info registers") == before


# Which CPU


def test_the_selected_cpu() -> None:
    with ProxiedMachine(args=["-smp", "2"]) as machine:
        session, proxy = machine.session, machine.proxy
        roots = []
        for thread, at in ((1, 0x100000), (2, 0x200000)):
            space = Tables("32-bit" if thread == 1 else "pae", at=at)
            space.map(0x1000, 0x300000 * thread)
            space.write_to(machine)
            session.run(f"thread {thread}")
            session.eval("$cr3")  # the stub's CPU for P packets too
            session.packet(f"Hgp1.{thread}".encode())
            machine.set_mode(space.mode, space.root)
            roots.append(space.root)
        session.run("maintenance flush register-cache")
        for thread in (1, 2, 1):
            session.run(f"thread {thread}")
            before = session.run("info threads")
            monitor = re.findall("^.*CPU.*$", session.run("monitor info cpus"), re.M)
            proxy.reset()
            made = document(session)
            assert int(made["root"], 16) == roots[thread - 1]
            assert made["mode"] == ("32-bit", "pae")[thread - 1]
            assert f"physical {0x300000 * thread:#x}" in session.run("pte 0x1000")
            assert f"{roots[thread - 1]:#x}" in session.run("ptmap regs")
            assert [p for p in proxy.sent() if not HARMLESS.match(p)] == []
            assert session.run("info threads") == before
            assert re.findall("^.*CPU.*$", session.run("monitor info cpus"), re.M) == monitor
        both = session.run("thread apply all -q pte 0x1000")
        assert "physical 0x300000" in both and "physical 0x600000" in both
        assert "Thread 1.1" in session.run("thread")


# What cannot be asked

COMMANDS = ("ptmap", "ptmap -json -", "pte 0", "pte $pc", "ptmap regs")


def test_no_target() -> None:
    with GdbSession(script=ptmap_script()) as session:
        for command in (*COMMANDS, "ptmap pte 0", "ptmap -root 0 -mode pae"):
            refused(session, command, "no target")
        assert not re.search("Traceback|Python", session.log)


def test_a_running_target(machine: ProxiedMachine) -> None:
    machine.session.disconnect()
    with Qemu() as qemu, StubProxy(qemu.gdb_target) as proxy, GdbSession(
        script=ptmap_script()
    ) as session:
        session.run("set mi-async on")
        session.attach(proxy.gdb_target)
        session.run("continue &")
        proxy.reset()
        for command in COMMANDS:
            refused(session, command, "the target is running", "interrupt")
        assert proxy.sent() == []
        assert qemu.qmp("query-status")["running"]


def cr_in_a_variable(session: GdbSession) -> None:
    for name, value in (("cr0", 0x80010001), ("cr3", 0x1000), ("cr4", 0x20), ("efer", 0x500)):
        session.run(f"set ${name} = {value}")


def ordinary(session: GdbSession) -> None:
    """A target that has no control registers, and variables that look like them."""
    for variables in (False, True):
        if variables:
            cr_in_a_variable(session)
        before = session.run("info registers"), session.run("frame")
        for command in ("ptmap", "pte $pc", "ptmap -json -"):
            refused(session, command, "physical memory")
        refused(session, "ptmap regs", "control registers")
        for command in ("ptmap -root 0x1000 -mode 4-level", "pte -root 0x1000 -mode pae 0"):
            refused(session, command, "physical memory")
        assert (session.run("info registers"), session.run("frame")) == before
    assert session.eval("$cr3") == 0x1000
    assert not re.search("Traceback|Python", session.log)


def test_a_process_and_its_core(tmp_path: Path) -> None:
    core = tmp_path / "core"
    with GdbSession(script=ptmap_script()) as session:
        session.run("file /bin/true")
        session.run("starti")
        ordinary(session)
        session.run(f"generate-core-file {core}")
        session.run("kill")
        refused(session, "ptmap", "no target")
    with GdbSession(script=ptmap_script()) as session:
        session.run("file /bin/true")
        session.run(f"core-file {core}")
        ordinary(session)


@pytest.mark.parametrize(
    "command, words",
    [
        ("ptmap -bogus", ["-bogus", "-ranges"]),
        ("pte -ranges $pc", ["-ranges", "-root"]),
        ("ptmap regs -bogus", ["-bogus"]),
        ("ptmap -root", ["-root", "PA"]),
        ("ptmap -filter", ["-filter"]),
        ("ptmap -json", ["-json"]),
        ("ptmap -mode vax", ["32-bit", "5-level"]),
        ("ptmap -as god", ["user", "kernel"]),
        ("pte nosuchsymbol", ["nosuchsymbol"]),
        ("pte $nosuchvariable", ["$nosuchvariable"]),
        ("pte *(int*)0x7fff0000", ["0x7fff0000"]),
        ("pte 1+", ["1+"]),
        ("pte", ["address"]),
        ("ptmap -root nosuchsymbol", ["nosuchsymbol"]),
        ("ptmap -root 0x100001", ["0x100001", "4096"]),
        ("ptmap 0x2000 0x1000", ["0x2000", "0x1000"]),
        ("ptmap 0x2000 0x2000", ["0x2000"]),
        ("ptmap -json /nonexistent/map", ["/nonexistent/map"]),
    ],
)
def test_bad_arguments(machine: ProxiedMachine, command: str, words: list[str]) -> None:
    """Refused before the stub is put into its physical mode."""
    with untouched(machine):
        said = refused(machine.session, command, *words)
        assert said.startswith("ptmap regs: " if "regs" in command else command.split()[0] + ": ")
        if "/nonexistent/" not in command:
            assert machine.proxy.count(ON) == 0
    works(machine)


# Loading


def test_loading_is_cheap() -> None:
    """Nothing native, nothing heavy, no packet, before the first command."""
    loaded = """
import sys
result = sorted(m for m in sys.modules if m.startswith("ptmap.") or m in ("ctypes", "subprocess"))
"""
    with GdbSession() as session:
        start = time.monotonic()
        assert session.run(f"source {ptmap_script()}") == ""
        print(f"sourcing took {1000 * (time.monotonic() - start):.1f} ms")
        modules = session.python(loaded)
        assert "ptmap.commands.command" in modules
        assert not {"ptmap._core", "ctypes", "subprocess"} & set(modules)
        refused(session, "ptmap", "no target")
        assert "ptmap._core" not in session.python(loaded)
    with Qemu() as qemu, StubProxy(qemu.gdb_target) as proxy, GdbSession() as session:
        session.attach(proxy.gdb_target)
        proxy.reset()
        session.run(f"source {ptmap_script()}")
        assert set(proxy.sent()) <= {b"qqemu.PhyMemMode"}


def test_loading_twice(machine: ProxiedMachine, tmp_path: Path) -> None:
    session = machine.session
    session.run("set ptmap maxphyaddr 40")
    assert session.run(f"source {ptmap_script()}") == ""
    assert "40" in session.run("show ptmap maxphyaddr")
    session.run("set ptmap maxphyaddr auto")
    works(machine)
    copy = copied(tmp_path)
    said = session.run(f"source {copy}")
    assert str(ptmap_script().parent) in said and said.count("\n") == 1
    works(machine)


@pytest.mark.parametrize(
    "how",
    [
        "define pte\necho theirs\\n\nend",
        "python\nclass Pte(gdb.Command):\n  def invoke(self, a, t): print('theirs')\n"
        "Pte('pte', gdb.COMMAND_USER)\nend",
        "alias pte = echo theirs",
    ],
    ids=["define", "python", "alias"],
)
def test_a_taken_name(machine: ProxiedMachine, how: str) -> None:
    machine.session.disconnect()
    with GdbSession() as session:
        session.run(how)
        said = session.run(f"source {ptmap_script()}")
        assert "pte" in said and "ptmap pte" in said and said.count("\n") == 1
        assert session.run(f"source {ptmap_script()}") == ""
        session.attach(machine.proxy.gdb_target)
        assert session.run("pte").strip() == "theirs"
        assert f"physical {DATA_PA:#x}" in session.run(f"ptmap pte {DATA}")
        refused(session, "ptmap pte", "ptmap pte: ")
    machine.session.attach(machine.proxy.gdb_target)


def copied(where: Path) -> Path:
    """ptmap's folder as it is built, files instead of links; returns the script."""
    shutil.copytree(
        ptmap_script().parent, where / "gdb", ignore=shutil.ignore_patterns("__pycache__")
    )
    return where / "gdb" / "ptmap-gdb.py"


def batch(script: Path, *commands: str) -> subprocess.CompletedProcess[str]:
    """As a lab's check runs it."""
    environment = {
        key: value for key, value in os.environ.items() if key not in ("PYTHONHOME", "PYTHONPATH")
    }
    return subprocess.run(
        ["gdb", "-nx", "-q", "-batch", "-x", str(script), *(f"-ex={c}" for c in commands)],
        env=environment | {"LC_ALL": "C.UTF-8", "DEBUGINFOD_URLS": ""},
        timeout=60,
        text=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def lasting() -> Iterator[str]:
    """What to attach to, again and again: GDB's end lets the guest run into a triple fault, and
    QEMU stays, stopped at that, tables and registers as they were."""
    with ProxiedMachine(args=["-no-shutdown"]) as machine:
        space = everyday()
        fill(machine)
        space.write_to(machine)
        machine.set_mode(space.mode, space.root)
        machine.session.disconnect()
        yield machine.proxy.gdb_target


@pytest.mark.parametrize("change", ["missing", "other Python", "no module at all"])
def test_the_module_does_not_fit(lasting: str, change: str, tmp_path: Path) -> None:
    script = copied(tmp_path)
    (module,) = (script.parent / "ptmap").glob("_core.*.so")
    if change == "missing":
        module.unlink()
    elif change == "other Python":
        module.rename(module.with_name("_core.cpython-39-x86_64-linux-gnu.so"))
    else:
        module.write_text("not an ELF file\n")
    for command in ("pte 0", "ptmap", "ptmap -json -"):
        ran = batch(script, f"target remote {lasting}", command)
        assert ran.returncode == 1
        assert "Traceback" not in ran.stderr and "Python Exception" not in ran.stderr
        said = next(line for line in ran.stderr.splitlines() if line.startswith(command[:3]))
        assert "cmake --preset release" in said and "cmake --build --preset release" in said
        assert re.search(r"this GDB runs Python 3\.\d+\.\d+", said)
        if change == "other Python":
            assert "built for Python 3.9" in said


@pytest.mark.parametrize(
    "status, command",
    [
        (0, "pte 0xfff00000"),  # not present
        (0, f"pte {DATA}"),
        (0, "ptmap"),
        (0, "ptmap regs"),
        (0, "ptmap 0xffe00000 0xfff00000"),
        (0, "pte -root 0x7ffff000 0"),  # unreadable
        (0, "ptmap -root 0x7ffff000"),
        (0, "ptmap -filter UC"),  # nothing found
        (1, "pte nosuchsymbol"),
        (1, "ptmap -bogus"),
        (1, "ptmap regs extra"),
        (1, "pte"),
        (1, "ptmap -root 1"),
        (1, "pte 0x100000000"),
    ],
)
def test_batch_status(lasting: str, status: int, command: str) -> None:
    ran = batch(ptmap_script(), f"target remote {lasting}", command)
    assert ran.returncode == status
    assert not re.search("Traceback|Python", ran.stderr)
    if status:
        assert len([x for x in ran.stderr.splitlines() if x.startswith(("pte", "ptmap"))]) == 1
    else:
        assert ran.stdout.strip()


def test_batch_status_without_a_target() -> None:
    for command in COMMANDS:
        ran = batch(ptmap_script(), command)
        assert ran.returncode == 1 and "no target" in ran.stderr


# Expressions that would write, or run code

EFFECTS = [f"(*(int*){DATA:#x})++", f"*(char*){DATA:#x}=1", "$rax++", "$cr3=0",
           f"((int(*)()){CODE:#x})()", "\\\"text\\\""]  # fmt: skip


@pytest.mark.parametrize(
    "command",
    [
        "pte {}",
        "pte -root {} 0",
        "pte -cpu {} 0",
        "ptmap {} 0",
        "ptmap -at {}",
        "ptmap find {}",
        "ptmap find 0 {}",
        "xp/x {}",
        "ptmap diff root={}",
        "ptmap check {} mapped",
        "ptmap check pa {} mapped",
        "set ptmap cr3 {}",
        "set ptmap max-tables {}",
    ],
)
def test_expressions_have_no_effect(machine: ProxiedMachine, command: str) -> None:
    """Nothing is written to the guest or run in it, whatever an expression asks for."""
    session = machine.session
    before = {name: session.run(f"show {name}") for name in PERMISSIONS}
    try:
        with untouched(machine):
            for effect in EFFECTS:
                word = effect.replace("\\", "") if command.startswith("set") else f'"{effect}"'
                if "xp" in command:
                    word = effect.replace("\\", "")
                said = refused(session, command.format(word))
                if "check" in command:
                    assert "malformed" in said
                assert re.search(
                    "may-call-functions|it assigns|not an integer|Cannot conv", said
                ), said
            assert machine.proxy.count("[XMGPcsvC]") == 0
    finally:
        session.run("set ptmap cr3 auto")
    assert {name: session.run(f"show {name}") for name in PERMISSIONS} == before


PERMISSIONS = ("may-write-memory", "may-call-functions")


def test_a_file_of_rules_has_no_effect(machine: ProxiedMachine, tmp_path: Path) -> None:
    session = machine.session
    rules = [f'"{effect}" mapped' for effect in EFFECTS]
    rules += [
        f'range 0 "{EFFECTS[0]}" mapped',
        f'count tables < "{EFFECTS[2]}"',
        f'no user in "{EFFECTS[4]}" 0',
        '"$ours = 0x20000" mapped',
    ]
    (tmp_path / "rules").write_text("\n".join(rules))
    with untouched(machine):
        with pytest.raises(GdbFailure, match="9 of 10 rules are malformed"):
            session.run(f"ptmap check -file {tmp_path}/rules")
        assert machine.proxy.count("[XMGPcsvC]") == 0
    assert session.eval("$ours") == DATA  # GDB's own variables are the user's
    # What is allowed to the user is so again, and what was not is not.
    session.run(f"set var *(int*){DATA} = *(int*){DATA}")
    assert machine.proxy.count("[XM]") > 0
    session.run("set may-write-memory off")
    try:
        assert "mapped" not in refused(session, f"pte 0 (*(int*){DATA:#x})++", "it assigns")
        assert session.run(f"pte {DATA}")
        assert "off" in session.run("show may-write-memory")
    finally:
        session.run("set may-write-memory on")


def test_functions_in_expressions(machine: ProxiedMachine) -> None:
    """GDB's and ours."""
    with untouched(machine):
        assert f"{DATA_PA:#x}" in machine.session.run(f"xp/x $ptmap_pa({DATA})")
        assert "root" in machine.session.run(f"pte '$_streq($ptmap_rights({DATA}), \"urwx-\")'")
        for expression in ('$ptmap_pa("text")', "$ptmap_mapped((*(int*)0x20000)++)"):
            refused(machine.session, f"pte '{expression}'")
        assert machine.proxy.count("[XMGPcsvC]") == 0
