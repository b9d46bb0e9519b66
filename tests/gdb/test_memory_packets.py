"""QEMU's memory by packets, by pmemsave, and which of them; what happens behind GDB's back."""

from __future__ import annotations

import json
import os
import re
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Iterator

import pytest

from gdbsession import GdbDied, GdbFailure, GdbSession, memory_shown, ptmap_script, refused
from machine import BareMachine
from stub_proxy import NO_MONITOR, Answer, Lose, ProxiedMachine, Rule
from tables import Tables

KIB4 = 4096
TMP = f"{tempfile.gettempdir()}/ptmap-gdb-"
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
    shared.session.python(
        "import importlib, ptmap.machine.sources.pmemsave as p\n" "importlib.reload(p)"
    )
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
    """Guest memory in the folders of all GDBs. (Another lane's may have loaded symbols there.)"""
    return [str(path) for path in Path(tempfile.gettempdir()).glob("ptmap-gdb-*/ram-*")]


def path_of(packet: bytes) -> str:
    """Where QEMU's pmemsave is to write."""
    return bytes.fromhex(packet.decode().partition(",")[2]).decode().split('"')[1]


# pmemsave


def test_much_at_once(machine: ProxiedMachine) -> None:
    """The same map, in a few calls, and no file is left."""
    before = left_behind()
    saved = document(machine.session)
    assert [path_of(packet)[:6] for packet in machine.proxy.sent(PMEMSAVE)] == ["/proc/"] * 2
    assert "1 pmemsave for much at once" in memory(machine.session)
    assert len(machine.proxy.reads()) <= 2 * (saved["tables"] - TABLES)
    assert left_behind() == before
    machine.session.python(
        "from ptmap.machine.sources import pmemsave\n" "pmemsave.groups = lambda w: []"
    )
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
    with pytest.raises(GdbFailure, match="nothing is not one of auto, "):
        machine.session.run("set ptmap memory")


@pytest.mark.parametrize("answer", [b"E01", b"OK"], ids=["refused", "nothing written"])
def test_where_qemu_cannot_write(machine: ProxiedMachine, answer: bytes) -> None:
    """Packets do, and nobody asks again, once both roads were tried."""
    right = document(machine.session)
    machine.session.run("set ptmap memory auto")
    machine.session.run("set ptmap memory packets")  # anew
    machine.proxy.play(Rule(PMEMSAVE, Answer(answer)))
    machine.proxy.reset()
    for _ in range(2):
        assert document(machine.session) == right
    assert machine.proxy.count(PMEMSAVE) == 2
    assert "pmemsave" not in memory(machine.session)


NO_MEMFD = "import os; del os.memfd_create\n"
# `modes`: of each folder and file of the fallback, while the umask takes nothing away.
MODES = """
import __main__, os
from ptmap.machine.sources import pmemsave
__main__.modes, kept = [], pmemsave._save
def save(address, length, path):
    if not path.startswith("/proc"):
        __main__.modes += [os.stat(one).st_mode & 0o777 for one in (os.path.dirname(path), path)]
    kept(address, length, path)
pmemsave._save = save
os.umask(0)
"""


@pytest.mark.parametrize(
    "prefix, roads",
    [
        (["unshare", "-fp"], ["/proc/", "/proc/"]),
        (["unshare", "-fp", "--mount-proc"], ["/proc/", TMP]),
        ([], [TMP]),
    ],
    ids=["by its number outside", "another process's number", "no memfd"],
)
def test_how_qemu_reaches_gdb(prefix: list[str], roads: list[str]) -> None:
    """Nothing but an empty file is written to /proc before it is proved whose that number is. The
    fallback is a file that nobody else may read, in a folder that nobody else may enter."""
    with ProxiedMachine(prefix=prefix) as machine:
        prepare(machine, MODES + ("" if prefix else NO_MEMFD))
        right = document(machine.session)
        assert "1 pmemsave for much at once" in memory(machine.session)
        sent = machine.proxy.sent(PMEMSAVE)
        assert [path_of(packet)[: len(road)] for packet, road in zip(sent, roads)] == roads
        assert len(sent) == len(roads)
        assert "pmemsave 0x0 0x0 " in bytes.fromhex(sent[0].decode()[6:]).decode() or not prefix
        if roads[-1] == TMP:
            assert machine.session.python("import __main__; result = __main__.modes") == [
                0o700,
                0o600,
            ]
        machine.session.python(
            "import ptmap.machine.sources.pmemsave as p\n" "p.groups = lambda wanted: []"
        )
        assert document(machine.session) == right
        assert left_behind() == []


def prepare(machine: ProxiedMachine, code: str) -> None:
    """Many tables, to be read by pmemsave; CODE runs in GDB before."""
    session = machine.session
    session.python("import importlib, ptmap.machine.sources.pmemsave as p; importlib.reload(p)")
    session.python(code)
    session.run("set ptmap memory packets")
    space = spread()
    space.write_to(machine)
    machine.set_mode(space.mode, space.root)
    machine.proxy.reset()


@pytest.mark.parametrize("road", ["memfd", "folder"])
def test_gdb_is_killed_in_the_middle(
    tmp_path: Path, road: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the guest's memory is left: at once, or when the next GDB starts."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with ProxiedMachine() as machine:
        prepare(machine, NO_MEMFD if road == "folder" else "")
        machine.proxy.play(Rule(PMEMSAVE, Lose(), nth=2 if road == "memfd" else 1))

        def ask() -> None:
            with pytest.raises(GdbDied):
                machine.session.run("ptmap")

        asking = threading.Thread(target=ask)
        asking.start()
        deadline = time.monotonic() + 30
        while machine.proxy.fired != [1]:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        machine.qemu.hmp("info status")  # QEMU has done it
        os.kill(machine.session.pid, signal.SIGKILL)
        asking.join()
        left = [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size]
        assert len(left) == (road == "folder")
        open_there = [os.readlink(link) for link in Path(f"/proc/{machine.qemu.pid}/fd").iterdir()]
        assert not any("memfd:ptmap" in name or str(tmp_path) in name for name in open_there)
        with GdbSession(script=ptmap_script()):
            assert list(tmp_path.iterdir()) == []


def test_what_the_next_gdb_sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders of GDBs that are gone; not a living one's, not what a link leads to, nor the link."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    theirs = tmp_path / "theirs"
    theirs.mkdir(0o700)
    (theirs / "file").write_text("theirs")
    (tmp_path / "ptmap-gdb-link0000").symlink_to(theirs)
    for name, mode in (("ptmap-gdb-gone0000", 0o700), ("ptmap-gdb-open0000", 0o755)):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(mode)
        (tmp_path / name / "ram").write_text("guest memory")
        (tmp_path / name / "link").symlink_to(theirs)
        (tmp_path / name / "file").symlink_to(theirs / "file")
    (tmp_path / "ptmap-gdb-file0000").write_text("a file")
    with GdbSession(script=ptmap_script()) as living:
        folder = living.python(
            "from ptmap.base import private_folder\n" "result = private_folder.path()"
        )
        with GdbSession(script=ptmap_script()):
            assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
                [
                    "ptmap-gdb-file0000",
                    "ptmap-gdb-link0000",
                    "ptmap-gdb-open0000",
                    "theirs",
                    Path(folder).name,
                ]
            )
            assert (theirs / "file").read_text() == "theirs"
    assert not Path(folder).exists()


def test_what_is_near(machine: ProxiedMachine) -> None:
    """Reads that are 64 KiB apart at most, four at least, in one call."""

    def groups(*wanted: tuple[int, int]) -> Any:
        return machine.session.python(
            "from ptmap.machine.sources import pmemsave\n"
            f"result = list(pmemsave.groups({list(wanted)!r}))"
        )

    page = [(i * KIB4, KIB4) for i in range(100)]
    assert groups(*page[:3]) == []
    assert groups(*page[3::-1]) == [[list(read) for read in page[:4]]]
    assert groups(*page[0:68:17]) == [[list(read) for read in page[0:68:17]]]
    assert groups(*page[0:72:18]) == []
    assert [len(group) for group in groups(*page[:4], *page[50:55], page[90])] == [4, 5]


# What it cost


def test_what_it_cost(machine: ProxiedMachine) -> None:
    session = machine.session
    machine.session.python(
        "from ptmap.machine.sources import pmemsave\n" "pmemsave.groups = lambda w: []"
    )
    start = cost(session)
    tables = document(session)["tables"]
    whole = cost(session)
    assert (whole[0] - start[0], whole[1] - start[1]) == (2 * tables, KIB4 * tables)
    document(session, "pte -json - 0x200000")
    assert (cost(session)[0] - whole[0], cost(session)[1] - whole[1]) == (4, 32)


# The setting


@pytest.mark.parametrize(
    "words, said",
    [
        ("nonsense", "nonsense is not one of auto, packets, process, direct-map, dump, file"),
        ("dump", "dump needs a PATH"),
        ("file ", "file needs a PATH"),
        ("packets /x", "packets takes no path"),
    ],
)
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
        for reset in (
            lambda: machine.session.run("monitor system_reset"),
            lambda: machine.qemu.qmp("system_reset"),
        ):
            assert document(machine.session)["mode"] == "pae"
            reset()
            refused(machine.session, "ptmap", "paging is off")
            assert '"paging-off"' in machine.session.run("pte -json - 0x1000")
            machine.set_mode(space.mode, space.root)


def test_a_command_knows_nothing_of_the_one_before(tmp_path: Path) -> None:
    """Two files are compared, though the machine that the last command read was reset since."""
    with BareMachine(script=ptmap_script(), args=("-action", "reboot=reset")) as machine:
        space = spread("pae", 4)
        space.write_to(machine)
        machine.set_mode(space.mode, space.root)
        file = tmp_path / "a.ptmap"
        machine.session.run(f"ptmap save {file}")
        machine.session.run("ptmap regs")
        machine.session.run("monitor system_reset")
        assert "no difference" in machine.session.run(f"ptmap diff {file} {file}")


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
    hole = machine.session.python(
        """
from ptmap.base.interval import Interval
from ptmap.machine.sources import choose
source = choose.memory().source
hole = 0x100000 + 20 * 4096
source._ram = [Interval(0, hole - 1), Interval(hole + 4096, 0x3ffffff)]
result = hole
"""
    )
    machine.proxy.reset()
    found = document(machine.session)
    assert [int(gap["table"], 16) for gap in found["unreadable"]] == [hole]
    assert found["unreadable"][0]["why"] == "not RAM"
    for packet in machine.proxy.sent(PMEMSAVE):
        _, first, length, _ = bytes.fromhex(packet.split(b",")[1].decode()).decode().split()
        start, end = int(first, 16), int(first, 16) + int(length, 16)
        assert end <= hole or start > hole


@pytest.mark.parametrize("word", ["packets", "auto"])
@pytest.mark.parametrize(
    "command", ["ptmap", "ptmap -json -", "ptmap -json {file}", "ptmap regs", "pte 0x1000", "vdso"]
)
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
        session.python(
            """
from ptmap.machine.sources.source import Source
kept = Source.reading
def reading(self):
    Source.reading = kept
    gdb.execute("monitor system_reset", False, True)
    return kept(self)
Source.reading = reading
"""
        )
        refused(session, command.format(file=file), "ran or was reset", "ask again")
        assert not file.exists()
        refused(session, "ptmap", "paging is off")
