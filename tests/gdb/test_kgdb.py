"""kgdb over a serial line: what it shows is what QEMU's stub of the same stopped machine shows.

The judge is a second GDB on QEMU's stub, with -root: it sees control registers and physical memory
and is told the root only. While it is attached the machine stands still; afterwards it has to run
again for the kernel's debugger to answer.
"""

from __future__ import annotations

import json
import re
import threading
import time
from pathlib import Path
from typing import Any, Iterator

import pytest

from gdbsession import GdbFailure, GdbSession, memory_shown, ptmap_script
from guests import GUESTS, boot, break_in, kgdb_target
from kernels import fetch
from stub_proxy import Answer, Rule, StubProxy

pytestmark = pytest.mark.linux

ALL = ("kgdb-64", "kgdb-64-5level", "kgdb-64-nokaslr", "kgdb-pae")
WHOLE = ("kgdb-64", "kgdb-pae")  # a whole map takes up to a minute
OTHER = {"kgdb-64": "kgdb-pae", "kgdb-pae": "kgdb-64"}
SAFE = 511  # bytes: kgdb's buffer has 1024 characters and it does not check
SPENT = re.compile(r"so far (\d+) requests?, (\d+) bytes")


def heading(text: str) -> str:
    """What `pte` says before the first entry: on one line, or on several that fit."""
    return re.split(r"\n  (?:PML|P[DT]|assuming)", text)[0].replace("\n  ", ", ")


class Debugged:
    """A guest in its own debugger, GDB attached there, and the judge."""

    def __init__(self, name: str, append: str = "child=1", args: tuple[str, ...] = ()) -> None:
        self.name = name
        kernel = GUESTS[name].kernel
        self.vmlinux = fetch(kernel).with_name("vmlinux")
        self.guest = boot(name, kgdb=True, append=append, extra_args=args)
        self.proxy = StubProxy(kgdb_target(self.guest))
        self.gdb = GdbSession(script=ptmap_script(), timeout=300)
        self._judge: GdbSession | None = None
        self.gdb.run(f"file {self.vmlinux}")
        self.gdb.attach(self.proxy.gdb_target)

    def close(self) -> None:
        for session in (self.gdb, self._judge):
            if session is not None:
                session.close()
        self.proxy.close()
        self.guest.close()

    @property
    def wide(self) -> bool:
        return self.name != "kgdb-pae"

    def ask(self, command: str) -> Any:
        return json.loads(self.gdb.run(f"{command} -json -"))

    def judge(self, *commands: str) -> list[Any]:
        """What QEMU's stub makes of these."""
        if self._judge is None:
            self._judge = GdbSession(script=ptmap_script(), timeout=300)
        judge = self._judge
        judge.attach(self.guest.gdb_target)
        try:
            if not judge.python("result = bool(gdb.objfiles())"):
                judge.run(f"ptmap kaslr {self.vmlinux}")
            return [
                json.loads(judge.run(f"{command} -json -"))
                if command.startswith(("pte", "ptmap", "vdso"))
                else judge.run(command)
                for command in commands
            ]
        finally:
            judge.disconnect()
            self.guest.cont()

    def spent(self) -> int:
        """Bytes read of tables and of the kernel's variables."""
        found = SPENT.search(memory_shown(self.gdb))
        assert found
        return int(found[2])

    def area(self, kind: str) -> int:
        found = re.search(rf"^init: (?:child )?map {kind} (0x\S+) ", self.guest.console(), re.M)
        assert found, kind
        return int(found[1], 16)

    @property
    def child_pid(self) -> int:
        found = re.search(r"^init: child PID (\d+)$", self.guest.console(), re.M)
        assert found
        return int(found[1])

    def thread(self, pid: int) -> None:
        """Select the task with this pid."""
        number = self.gdb.python(
            "result = [t.num for t in gdb.selected_inferior().threads()"
            f" if t.ptid[1] == {pid}][0]"
        )
        self.gdb.run(f"thread {number}")

    def cpu(self, index: int = 0) -> None:
        self.thread(0xFFFFFFFE - index)

    @property
    def user_window(self) -> str:
        """Where a process is."""
        return "0 0x7fffffffffff" if self.wide else "0 0x7fffffff"


@pytest.fixture(scope="module", params=ALL)
def debugged(request: pytest.FixtureRequest) -> Iterator[Debugged]:
    machine = Debugged(request.param)
    try:
        yield machine
    finally:
        machine.close()


def same(ours: Any, judges: Any) -> None:
    """But for what each calls RAM: the kernel has firmware's list, QEMU its own memory map."""
    for document in (ours, judges):
        document.pop("outside_ram", None)
    assert ours == judges


def test_pte_reads_one_entry_a_level(debugged: Debugged) -> None:
    debugged.gdb.run("pte 0")  # the selected task is known from here on
    for at in (debugged.area("rw"), debugged.area("sparse") + 0x1000, debugged.area("big")):
        before = debugged.spent()
        (one,) = debugged.ask(f"pte {at:#x}")["addresses"]
        assert one["outcome"] == "mapped"
        assert debugged.spent() - before <= 8 * len(one["steps"])
    # Nor does finding the task cost more than its fields.
    debugged.gdb.run("maintenance flush register-cache")
    debugged.gdb.python("from ptmap.machine.sources import choose; choose.forget()")
    before = debugged.spent()
    (one,) = debugged.ask(f"pte {debugged.area('rw'):#x}")["addresses"]
    assert debugged.spent() - before <= 8 * len(one["steps"]) + 100


def test_pte_is_what_qemus_stub_says(debugged: Debugged) -> None:
    places = ["$pc", "$sp", "&linux_banner", "&init_task", "0", "0x7000000000000000"]
    places = places if debugged.wide else places[:-1]
    found = [debugged.gdb.eval(f"(unsigned long){place}") for place in places]
    if debugged.wide:  # the symbols are where vmlinux was linked
        moved = int(debugged.ask("ptmap kaslr")["offset"], 16)
        found = [at + moved if place[0] == "&" else at for place, at in zip(places, found)]
    kinds = ("rw", "ro", "exec", "none", "untouched", "zero", "shared", "big")
    words = " ".join(hex(at) for at in (*found, *map(debugged.area, kinds)))
    ours = debugged.ask(f"pte {words}")
    (judges,) = debugged.judge(f"pte -root {ours['root']} {words}")
    same(ours, judges)


def test_the_map_of_the_current_process(debugged: Debugged) -> None:
    ours = debugged.ask(f"ptmap {debugged.user_window}")
    assert ours["complete"] and "regions" not in ours
    (judges,) = debugged.judge(f"ptmap -root {ours['root']} {debugged.user_window}")
    del judges["regions"]  # the kernel's parts: to know them all its tables would be read
    same(ours, judges)
    assert any(one["label"] == "[stack]" for one in ours["ranges"] if "label" in one)


def test_both_roots(debugged: Debugged) -> None:
    at = hex(debugged.area("rw"))
    kernel, user = (debugged.ask(f"pte -half {half} {at}") for half in ("kernel", "user"))
    assert int(user["root"], 16) == int(kernel["root"], 16) + 0x1000
    same(user, debugged.judge(f"pte -root {user['root']} {at}")[0])
    window = f"-half user {debugged.user_window}"
    ours = debugged.ask(f"ptmap {window}")
    (judges,) = debugged.judge(f"ptmap -root {kernel['root']} {window}")
    del judges["regions"]
    same(ours, judges)


def test_vdso(debugged: Debugged) -> None:
    debugged.proxy.reset()
    ours = debugged.ask("vdso")
    assert debugged.proxy.count("m") < 1500  # no page of the process is looked into in vain
    (judges,) = debugged.judge(f"vdso -root {debugged.ask('pte 0')['root']}")
    del ours["searched"], judges["searched"]
    same(ours, judges)
    said = re.search(r"^init: vdso (0x\S+)$", debugged.guest.console(), re.M)
    assert said and ours["vdso"]["va"] == said[1]


def test_another_process_by_thread_and_by_pid(debugged: Debugged) -> None:
    at = hex(debugged.area("child"))
    by_pid = debugged.ask(f"pte -pid {debugged.child_pid} {at}")
    debugged.thread(debugged.child_pid)
    try:
        by_thread = debugged.ask(f"pte {at}")
        text = debugged.gdb.run(f"pte {at}")
    finally:
        debugged.cpu()
    same(by_pid, by_thread)
    same(by_pid, debugged.judge(f"pte -root {by_pid['root']} {at}")[0])
    assert by_pid["addresses"][0]["outcome"] == "mapped"
    head = heading(text)
    assert f"pid {debugged.child_pid} (sleeper)" in head
    stopped = re.search(r"stopped in pid 1 \(init\): `thread (\d+)` selects it", head)
    assert stopped
    debugged.gdb.run(f"thread {stopped[1]}")
    assert "pid 1 (init)" in heading(debugged.gdb.run(f"pte {at}"))
    debugged.cpu()
    assert "pid 1 (init), the current task of CPU 0" in debugged.gdb.run(f"pte {at}")


def test_a_kernel_thread_has_the_kernels_tables(debugged: Debugged) -> None:
    debugged.thread(2)
    try:
        ours = debugged.ask("pte $pc")
        text = heading(debugged.gdb.run("pte $pc"))
    finally:
        debugged.cpu()
    assert "pid 2 (kthreadd), a kernel thread: init_mm" in text
    assert ours["root"] == debugged.ask("pte -root init_mm.pgd 0")["root"]
    (judges,) = debugged.judge("pte -root init_mm.pgd 0")
    assert ours["root"] == judges["root"]


@pytest.mark.parametrize("debugged", ["kgdb-64"], indirect=True)
def test_a_variable_is_read_where_kaslr_put_it(debugged: Debugged) -> None:
    """GDB has the symbols at their link addresses. There may be text of the moved kernel."""
    link = debugged.gdb.python("result = int(gdb.parse_and_eval('&init_mm.pgd')) & (1 << 64) - 1")
    debugged.proxy.play(Rule(rf"m{link:x},", Answer(b"cc" * 8)))
    try:
        debugged.gdb.run("maintenance flush dcache")
        assert debugged.gdb.run("output/x (unsigned long)init_mm.pgd") == "0x" + "cc" * 8
        found = debugged.ask("pte -root init_mm.pgd 0")["root"]
    finally:
        debugged.proxy.play()
        debugged.gdb.run("maintenance flush dcache")
    (judges,) = debugged.judge("pte -root init_mm.pgd 0")
    assert found == judges["root"]


@pytest.mark.parametrize("debugged", WHOLE, indirect=True)
def test_the_whole_map_after_an_interruption(debugged: Debugged) -> None:
    """Ctrl-C leaves a map that says what it lacks; asked again it goes on from there."""
    debugged.gdb.python("from ptmap.machine.sources import choose; choose.forget()")
    debugged.proxy.reset()

    def interrupt() -> None:
        while sum(size for _, size in debugged.proxy.reads(physical=False)) < 8 * 4096:
            time.sleep(0.01)
        debugged.gdb.interrupt()

    helper = threading.Thread(target=interrupt)
    helper.start()
    part = debugged.ask("ptmap")
    helper.join()
    assert not part["complete"]
    assert {gap["why"] for gap in part["unreadable"]} == {"interrupted"}
    assert "kernel_bytes" not in part.get("kpti", {})  # who knows
    read = sum(size for _, size in debugged.proxy.reads(physical=False))
    assert read < 20 * 4096

    ours = debugged.ask("ptmap")
    (judges,) = debugged.judge(f"ptmap -root {ours['root']}")
    assert ours["complete"]
    same(ours, judges)
    tables: dict[int, int] = {}  # page: bytes of it that were asked for
    reads = debugged.proxy.reads(physical=False)
    for at, size in reads:
        tables[at & -4096] = tables.get(at & -4096, 0) + size
    whole = [page for page, size in tables.items() if size >= 4096]
    assert max(size for _, size in reads) <= SAFE
    # All but the page at which it was interrupted once; what is no table is the tasks' names.
    assert sum(tables[page] for page in whole) <= 4096 * (len(whole) + 1)
    assert len(whole) >= ours["tables"] - 1
    assert sum(tables.values()) <= 4096 * (len(whole) + 1) * 1.2

    before = debugged.spent()
    assert debugged.ask("ptmap")["ranges"] == ours["ranges"]
    assert debugged.spent() == before  # at the same stop nothing is read again


def test_kaslr_moves_the_symbols(debugged: Debugged) -> None:
    before = debugged.ask("ptmap kaslr")
    after = debugged.ask(f"ptmap kaslr {debugged.vmlinux}")
    assert after["symbols"] == "placed"
    assert {key: after[key] for key in ("text", "offset", "direct_map")} == {
        key: before[key] for key in ("text", "offset", "direct_map")
    }
    assert "kgdb_breakpoint" in debugged.gdb.run("info symbol $pc")
    # The other way round: with no symbols, or another kernel's, there is no road to memory.
    root = debugged.ask("pte $pc")["root"]
    debugged.gdb.run("symbol-file")
    with pytest.raises(GdbFailure, match="no kernel's symbols are loaded"):
        debugged.gdb.run("pte $pc")
    mode = {"kgdb-64-5level": "5-level", "kgdb-pae": "pae"}.get(debugged.name, "4-level")
    debugged.gdb.run(f"set ptmap direct-map {after['direct_map']}")
    try:
        ours = debugged.ask(f"pte -root {root} -mode {mode} $pc")
        assert "as set, not proved" in memory_shown(debugged.gdb)
    finally:
        debugged.gdb.run("set ptmap direct-map auto")
    debugged.gdb.run(f"symbol-file {_vmlinux(OTHER[GUESTS[debugged.name].kernel])}")
    with pytest.raises(GdbFailure, match="not this kernel's"):
        debugged.gdb.run("pte $pc")
    other = _vmlinux(OTHER[GUESTS[debugged.name].kernel])
    with pytest.raises(GdbFailure, match="not this kernel's"):
        debugged.gdb.run(f"ptmap kaslr {other}")
    assert debugged.ask(f"ptmap kaslr {debugged.vmlinux}")["symbols"] == "placed"
    proved = debugged.ask("pte $pc")
    assert (
        proved["root"] == ours["root"]
        and proved["addresses"][0]["pa"] == ours["addresses"][0]["pa"]
    )


def _vmlinux(kernel: str) -> Path:
    return fetch(kernel).with_name("vmlinux")


def test_what_ran_is_read_again(debugged: Debugged) -> None:
    """An entry that changes while the kernel runs. At one stop it is read once."""
    at = hex(debugged.area("rw"))
    old = debugged.ask(f"pte {at}")["addresses"][0]["steps"][-1]
    raw = int(old["raw"], 16) ^ 1 << 10  # a bit that the processor ignores
    packet = f"M{old['entry_pa'][2:]},8:{raw.to_bytes(8, 'little').hex()}"
    debugged.judge(
        *(
            f"python gdb.selected_inferior().connection.send_packet('{text}')"
            for text in ("Qqemu.PhyMemMode:1", packet, "Qqemu.PhyMemMode:0")
        )
    )
    assert debugged.ask(f"pte {at}")["addresses"][0]["steps"][-1] == old
    debugged.proxy.reset()
    runs = threading.Thread(target=lambda: debugged.gdb.run("continue"))
    runs.start()
    while not debugged.proxy.sent("c$"):
        time.sleep(0.01)
    break_in(debugged.guest)
    runs.join()
    debugged.cpu()  # which runs init, or on a busy host something else
    (one,) = debugged.ask(f"pte -pid 1 {at}")["addresses"]
    assert int(one["steps"][-1]["raw"], 16) == raw


def test_a_task_that_has_gone(debugged: Debugged) -> None:
    """The kernel knows no such pid any more."""
    debugged.thread(debugged.child_pid)
    address = debugged.gdb.python(
        "from ptmap.context import selection as a\n"
        f"result = a._kernel_by_symbols().task_of_pid({debugged.child_pid})"
    )
    field = f"((struct task_struct *) {address:#x})->pid"
    try:
        debugged.judge(f"set var {field} = 4242")
        debugged.gdb.python("from ptmap.machine.sources import choose; choose.forget()")
        with pytest.raises(GdbFailure, match="has ended"):
            debugged.gdb.run("pte 0")
        with pytest.raises(GdbFailure, match="has ended"):
            debugged.gdb.run("pte 0")
        debugged.cpu()
        assert "the current task of CPU 0" in debugged.gdb.run("pte 0")
    finally:
        debugged.judge(f"set var {field} = {debugged.child_pid}")
        debugged.gdb.python("from ptmap.machine.sources import choose; choose.forget()")
        debugged.cpu()


def test_nothing_was_written_and_no_packet_was_too_long(debugged: Debugged) -> None:
    debugged.gdb.run("pte $pc")
    debugged.gdb.run("xp/512xg 0x1000000")
    assert not debugged.proxy.sent("[MXGPZz]|vCont;|vRun|vKill")
    reads = debugged.proxy.reads(physical=False)
    assert reads and max(size for _, size in reads) <= SAFE


@pytest.mark.linux("kgdb-64-nokaslr")
def test_two_cpus() -> None:
    machine = Debugged("kgdb-64-nokaslr", "smp=1", ("-smp", "2"))
    try:
        at = hex(machine.area("child"))
        ours = machine.ask(f"pte -cpu 1 {at}")
        assert ours["addresses"][0]["outcome"] == "mapped"
        text = heading(machine.gdb.run(f"pte -cpu 1 {at}"))
        assert re.search(r"pid \d+ \(spinner\), the current task of CPU 1", text)
        assert "pid 1 (init), the current task of CPU 0" in machine.gdb.run(f"pte {at}")
        same(ours, machine.judge(f"pte -root {ours['root']} {at}")[0])
    finally:
        machine.close()


@pytest.mark.linux("kgdb-pae")
def test_high_memory_is_read_by_kdb_or_counted() -> None:
    """Above 32-bit Linux's direct map; a page that the process wrote holds its own address."""
    machine = Debugged("kgdb-pae", args=("-m", "3G"))
    try:
        at = machine.area("rw")
        pa = int(machine.ask(f"pte {at:#x}")["addresses"][0]["pa"], 16)
        end = machine.gdb.eval("max_low_pfn") << 12
        assert pa >= end
        assert f"{at:#010x}" in machine.gdb.run(f"xp/1xw {pa:#x}")
        machine.proxy.play(Rule("qRcmd,", Answer(b"")))
        machine.gdb.run("set ptmap memory direct-map")  # another source, which asks KDB anew
        with pytest.raises(GdbFailure, match=f"above the direct map, which ends at {end:#x}"):
            machine.gdb.run(f"xp/1xw {pa:#x}")
    finally:
        machine.close()
