"""QEMU's memory by packets, by pmemsave, and which of them; what happens behind GDB's back."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any, Iterator

import pytest

from gdbsession import GdbFailure, GdbSession, memory_shown, ptmap_script, refused
from machine import BareMachine
from stub_proxy import NO_MONITOR, Answer, ProxiedMachine, Rule
from tables import Tables

KIB4 = 4096
TABLES = 40
PMEMSAVE = "qRcmd," + b"pmemsave ".hex()


def spread(mode: str = "4-level", tables: int = TABLES) -> Tables:
    """That many page tables that follow one another, each with a page."""
    space = Tables(mode)
    for i in range(tables):
        space.map(i << 21, 0x300000 + i * KIB4)
    return space


@pytest.fixture(scope="module")
def shared() -> Iterator[ProxiedMachine]:
    with ProxiedMachine() as machine:
        yield machine


@pytest.fixture()
def machine(shared: ProxiedMachine) -> Iterator[ProxiedMachine]:
    """A map of more than forty tables; pmemsave is on."""
    shared.proxy.play()
    shared.session.disconnect()
    shared.session.attach(shared.proxy.gdb_target)
    shared.session.run("set ptmap memory packets")
    shared.session.python("import importlib, ptmap.sources.pmemsave as p; importlib.reload(p)")
    space = spread()
    space.write_to(shared)
    shared.set_mode(space.mode, space.root)
    shared.proxy.reset()
    yield shared
    shared.proxy.play()


def document(session: GdbSession, command: str = "ptmap -json -") -> dict[str, Any]:
    return dict(json.loads(session.run(command)))


def cost(session: GdbSession) -> tuple[int, int]:
    """(requests, bytes) so far, as `show` tells."""
    found = re.search(r"so far (\d+) requests?, (\d+) bytes in \d+\.\d+ s", memory(session))
    assert found is not None
    return int(found[1]), int(found[2])


def memory(session: GdbSession) -> str:
    return memory_shown(session)


def left_behind() -> list[str]:
    return [name for name in os.listdir(tempfile.gettempdir())
            if re.fullmatch("ptmap-[a-z0-9_]{8}", name)]


# pmemsave


def test_much_at_once(machine: ProxiedMachine) -> None:
    """The same map, in a few calls, and no file is left."""
    before = left_behind()
    saved = document(machine.session)
    assert machine.proxy.count(PMEMSAVE) == 1
    assert "1 pmemsave for much at once" in memory(machine.session)
    assert len(machine.proxy.reads()) <= 2 * (saved["tables"] - TABLES)
    assert left_behind() == before
    machine.session.python("from ptmap.sources import pmemsave; pmemsave.groups = lambda w: []")
    machine.proxy.reset()
    assert document(machine.session) == saved and saved["tables"] >= TABLES + 3
    assert machine.proxy.count(PMEMSAVE) == 0
    assert len(machine.proxy.reads()) == 2 * saved["tables"]


def test_an_address_needs_no_file(machine: ProxiedMachine) -> None:
    document(machine.session, "pte -json - 0x200000")
    assert machine.proxy.count(PMEMSAVE) == 0
    assert {length for _, length in machine.proxy.reads()} == {8}


def test_paths_may_be_quoted(machine: ProxiedMachine, tmp_path: Path) -> None:
    for quote in ("", "'", '"'):
        machine.session.run(f"set ptmap memory file {quote}{tmp_path / 'no such'}{quote}")
        refused(machine.session, "ptmap", str(tmp_path / "no such"), "No such file")
    with pytest.raises(GdbFailure, match="nothing is none of auto, "):
        machine.session.run("set ptmap memory")


@pytest.mark.parametrize("answer", [b"E01", b"OK"], ids=["refused", "nothing written"])
def test_where_qemu_cannot_write(machine: ProxiedMachine, answer: bytes) -> None:
    """Packets do, and nobody asks again."""
    right = document(machine.session)
    machine.session.run("set ptmap memory auto")
    machine.session.run("set ptmap memory packets")  # anew
    machine.proxy.play(Rule(PMEMSAVE, Answer(answer)))
    machine.proxy.reset()
    for _ in range(2):
        assert document(machine.session) == right
    assert machine.proxy.count(PMEMSAVE) == 1
    assert "pmemsave" not in memory(machine.session)


def test_another_users_qemu_is_not_offered_a_folder(machine: ProxiedMachine) -> None:
    """The folder is private, whatever the umask."""
    machine.session.python("""
import os, stat, tempfile
from ptmap.sources import pmemsave
made = []
class Folder(tempfile.TemporaryDirectory):
    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        made.append(stat.S_IMODE(os.stat(self.name).st_mode))
kept, umask = tempfile.TemporaryDirectory, os.umask(0)
tempfile.TemporaryDirectory = Folder
try:
    gdb.execute("ptmap", False, True)
finally:
    tempfile.TemporaryDirectory = kept
    os.umask(umask)
assert made == [0o700], made
""")


def test_what_is_near(machine: ProxiedMachine) -> None:
    """Reads that are 64 KiB apart at most, four at least, in one call."""
    def groups(*wanted: tuple[int, int]) -> Any:
        return machine.session.python(
            f"from ptmap.sources import pmemsave; result = list(pmemsave.groups({list(wanted)!r}))")

    page = [(i * KIB4, KIB4) for i in range(100)]
    assert groups(*page[:3]) == []
    assert groups(*page[3::-1]) == [[list(read) for read in page[:4]]]
    assert groups(*page[0:68:17]) == [[list(read) for read in page[0:68:17]]]
    assert groups(*page[0:72:18]) == []
    assert [len(group) for group in groups(*page[:4], *page[50:55], page[90])] == [4, 5]


# What it cost


def test_what_it_cost(machine: ProxiedMachine) -> None:
    session = machine.session
    machine.session.python("from ptmap.sources import pmemsave; pmemsave.groups = lambda w: []")
    start = cost(session)
    tables = document(session)["tables"]
    whole = cost(session)
    assert (whole[0] - start[0], whole[1] - start[1]) == (2 * tables, KIB4 * tables)
    document(session, "pte -json - 0x200000")
    assert (cost(session)[0] - whole[0], cost(session)[1] - whole[1]) == (4, 32)


# The setting


@pytest.mark.parametrize("words, said", [
    ("nonsense", "nonsense is none of auto, packets, process, direct-map, dump, file"),
    ("dump", "dump needs a PATH"), ("file ", "file needs a PATH"),
    ("packets /x", "packets takes no path"),
])
def test_bad_settings(machine: ProxiedMachine, words: str, said: str) -> None:
    with pytest.raises(GdbFailure) as failure:
        machine.session.run(f"set ptmap memory {words}")
    assert said in str(failure.value)
    assert memory(machine.session).startswith("ptmap memory is packets\n")


def test_without_a_target() -> None:
    with GdbSession(script=ptmap_script()) as session:
        for word in ("auto", "packets", "process", "direct-map"):
            session.run(f"set ptmap memory {word}")
            assert memory(session).startswith(f"ptmap memory is {word}\n  none: ")
            refused(session, "ptmap", "no target")


def test_what_is_not_there_is_said(machine: ProxiedMachine) -> None:
    """A source that was named and cannot be is an error, and no other takes its place."""
    session = machine.session
    session.run("set ptmap memory direct-map")
    refused(session, "ptmap", "set ptmap memory direct-map")
    session.run(f"set ptmap memory dump {Path(__file__).parent / 'no such file'}")
    refused(session, "ptmap", "no such file")
    session.run("set ptmap memory packets")
    assert document(session)["complete"]


def test_no_monitor(machine: ProxiedMachine) -> None:
    machine.session.run("set ptmap memory auto")
    machine.proxy.play(*NO_MONITOR)
    refused(machine.session, "ptmap", "monitor")
    assert "monitor" in memory(machine.session)


# Behind GDB's back


def test_a_machine_that_was_reset() -> None:
    """GDB knows nothing of it: its registers are those from before."""
    with BareMachine(script=ptmap_script(), args=("-action", "reboot=reset")) as machine:
        space = spread("pae", 4)
        space.write_to(machine)
        machine.set_mode(space.mode, space.root)
        for reset in (lambda: machine.session.run("monitor system_reset"),
                      lambda: machine.qemu.qmp("system_reset")):
            assert document(machine.session)["mode"] == "pae"
            reset()
            refused(machine.session, "ptmap", "paging is off")
            assert '"paging-off"' in machine.session.run("pte -json - 0x1000")
            machine.set_mode(space.mode, space.root)


def test_memory_and_registers_that_changed(machine: ProxiedMachine) -> None:
    """Another root, another table: the next command shows them."""
    session = machine.session
    assert document(session)["pages"]["4K"] == TABLES
    other = spread(tables=3)
    other.write_to(machine)
    assert document(session)["pages"]["4K"] == 3
    machine.session.packet(f"P1d={(0x7000).to_bytes(8, 'little').hex()}".encode())  # cr3
    assert document(session)["root"] == "0x7000"


def test_the_frame_stays_selected(machine: ProxiedMachine) -> None:
    session = machine.session
    session.run(f"set $rip = {TABLES // 2 << 21}")
    selected = session.run("frame")
    session.run("ptmap")
    assert session.run("frame") == selected


def test_what_is_near_over_a_device(machine: ProxiedMachine) -> None:
    """No call goes over what is no RAM: here a page in the middle of the tables."""
    document(machine.session)
    hole = machine.session.python("""
from ptmap.sources import choose
source = choose.memory().source
hole = 0x100000 + 20 * 4096
source._ram = [(0, hole - 1), (hole + 4096, 0x3ffffff)]
result = hole
""")
    machine.proxy.reset()
    found = document(machine.session)
    assert [int(gap["table"], 16) for gap in found["unreadable"]] == [hole]
    assert found["unreadable"][0]["why"] == "not RAM"
    for packet in machine.proxy.sent(PMEMSAVE):
        _, first, length, _ = bytes.fromhex(packet.split(b",")[1].decode()).decode().split()
        start, end = int(first, 16), int(first, 16) + int(length, 16)
        assert end <= hole or start > hole


@pytest.mark.parametrize("word", ["packets", "auto"])
@pytest.mark.parametrize("command", ["ptmap", "ptmap -json -", "ptmap -json {file}", "ptmap regs",
                                     "pte 0x1000", "vdso"])
def test_a_reset_in_the_middle(word: str, command: str, tmp_path: Path) -> None:
    """What was read is of no one machine: an error, and the next command is right."""
    file = tmp_path / "map.json"
    with BareMachine(script=ptmap_script(), args=("-action", "reboot=reset")) as machine:
        space = spread("pae", 4)
        space.write_to(machine)
        machine.set_mode(space.mode, space.root)
        session = machine.session
        session.run(f"set ptmap memory {word}")
        session.run("ptmap")
        session.python("""
from ptmap.sources.source import Source
kept = Source.reading
def reading(self):
    Source.reading = kept
    gdb.execute("monitor system_reset", False, True)
    return kept(self)
Source.reading = reading
""")
        refused(session, command.format(file=file), "ran or was reset", "ask again")
        assert not file.exists()
        refused(session, "ptmap", "paging is off")
