"""ptmap ps on kernels with vmlinux. The judges are /proc/PID/stat and /proc/PID/pagemap, as the
guest's init prints them, and the naive walker."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Iterator

import pytest

import naive
from gdbsession import GdbSession, ptmap_script, refused
from guests import GUESTS, boot
from kernels import KERNELS, fetch
from qemu import Qemu

pytestmark = pytest.mark.linux

NAMES = ["4-level-pti-6.12-dbg", "smp-sid-dbg", "kgdb-64", "kgdb-pae"]
_STATES = {
    "R": "running", "S": "sleeping", "D": "disk sleep", "T": "stopped", "t": "tracing stop",
    "X": "dead", "Z": "zombie", "P": "parked", "I": "idle",
}  # fmt: skip
_PROCESS = re.compile(r"^init: present (\d+)\n(\d+) \((.*)\) (\w) (.*)$", re.M)


@dataclass
class Listed:
    name: str
    guest: Qemu
    gdb: GdbSession

    def ps(self, options: str = "") -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.gdb.run(f"ptmap ps -json - {options}"))
        return document

    def ram(self, pa: int, length: int) -> bytes | None:
        assert self.guest.ram_path
        with self.guest.ram_path.open("rb") as ram:
            ram.seek(pa)  # these guests have no RAM above 4 GiB
            found = ram.read(length)
        return found if len(found) == length else None

    @contextmanager
    def changed(self, va: int, content: bytes) -> Iterator[None]:
        """A kernel's variable with other content meanwhile, as a defect would change it."""
        half = "-half kernel" if GUESTS[self.name].append.startswith("pti") else ""
        walk = json.loads(self.gdb.run(f"pte -json - {half} {va:#x}"))["addresses"][0]
        assert self.guest.ram_path
        with self.guest.ram_path.open("r+b", buffering=0) as ram:
            ram.seek(int(walk["pa"], 16))
            before = ram.read(len(content))
            ram.seek(int(walk["pa"], 16))
            ram.write(content)
            try:
                yield
            finally:
                ram.seek(int(walk["pa"], 16))
                ram.write(before)

    def field(self, pid: int, name: str) -> int:
        """The address of a field of a task_struct."""
        found: int = self.gdb.python(_FIELD.format(pid=pid, name=name))
        return found


_FIELD = """
from ptmap.context import selection
from ptmap.linux import structures, tasks
space = selection.resolve({{}})
kernel = tasks.linux(space)
task = next(task for task in tasks.tasks(kernel) if task.pid == {pid})
result = structures.Structures(kernel).at(task.address, "task_struct.{name}")
"""


def vmlinux(name: str) -> str:
    return str(fetch(GUESTS[name].kernel).with_name("vmlinux"))


@pytest.fixture(scope="module", params=NAMES)
def listed(request: pytest.FixtureRequest) -> Iterator[Listed]:
    name = request.param
    words = "ps=1" if GUESTS[name].cpus > 1 else "ps=1 child=1"
    with boot(name, append=words, ram_file=True) as guest:
        with GdbSession(script=ptmap_script()) as gdb:
            if KERNELS[GUESTS[name].kernel].built:
                gdb.run(f"symbol-file {vmlinux(name)}")
            gdb.attach(guest.gdb_target)
            if not KERNELS[GUESTS[name].kernel].built:
                gdb.run(f"ptmap kaslr {vmlinux(name)}")
            yield Listed(name, guest, gdb)


def test_against_proc(listed: Listed) -> None:
    """Pids, names, states and CPUs by /proc/PID/stat; pages by /proc/PID/pagemap."""
    theirs = _PROCESS.findall(listed.guest.console())
    mine = {one["pid"]: one for one in listed.ps("-all")["processes"]}
    assert [int(pid) for _, pid, *_ in theirs] == sorted(mine)[1:] and len(theirs) > 20
    states, differ = 0, []
    for present, number, comm, state, rest in theirs:
        one, pid = mine[int(number)], int(number)
        # Linux shows the longer names of some kernel threads (kworkers).
        assert one["comm"] == comm[:15] or one["kernel_thread"], one
        assert one["kernel_thread"] == (one["root"] is None) == (present == "0"), one
        if one["root"]:
            assert one["pages"] == int(present), (one, present)
        if one["state"] != _STATES[state]:
            differ.append((pid, state, one["state"]))
        states += 1
    # Between the answer of /proc and the stop, kernel threads run.
    assert not [pid for pid, *_ in differ if mine[pid]["root"]] and len(differ) < 4, differ
    assert [one["pid"] for one in listed.ps()["processes"]] == [
        pid for pid, one in mine.items() if one["root"]
    ]
    print(f"{listed.name}: {states} processes, pages of {len(listed.ps()['processes'])}, 0 differ")


def test_which_cpu(listed: Listed) -> None:
    running = {one["comm"]: one["running_on"] for one in listed.ps()["processes"]}
    expected = {"init": [0], "spinner": [1]} if GUESTS[listed.name].cpus > 1 else {"init": [0]}
    assert {comm: cpus for comm, cpus in running.items() if cpus} == expected
    for one in listed.ps()["processes"]:
        if one["running_on"]:
            assert one["cpu"] == one["running_on"][0] and one["state"] == "running"


def test_against_the_naive_walker(listed: Listed) -> None:
    """The user's part of each root, and nothing of the kernel's."""
    cr4, efer = listed.gdb.eval("$cr4"), listed.gdb.eval("$efer")
    end = 1 << 31 if listed.name == "kgdb-pae" else 1 << 63
    for one in listed.ps()["processes"]:
        walk = naive.walk(listed.ram, int(one["root"], 16), cr4, efer)
        size = sum(page.size for page in walk.pages if page.va < end)
        assert (size, size >> 12) == (int(one["mapped"], 16), one["pages"]), one
        assert size < sum(page.size for page in walk.pages)


def test_text_and_script(listed: Listed) -> None:
    document = listed.ps("-all")
    lines = listed.gdb.run("ptmap ps -all").splitlines()
    assert lines[0].split() == ["pid", "name", "state", "cpu", "pages", "root"]
    assert lines[-1] == f"{len(document['processes'])} processes"
    for one, line in zip(document["processes"], lines[1:]):
        assert len(line) <= 80 and line.split()[0] == str(one["pid"]) and one["comm"] in line
        assert line.endswith(f"  {one['root'] or '-'}")
    found = listed.gdb.python(
        """
import ptmap
result = [[one.pid, one.comm, one.pages, one.root, list(one.running_on), one.is_kernel_thread]
          for one in ptmap.processes(kernel_threads=True)]
result += [len(ptmap.processes()), ptmap.space(pid=1).root]
"""
    )
    assert found[:-2] == [
        [one["pid"], one["comm"], one["pages"], one["root"] and int(one["root"], 16),
         one["running_on"], one["kernel_thread"]]
        for one in document["processes"]
    ]  # fmt: skip
    assert found[-2] == len(listed.ps()["processes"])
    assert found[-1] == next(one[3] for one in found[:-2] if one[0] == 1)


# What is damaged, or not there


def test_a_damaged_list_ends_in_a_line(listed: Listed) -> None:
    where = listed.field(2, "tasks.next")
    size = 4 if listed.name == "kgdb-pae" else 8
    for content in (0, 8, where, where & ~0xFFF | 1):  # where: a ring without init_task
        with listed.changed(where, (content & (1 << 8 * size) - 1).to_bytes(size, "little")):
            text = listed.gdb.run("ptmap ps -all").splitlines()
            assert text[-2].startswith("INCOMPLETE: the list of tasks is damaged: "), text
            assert [line.split()[0] for line in text[1:4]] == ["0", "1", "2"]
            document = listed.ps()
            assert not document["complete"] and "is damaged" in document["why"]
            assert [one["pid"] for one in document["processes"]] == [1]
            said = listed.gdb.python(
                """
import ptmap
try:
    ptmap.processes()
except ptmap.Error as error:
    result = str(error)
"""
            )
            assert said == document["why"]


def test_a_damaged_process_has_a_line(listed: Listed) -> None:
    size = 4 if listed.name == "kgdb-pae" else 8
    with listed.changed(listed.field(1, "mm"), b"\x08" + bytes(size - 1)):
        one, *others = listed.ps()["processes"]
        assert (one["pid"], one["root"], one["pages"]) == (1, None, None)
        assert "has no valid page-table root" in one["why"] and len(others) == 1
        assert one["why"] in listed.gdb.run("ptmap ps").splitlines()
    with listed.changed(listed.field(1, "comm"), b"\x1b[2J\xff\n\\" + b"A" * 9):
        text = listed.gdb.run("ptmap ps")
        assert text.isascii() and "\x1b" not in text and r"\x1b[2J\xff\x0a\x5cAAAAAAAA" in text
    with listed.changed(listed.field(1, "signal"), bytes(size)):
        one = listed.ps()["processes"][0]
        assert one["root"] and one["pages"] and one["running_on"] is None
        assert listed.gdb.run("ptmap ps").splitlines()[1].split()[3] == "?0"


def test_ctrl_c_ends_it(listed: Listed) -> None:
    said = listed.gdb.python(
        """
import os, signal
from ptmap.debugger import progress
kept, calls = progress.scanning, []
def pressed(tables):
    calls.append(tables)
    os.kill(os.getpid(), signal.SIGINT)
progress.scanning = pressed
try:
    gdb.execute("ptmap ps", False, True)
    said = "went on"
except KeyboardInterrupt:
    said = "ended"
except gdb.error as error:
    said = str(error)
finally:
    progress.scanning = kept
result = [said, len(calls)]
"""
    )
    assert said[0] in ("ended", "Quit") and said[1] <= 2


def test_without_symbols(listed: Listed) -> None:
    with GdbSession(script=ptmap_script()) as gdb:
        listed.gdb.disconnect()
        try:
            gdb.attach(listed.guest.gdb_target)
            needs = "needs the kernel's symbols: `ptmap kaslr VMLINUX` loads them"
            assert refused(gdb, "ptmap ps") == f"ptmap ps: {needs}"
            refused(gdb, "ptmap ps x", "takes options only")
            gdb.disconnect()
        finally:
            gdb.close()
            listed.gdb.attach(listed.guest.gdb_target)


# Completion of -pid and -comm


def test_completion(listed: Listed) -> None:
    def complete(line: str) -> set[str]:
        return {word for word in listed.gdb.run(f"complete {line}").split()} - {
            "ptmap",
            "pte",
            "find",
            "-comm",
            "-pid",
        }

    processes = listed.ps("-all")["processes"]
    assert complete("ptmap -comm ini") == {"init"}
    assert complete("pte -pid 1") == {
        str(one["pid"]) for one in processes if str(one["pid"]).startswith("1")
    }
    names = {one["comm"] for one in processes if re.fullmatch(r"k\w*", one["comm"])}
    assert names and names <= complete("ptmap find -comm k")
    with listed.changed(listed.field(2, "tasks.next"), bytes(8 if "pae" not in listed.name else 4)):
        assert complete("ptmap -comm ini") == set()


# ptmap find -all


def test_find_in_all_processes(listed: Listed) -> None:
    """Against the naive walker: the pages of each process, each frame of the other one's; and the
    kernel's part once."""
    cr4, efer = listed.gdb.eval("$cr4"), listed.gdb.eval("$efer")
    end = 1 << 31 if listed.name == "kgdb-pae" else 1 << 63
    compared = 0
    walks = {
        one["pid"]: naive.walk(listed.ram, int(one["root"], 16), cr4, efer).pages
        for one in listed.ps()["processes"]
    }
    areas = re.findall(r"^init: (?:child )?map (\S+) 0x(\S+) ", listed.guest.console(), re.M)
    starts = {int(at, 16) for kind, at in areas if kind in ("rw", "child", "zero", "child-exec")}
    text = [page.va for page in walks[1] if page.va < end][0]
    for pid, pages in walks.items():
        for page in [page for page in pages if page.va in starts | {text}]:
            found = json.loads(listed.gdb.run(f"ptmap find -all -json - {page.pa:#x} 0x1000"))
            assert found["complete"] and "why" not in found
            *spaces, kernel = found["spaces"]
            assert [[who["pid"] for who in one["processes"]] for one in spaces] == [
                [number] for number in walks
            ]
            for one, (number, theirs) in zip(spaces, walks.items()):
                expected = [p.va for p in theirs if p.va < end and p.pa == page.pa]
                assert [int(r["va"], 16) for r in one["ranges"]] == expected, (pid, page)
                compared += len(expected)
            expected = [
                p.va + page.pa - p.pa
                for p in walks[1]
                if p.va >= end and p.pa <= page.pa < p.pa + p.size
            ]
            assert [int(r["va"], 16) for r in kernel["ranges"]] == expected
            compared += len(expected)
            shown = listed.gdb.run(f"ptmap find -all {page.pa:#x}")
            assert all(len(line) <= 80 for line in shown.splitlines())
            for one in spaces:
                name = f"pid {one['processes'][0]['pid']} ({one['processes'][0]['comm']}), root "
                assert (name in shown) == bool(one["ranges"])
    assert compared > 10
    print(f"{listed.name}: {compared} mappings, 0 differ")


def test_find_all_refuses(listed: Listed) -> None:
    for option in ("-pid 1", "-aliases", "-half user", "-root 0x1000"):
        refused(
            listed.gdb, f"ptmap find -all {option} 0x1000", f"cannot go with {option.split()[0]}"
        )
    assert "no process maps it" in listed.gdb.run("ptmap find -all 0xffffffffff000")
    with listed.changed(listed.field(1, "mm"), b"\x08\0\0\0"):
        text = listed.gdb.run("ptmap find -all 0x1000")
        assert "INCOMPLETE" in text and "has no valid page-table root" in text
