"""Files that are none: FIFOs with and without somebody at the other end, GDB's own output, devices.

Whatever a name stands for GDB does not hang, and hears Ctrl-C.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import socket
import struct
import subprocess
import termios
import threading
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from gdbsession import GdbFailure, GdbSession, ptmap_script, refused
from machine import BareMachine
from tables import KIB4, Tables

STORED = Path(__file__).resolve().parents[1] / "data/lab32-3g.ptmap"
PIPE = 4096  # bytes that the test's FIFOs hold


@pytest.fixture(scope="module")
def gdb() -> Iterator[GdbSession]:
    with BareMachine(script=ptmap_script()) as machine:
        space = Tables("4-level")
        for i in range(2, 512, 2):
            space.map(i * KIB4, 0x300000 + 5 * i % 64 * KIB4)
        space.write_to(machine)
        machine.set_mode("4-level", space.root)
        yield machine.session


@pytest.fixture()
def fifo(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


@pytest.fixture()
def reader(fifo: Path) -> Iterator[int]:
    """Its other end, which nobody reads from. There is room for one page."""
    descriptor = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE)
    yield descriptor
    try:
        os.close(descriptor)
    except OSError:
        pass  # the test has closed it


WRITERS = ["ptmap -json {}", "ptmap -ranges -o {}", "pte -json {} 0", "ptmap regs -o {}",
           "ptmap check -tap {} null page unmapped", "ptmap check -json {} null page unmapped",
           "ptmap find -json {} 0x300000", "xp/2000bx -o {} 0x300000",
           "ptmap diff -json {} current"]  # fmt: skip
LONG = ["ptmap -json {}", "ptmap -ranges -o {}", "ptmap check -file {rules} -tap {}",
        "ptmap check -file {rules} -o {}"]  # fmt: skip


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many, whose results are long."""
    path = tmp_path_factory.mktemp("rules") / "rules"
    path.write_text("0x2000 user\n" * 1000)
    return path


@pytest.mark.parametrize("command", WRITERS)
def test_a_fifo_that_nobody_reads_is_refused(gdb: GdbSession, fifo: Path, command: str) -> None:
    refused(gdb, command.format(fifo), str(fifo), "nobody reads")
    assert gdb.run("pte 0")


def test_no_snapshot_is_written_to_a_fifo(gdb: GdbSession, fifo: Path) -> None:
    refused(gdb, f"ptmap save {fifo}", "no regular file")


@pytest.mark.parametrize(
    "command",
    [
        "ptmap check -file {}",
        "ptmap diff {}",
        "set ptmap memory file {}",
        "set ptmap memory dump {}",
    ],
)
def test_nothing_is_read_from_a_fifo(gdb: GdbSession, fifo: Path, command: str) -> None:
    """Whether somebody writes into it or not; who waits to do so waits on."""
    for _ in range(2):
        if command.startswith("set"):
            gdb.run(command.format(fifo))
            refused(gdb, "ptmap", str(fifo), "not an ordinary file")
        else:
            refused(gdb, command.format(fifo), str(fifo), " file")
        gdb.run("set ptmap memory auto")
        writer = os.open(fifo, os.O_RDWR)
    os.close(writer)


def test_a_socket_is_named_as_one(gdb: GdbSession, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        refused(gdb, f"ptmap -json {tmp_path}/socket", "socket: a socket")


@pytest.mark.parametrize("command", ["ptmap -json ''", "ptmap -ranges -o ''", "ptmap save ''"])
def test_an_empty_name(gdb: GdbSession, command: str) -> None:
    refused(gdb, command, "no name: ")


def test_gdbs_own_output_by_another_name(tmp_path: Path) -> None:
    """Opened anew it would be cut, and what comes later leave a hole."""
    own = subprocess.run(
        ["gdb", "-nx", "-batch", "-x", ptmap_script()]
        + ["-ex", "echo first\\n", "-ex", f"ptmap diff {STORED} {STORED} -o /dev/fd/1"]
        + ["-ex", "echo last\\n"],
        stdout=(tmp_path / "log").open("w"),
        check=True,
        stdin=subprocess.DEVNULL,
    )
    assert own.returncode == 0
    said = (tmp_path / "log").read_text().splitlines()
    assert (said[0], said[-1]) == ("first", "last") and "no differences" in said


def test_no_kernel_is_looked_for_in_a_fifo(gdb: GdbSession, fifo: Path) -> None:
    said = gdb.python(
        f"""
from ptmap.base.errors import Refusal
from ptmap.context import kernel_files
try:
    kernel_files.inspect({str(fifo)!r})
except Refusal as refusal:
    result = str(refusal)
"""
    )
    assert said == f"{fifo} is not a regular file"


@pytest.mark.parametrize("command", LONG)
def test_a_fifo_that_is_read(gdb: GdbSession, fifo: Path, rules: Path, command: str) -> None:
    read: list[bytes] = []
    reading = threading.Thread(target=lambda: read.append(fifo.read_bytes()))
    reading.start()
    run(gdb, command.format(fifo, rules=rules))
    reading.join()
    file = fifo.with_name("file")
    run(gdb, command.format(file, rules=rules))
    assert len(read[0]) > 2 * PIPE and read[0] == file.read_bytes()


def run(gdb: GdbSession, command: str) -> None:
    """Also of rules that fail."""
    for _ in range(100):
        try:
            gdb.run(command)
        except GdbFailure as failure:
            if "nobody reads" in str(failure):  # yet
                time.sleep(0.05)
                continue
            raise
        return
    raise AssertionError(f"{command}: nobody reads")


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def held(descriptor: int) -> int:
    """Bytes in a pipe."""
    count: int = struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)))[0]
    return count


def is_full(fifo: Path) -> bool:
    """Whether no more fits in: a page may hold less than 4096 bytes."""
    writer = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    try:
        return not select.select([], [writer], [], 0)[1]
    finally:
        os.close(writer)


@pytest.mark.parametrize("command", LONG)
def test_ctrl_c_while_nobody_reads_on(
    gdb: GdbSession, reader: int, fifo: Path, rules: Path, command: str
) -> None:
    pressed: list[float] = []
    written: list[int] = []

    def press() -> None:
        wait_for(lambda: is_full(fifo))
        time.sleep(0.1)
        written.append(held(reader))
        pressed.append(time.monotonic())
        gdb.interrupt()

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(GdbFailure) as failure:
        gdb.run(command.format(fifo, rules=rules))
    took = time.monotonic() - pressed[0]
    thread.join()
    assert failure.value.kind == "KeyboardInterrupt"
    print(f"Ctrl-C was heard after {1000 * took:.0f} ms")
    assert took < 0.5  # 0.05, and a busy host
    assert held(reader) == written[0]
    assert "not present" in gdb.run("pte 0x1000")


@pytest.mark.parametrize("command", LONG[:2])
def test_a_reader_goes_away(gdb: GdbSession, reader: int, fifo: Path, command: str) -> None:
    def leave() -> None:
        wait_for(lambda: is_full(fifo))
        os.close(reader)

    thread = threading.Thread(target=leave)
    thread.start()
    refused(gdb, command.format(fifo), str(fifo), "its reader went away")
    thread.join()
    assert "not present" in gdb.run("pte 0x1000")


def test_dev_null(gdb: GdbSession) -> None:
    for command in WRITERS:
        assert gdb.run(command.format("/dev/null")) == ""


DIFF = f"ptmap diff {STORED} {STORED}"


def batch(output: Any, *commands: str) -> subprocess.Popen[bytes]:
    """GDB with this standard output and error output."""
    return subprocess.Popen(
        ["gdb", "-nx", "-q", "-batch", "-x", str(ptmap_script()), *(f"-ex={c}" for c in commands)],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
    )


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/stderr"])
@pytest.mark.parametrize("kind", ["pipe", "file", "socket", "terminal"])
def test_gdbs_own_output(tmp_path: Path, name: str, kind: str) -> None:
    """After what GDB wrote there before, before what it writes next, and nothing is cut."""
    ours, theirs = {
        "pipe": os.pipe,
        "terminal": os.openpty,
        "file": lambda: opened(tmp_path),
        "socket": lambda: [s.detach() for s in socket.socketpair()],
    }[kind]()
    done = batch(theirs, "echo before\\n", f"{DIFF} -json {name}", "echo after\\n")
    os.close(theirs)
    said = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            more = os.read(ours, 1 << 16)
        except OSError:  # a terminal that nobody has open any more
            break
        if not more and (kind != "file" or done.poll() is not None):
            break
        said += more
    os.close(ours)
    assert done.wait(60) == 0
    before, _, rest = said.decode().replace("\r", "").partition("before\n")
    document, _, after = rest.rpartition("after\n")
    assert json.loads(document)["kind"] == "diff" and before == after == ""


def opened(folder: Path) -> tuple[int, int]:
    """A file, for reading and for writing."""
    theirs = os.open(folder / "out", os.O_WRONLY | os.O_CREAT)
    return os.open(folder / "out", os.O_RDONLY), theirs
