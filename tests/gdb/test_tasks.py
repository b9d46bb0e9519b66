"""-pid and -comm, and the names of a process's mappings, on kernels whose vmlinux is at hand.

The judges know no task_struct: each process says on the console what it has mapped where, every
page it wrote holds its own address, and Linux prints /proc/self/maps.
"""

from __future__ import annotations

import json
import re
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator

import pytest

import proc_files
from gdbsession import GdbFailure, GdbSession, ptmap_script
from guests import GUESTS, Where, boot
from kernels import fetch
from qemu import Qemu

pytestmark = pytest.mark.linux

MODES: tuple[Where, ...] = ("ready", "kernel")
STOPS = [(name, where) for name in ("kgdb-64", "kgdb-pae") for where in MODES]
STOPS += [("kgdb-64-5level", "ready")]
OTHER = {"kgdb-64": "kgdb-pae", "kgdb-pae": "kgdb-64"}
SYMBOLS = re.compile(r"^init: symbol (\S+) (0x[0-9a-f]+)$", re.M)


@dataclass
class Stopped:
    guest: Qemu
    gdb: GdbSession
    name: str
    console: str

    @property
    def child_pid(self) -> int:
        found = re.search(r"^init: child PID (\d+)$", self.console, re.M)
        assert found
        return int(found[1])

    def area(self, kind: str) -> range:
        """Its pages; "child" is that of the second process."""
        found = re.search(rf"^init: (?:child )?map {kind} (0x\S+) (0x\S+)$", self.console, re.M)
        assert found, kind
        start, size = int(found[1], 16), int(found[2], 16)
        return range(start, start + size, 0x1000)

    def map(self, options: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.gdb.run(f"ptmap -phys -json - {options}"))
        assert document["complete"]
        return document

    def ranges(self, options: str) -> list[dict[str, Any]]:
        """Without what they are called."""
        found: list[dict[str, Any]] = self.map(options)["ranges"]
        return [
            {key: value for key, value in one.items() if not key.startswith("label")}
            for one in found
        ]

    def ptes(self, options: str, pages: range) -> list[dict[str, Any]]:
        words = " ".join(map(hex, pages))
        found: list[dict[str, Any]]
        found = json.loads(self.gdb.run(f"pte -json - {options} {words}"))["addresses"]
        assert len(found) == len(pages)
        return found

    def pte(self, va: int) -> dict[str, Any]:
        """Of an address that the kernel has mapped."""
        return self.ptes("-half kernel", range(va, va + 1))[0]

    def memory(self, pa: int, length: int) -> bytes:
        assert self.guest.ram_path
        with self.guest.ram_path.open("rb") as ram:
            ram.seek(pa)  # these guests have no RAM above 4 GiB
            return ram.read(length)

    @contextmanager
    def changed(self, pa: int, content: bytes) -> Iterator[None]:
        """Guest memory with other content meanwhile: by the RAM file, as a defect would."""
        assert self.guest.ram_path
        before = self.memory(pa, len(content))
        with self.guest.ram_path.open("r+b", buffering=0) as ram:
            ram.seek(pa)
            ram.write(content)
            try:
                yield
            finally:
                ram.seek(pa)
                ram.write(before)

    def refusal(self, command: str) -> str:
        with pytest.raises(GdbFailure) as caught:
            self.gdb.run(command)
        text = str(caught.value)
        assert text.startswith(f"{command.split()[0]}: ") and text.isascii(), text  # no traceback
        return text

    def tasks(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.gdb.python(_TASKS)
        return found


_TASKS = """
from ptmap.context import selection
from ptmap.linux import recognition, tasks
found = recognition.find(selection.resolve({}))
result = [vars(task) for task in tasks.tasks(found)]
"""


def vmlinux(name: str) -> str:
    return str(fetch(GUESTS[name].kernel).with_name("vmlinux"))


@pytest.fixture(scope="module", params=STOPS, ids="-".join)
def stop(request: pytest.FixtureRequest) -> Iterator[Stopped]:
    name, where = request.param
    with boot(name, paused_at=where, append="child=1 files=1 symbols=1", ram_file=True) as guest:
        with GdbSession(script=ptmap_script()) as gdb:
            # Not `file`: that takes the target for the i386 machine that kgdb-pae's file is for.
            gdb.run(f"symbol-file {vmlinux(name)}")
            gdb.attach(guest.gdb_target)
            yield Stopped(guest, gdb, name, guest.console())


def check_words(stop: Stopped, option: str, area: str) -> None:
    """Every page of the area is in this space, and holds its own address."""
    pages = stop.area(area)
    for va, one in zip(pages, stop.ptes(option, pages)):
        assert one["outcome"] == "mapped"
        assert int.from_bytes(stop.memory(int(one["pa"], 16), 4), "little") == va & 0xFFFFFFFF


def check_absent(stop: Stopped, option: str, area: str) -> None:
    for one in stop.ptes(option, stop.area(area)):
        assert one["outcome"] == "not-present"


def test_each_process_has_its_own(stop: Stopped) -> None:
    for option in ("-pid 1", "-comm init"):
        check_words(stop, option, "rw")
        check_absent(stop, option, "child")
    for option in (f"-pid {stop.child_pid}", "-comm sleeper"):
        check_words(stop, option, "child")
        check_absent(stop, option, "rw")


def test_the_current_process(stop: Stopped) -> None:
    """init is the one that CR3 belongs to."""
    for half in ("kernel", "user"):
        here = stop.map(f"-half {half}")
        there = stop.map(f"-half {half} -pid 1")
        assert here["root"] == there["root"] and here["ranges"] == there["ranges"]
        assert len(here["ranges"]) > 10
    assert stop.ranges("-pid 1") == stop.ranges("-half kernel")
    root = int(stop.map("-pid 1")["root"], 16)
    current = stop.gdb.eval("$cr3") & ~0xFFF
    assert root == current & ~0x1000
    name = stop.gdb.python(
        f"""
from ptmap.context import selection
from ptmap.linux import recognition, tasks
found = recognition.find(selection.resolve({{}}))
result = [str(tasks.task_of_root(found, root)) for root in ({root}, {root | 0x1000}, 0x1000)]
"""
    )
    assert name == ["pid 1 (init)", "pid 1 (init)", "None"]


def test_both_names_of_a_process_mean_the_same(stop: Stopped) -> None:
    by_pid, by_comm = (stop.map(option) for option in (f"-pid {stop.child_pid}", "-comm sleeper"))
    assert by_pid == by_comm
    root = by_pid["root"]
    assert stop.ranges(f"-root {root}") == stop.ranges("-comm sleeper")
    assert root != stop.map("-pid 1")["root"]
    text = stop.gdb.run("ptmap -comm sleeper")
    assert f"pid {stop.child_pid} (sleeper)" in text.splitlines()[0] + text.splitlines()[1]


def test_kernel_threads_have_the_kernels(stop: Stopped) -> None:
    """kthreadd: init_mm's tables, which the kernel itself names init_top_pgt or swapper_pg_dir."""
    symbols = dict(SYMBOLS.findall(stop.console))
    root = stop.pte(int(symbols.get("init_top_pgt") or symbols["swapper_pg_dir"], 16))["pa"]
    mine = stop.map("-pid 2")
    assert mine["root"] == root
    assert stop.ranges("-pid 2") == stop.ranges(f"-root {root}")
    check_absent(stop, "-pid 2", "rw")
    assert "pid 2 (kthreadd), a kernel thread: init_mm" in stop.gdb.run("ptmap -pid 2")
    assert stop.map("-pid 0")["root"] == root


def test_the_list(stop: Stopped) -> None:
    tasks = {task["pid"]: task for task in stop.tasks()}
    comms = {pid: task["comm"] for pid, task in tasks.items()}
    assert comms[0].startswith("swapper") and comms[1] == "init" and comms[2] == "kthreadd"
    assert comms[stop.child_pid] == "sleeper"
    assert {pid for pid, task in tasks.items() if task["mm"]} == {1, stop.child_pid}
    assert all(task["is_kernel_thread"] != bool(task["mm"]) for task in tasks.values())
    assert len(tasks) > 10 and all(task["tgid"] == pid for pid, task in tasks.items())


def test_refusals(stop: Stopped) -> None:
    assert stop.refusal("ptmap -comm sleepe") == "ptmap: -comm: no process is named sleepe"
    assert stop.refusal("ptmap -comm Sleeper") == "ptmap: -comm: no process is named Sleeper"
    long = "a-name-of-twenty-ch"
    assert stop.refusal(f"ptmap -comm {long}") == (
        f"ptmap: -comm: no process is named {long} (Linux keeps 15 characters of a name)"
    )
    assert re.fullmatch(
        r"pte: -pid: no process has the pid 31337 \(\d+ processes\)",
        stop.refusal("pte -pid 31337 0x1000"),
    )
    assert "no process has the pid -1" in stop.refusal("ptmap -pid -1")
    assert stop.refusal("ptmap -pid 1 -comm init").startswith("ptmap: -root, -pid and -comm")
    assert "no process" in stop.refusal("ptmap -comm ''")


THREAD = """
from dataclasses import replace
from ptmap.context import selection
from ptmap.linux import recognition, tasks
real = tasks.tasks
space = selection.resolve({})
found = recognition.find(space)
init = next(task for task in tasks.tasks(found) if task.pid == 1)
tasks.tasks = lambda kernel: iter([replace(init, pid=777, tgid=777)])
try:
    other = tasks.space_of(space, 1, None)
    tasks.tasks = lambda kernel: iter([replace(init, mm=0)])
    left = tasks.space_of(space, None, "init")
finally:
    tasks.tasks = real
result = [[task.pid for task in tasks.threads(found, init)], other.root, other.notes, left.root]
"""


def test_threads(stop: Stopped) -> None:
    """A thread's pid will do, and a first thread that has exited leaves the others their space.

    These guests have no second thread: init's own is looked up as one of another process.
    """
    root = int(stop.map("-pid 1")["root"], 16)
    assert stop.gdb.python(THREAD) == [[1], root, ["pid 1 (init)"], root]


SEVERAL = """
from ptmap.linux import tasks
real = tasks.tasks
tasks.tasks = lambda kernel: (tasks.Task(0, pid, pid, "worker", 0, False, False) for pid in range(5, {end}))
try:
    gdb.execute("ptmap -comm worker")
except gdb.error as error:
    result = str(error)
finally:
    tasks.tasks = real
"""  # noqa: E501


def test_several_of_one_name(stop: Stopped) -> None:
    assert "2 processes are named worker: pid 5 6" in stop.gdb.python(SEVERAL.format(end=7))
    assert (
        "13 processes are named worker: pid 5 6 7 8 9 10 11 12 13 14 and 3 more"
        in stop.gdb.python(SEVERAL.format(end=18))
    )


def test_symbols_are_needed(stop: Stopped) -> None:
    with GdbSession(script=ptmap_script()) as gdb:
        stop.gdb.disconnect()
        try:
            gdb.attach(stop.guest.gdb_target)
            other = Stopped(stop.guest, gdb, stop.name, stop.console)
            needs = "needs the kernel's symbols: `ptmap kaslr VMLINUX` loads them"
            assert other.refusal("ptmap -pid 1") == f"ptmap: -pid: {needs}"
            assert other.refusal("ptmap -comm init") == f"ptmap: -comm: {needs}"
            gdb.run(f"symbol-file {vmlinux(OTHER[GUESTS[stop.name].kernel])}")
            wrong = "the symbols loaded are not this kernel's"
            assert other.refusal("ptmap -pid 1") == f"ptmap: -pid: {wrong}"
            assert "loaded" in gdb.run(f"ptmap kaslr {vmlinux(stop.name)}")
            check_words(other, "-pid 1", "rw")
            check_words(other, "-comm sleeper", "child")
            gdb.disconnect()
        finally:
            gdb.close()
            stop.gdb.attach(stop.guest.gdb_target)


def test_symbols_without_types(stop: Stopped, tmp_path: Path) -> None:
    stripped = tmp_path / "vmlinux"
    subprocess.run(["objcopy", "--strip-debug", vmlinux(stop.name), stripped], check=True)
    stop.gdb.run(f"symbol-file {stripped}")
    try:
        assert stop.refusal("ptmap -pid 1") == (
            "ptmap: -pid: the symbols loaded have no struct task_struct: "
            "it needs a vmlinux with debug information"
        )
        assert (
            stop.gdb.python(
                """
from ptmap.context import selection
from ptmap.linux import recognition, tasks, vmas
found = recognition.find(selection.resolve({}))
root = found.space.root
result = [found.offset is not None, tasks.task_of_root(found, root), vmas.labels(found, 0x1000)]
"""
            )
            == [True, None, []]
        )
    finally:
        stop.gdb.run(f"symbol-file {vmlinux(stop.name)}")


# What is not there, or not as it should be


def physical(stop: Stopped, pid: int, field: str) -> int:
    """Where a field of a task lies."""
    va = stop.gdb.python(
        f"""
from ptmap.context import selection
from ptmap.linux import recognition, structures, tasks
from ptmap.machine.sources import choose
choose.new_command()
found = recognition.find(selection.resolve({{}}))
task = next(task for task in tasks.tasks(found) if task.pid == {pid})
result = structures.Structures(found).at(task.address, "task_struct.{field}")
"""
    )
    return int(stop.pte(va)["pa"], 16)


def test_a_hostile_name_is_shown_escaped(stop: Stopped) -> None:
    where = physical(stop, stop.child_pid, "comm")
    with stop.changed(where, b"\x1b[2J\xff\n\\" + b"A" * 9):  # and no NUL behind it
        text = stop.gdb.run(f"ptmap -pid {stop.child_pid}")
        assert text.isascii() and "\x1b" not in text
        assert rf"pid {stop.child_pid} (\x1b[2J\xff\x0a\x5cAAAAAAAA)" in text
        assert stop.refusal("ptmap -comm sleeper").endswith("no process is named sleeper")
    assert stop.map("-comm sleeper")


def test_a_process_before_its_space_and_after(stop: Stopped) -> None:
    mm, flags = (physical(stop, stop.child_pid, name) for name in ("mm", "flags"))
    who = f"ptmap: -comm: pid {stop.child_pid} (sleeper) has"
    with stop.changed(mm, bytes(4 if stop.name == "kgdb-pae" else 8)):
        assert stop.refusal("ptmap -comm sleeper") == f"{who} no address space yet"
        exiting = int.from_bytes(stop.memory(flags, 4), "little") | 0x4
        with stop.changed(flags, exiting.to_bytes(4, "little")):
            assert stop.refusal("ptmap -comm sleeper") == (
                f"{who} exited: it has no address space any more"
            )


def test_a_damaged_list_is_an_error(stop: Stopped) -> None:
    where = physical(stop, 2, "tasks.next")
    own = int.from_bytes(stop.memory(physical(stop, 1, "tasks.next"), 8), "little")
    # `own` is the address of this very field: a ring without init_task.
    for content in (0, 8, own, 0x1234567890ABCDE8, (1 << 64) - 8):
        with stop.changed(where, content.to_bytes(8, "little")):
            assert "the list of tasks is damaged: " in stop.refusal("ptmap -comm sleeper")
            # What comes before the damage is still found.
            assert stop.map("-pid 1")
    with stop.changed(physical(stop, 2, "pid"), b"\xff" * 4):
        assert "the list of tasks is damaged: there is no task at 0x" in stop.refusal(
            "ptmap -pid 31337"
        )
    with stop.changed(physical(stop, stop.child_pid, "mm"), b"\x08" + bytes(7)):
        assert "has no valid page-table root" in stop.refusal("ptmap -comm sleeper")


# The names of mappings

LABELS = """
from ptmap.context import selection
from ptmap.linux import recognition, tasks, vmas
from ptmap.machine.sources import choose
choose.new_command()
found = recognition.find(selection.resolve({{}}))
mm = next(task.mm for task in tasks.tasks(found) if task.pid == {pid})
result = [(one.start, one.end, one.name, one.source) for one in vmas.labels(found, mm)]
"""


def test_labels_are_those_of_proc_maps(stop: Stopped) -> None:
    theirs = [
        (r.va, r.va + r.size, r.name, "read")
        for r in proc_files.parse_maps(stop.console)
        if r.name and r.name != "[vsyscall]"
    ]
    mine = [tuple(one) for one in stop.gdb.python(LABELS.format(pid=1))]
    assert mine == theirs
    names = {name for _, _, name, _ in mine}
    assert {"/init", "[heap]", "[stack]", "[vvar]", "[vdso]", "/dev/zero (deleted)"} == names
    print(
        f"{stop.name}: {len(mine)} names of {len(proc_files.parse_maps(stop.console))} "
        "mappings, 0 differing"
    )


def test_labels_of_another_process(stop: Stopped) -> None:
    """It was forked before the areas: what it has is in the first lines, and the stack."""
    mine = [tuple(one) for one in stop.gdb.python(LABELS.format(pid=stop.child_pid))]
    theirs = [(r.va, r.va + r.size, r.name, "read") for r in proc_files.parse_maps(stop.console)]
    # Both start from one image; the parent's file mapping and heap came later.
    expected = [
        one
        for one in theirs
        if one[2] in ("[stack]", "[vvar]", "[vdso]")
        or one[2] == "/init"
        and one[0] < stop.area("heap")[0]
    ]
    assert mine == expected and len(mine) > 5


def test_labels_of_nothing(stop: Stopped) -> None:
    """A wild mm_struct, and symbols without types: no label, no traceback."""
    wild = """
from ptmap.context import selection
from ptmap.linux import recognition, vmas
found = recognition.find(selection.resolve({}))
known = [found.symbol("init_mm"), found.symbol("linux_banner")]
result = [vmas.labels(found, mm) for mm in (0, 8, 0x1000, (1 << 64) - 8, *known)]
"""
    assert stop.gdb.python(wild) == [[]] * 6


OLD_LIST = """
from ptmap.linux import vmas
links = {100: 200, 200: 300, 300: %d}
class Old:
    pointer = 8
    def has(self, field):
        return False
    def read(self, address, field):
        return links[address] if field == "vm_area_struct.vm_next" else 100
one = vmas._Vmas.__new__(vmas._Vmas)
one._mm, one._structures = 1, Old()
result = list(one)
"""


def test_the_list_of_kernels_before_the_tree(stop: Stopped) -> None:
    assert stop.gdb.python(OLD_LIST % 0) == [100, 200, 300]
    assert stop.gdb.python(OLD_LIST % 100) == [100, 200, 300]  # a ring ends where it began


NODE = """
from ptmap.linux import vmas
class Pointers:
    pointer = 8
one = vmas._Vmas.__new__(vmas._Vmas)
one._structures = Pointers()
one._words = lambda node, field: {words}[field.split(".")[1]]
result = list(one._slots(0, "maple_range_64", 99))
"""


def test_the_end_of_a_maple_node(stop: Stopped) -> None:
    """A node that is not full: what is behind its end is no slot; the last slot holds metadata."""
    for words, expected in (
        ({"slot": [0x1000, 0x2000, 0x3000, 7], "pivot": [10, 99, 0]}, [[0x1000, 10], [0x2000, 99]]),
        ({"slot": [0x1000, 0x2000, 0x3000, 7], "pivot": [10, 0, 0]}, [[0x1000, 10], [0x2000, 99]]),
        ({"slot": [0x1000, 0x2000], "pivot": [10]}, [[0x1000, 10], [0x2000, 99]]),
        ({"slot": [0x1000, 0x2000], "pivot": [0]}, [[0x1000, 0], [0x2000, 99]]),
    ):
        assert stop.gdb.python(NODE.format(words=words)) == expected


RING = """
from ptmap.linux import vmas
class Pointers:
    pointer = 8
    def read(self, address, field):
        return 0x1000 | 3 << 3 | 2
one = vmas._Vmas.__new__(vmas._Vmas)
one._mm, one._structures, one._nodes, one._first = 1, Pointers(), set(), 0
one._words = lambda node, field: [0x1000 | 3 << 3, 0x2000 | 3 << 3] * 8
result = list(one._tree())
"""


def test_a_tree_with_rings_ends(stop: Stopped) -> None:
    assert stop.gdb.python(RING) == []


GARBAGE = """
import random
from ptmap.context import selection
from ptmap.base.errors import Refusal
from ptmap.linux import recognition, tasks, vmas
space = selection.resolve({})
found = recognition.find(space)
found.offset
good = found.memory
mm = next(task.mm for task in tasks.tasks(found) if task.pid == 1)
seen = []
class Damaged:
    translate = good.translate
    def read(self, va, length):
        raw = bytearray(good.read(va, length))
        if rng.random() < rate:
            at = rng.randrange(length)
            raw[at] = rng.choice((0, 0xFF, rng.randrange(256)))
        return bytes(raw)
    def unsigned(self, va, size):
        return int.from_bytes(self.read(va, size), "little")
    def string(self, va, limit):
        return self.read(va, 16)
found.memory = Damaged()
refused = labelled = 0
for seed in range(300):
    rng, rate = random.Random(seed), (0.02, 0.3)[seed % 2]
    try:
        list(tasks.tasks(found))
        tasks._by_pid(found, 31337)
    except Refusal:
        refused += 1
    tasks.task_of_root(found, 0x1000)
    labelled += bool(vmas.labels(found, mm))
result = [refused, labelled]
"""


def test_garbage_gives_no_traceback(stop: Stopped) -> None:
    """A byte here and there is another one."""
    refused, labelled = stop.gdb.python(GARBAGE)
    assert refused == 300 and labelled > 50
