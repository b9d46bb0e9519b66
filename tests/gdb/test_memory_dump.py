"""Dumps and raw images: the same answers as from the paused machine that they were made of."""

from __future__ import annotations

import copy
import json
import os
import random
import shutil
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

import guard
import judging
import tables
import verdict
from gdbsession import GdbFailure, GdbSession, memory_shown, ptmap_script
from guests import GUESTS, boot
from kernels import fetch
from machine import EFER_LMA, EFER_NXE, BareMachine, registers_for
from qemu import Qemu

ROOT = Path(__file__).resolve().parents[2]
MAPS = ("ptmap -phys -json -", "ptmap -json -")


@pytest.fixture
def gdb() -> Iterator[GdbSession]:
    """Without a target."""
    with GdbSession(script=ptmap_script()) as gdb:
        yield gdb


def ask(gdb: GdbSession, command: str) -> Any:
    return json.loads(gdb.run(command))


def pte_of(vas: Any) -> str:
    return "pte -json - " + " ".join(f"{va:#x}" for va in vas)


def plain(document: Any) -> Any:
    """Without what the dump does not tell of EFER, which it has to admit."""
    document = copy.deepcopy(document)
    efer = document.get("registers", {}).get("efer") if isinstance(document, dict) else None
    if efer:
        document["registers"]["efer"] = int(efer["value"], 16) & (EFER_LMA | EFER_NXE)
    if isinstance(document, dict) and document.get("mode") == "32-bit":
        document.get("registers", {}).pop("efer", None)  # it has no say there
    if isinstance(document, dict) and document.get("descriptors"):
        notes = document["descriptors"]["notes"]  # SCE, too, is assumed
        document["descriptors"]["notes"] = [n for n in notes if not n.startswith("SYSCALL")]
    return document


def difference(one: Any, other: Any, where: str = "") -> str:
    """The first place where two documents differ; "" for none."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        found = (difference(one[key], other[key], f"{where}.{key}") for key in one)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        found = (difference(a, b, f"{where}[{n}]") for n, (a, b) in enumerate(zip(one, other)))
    else:
        return "" if one == other else f"{where}: {str(one)[:500]} and not {str(other)[:500]}"
    return next(filter(None, found), "")


class Dumps:
    """Files that QEMU writes, gone afterwards."""

    def __init__(self, machine: Qemu, folder: Path) -> None:
        self._machine, self._folder = machine, folder

    def elf(self, *, paging: bool = False) -> Path:
        return self._write("-p.elf", "-p") if paging else self._write(".elf")

    def kdump(self) -> Path:
        flat = self.flattened()
        rearranged = flat.with_suffix(".kdump")
        rearranged.unlink(missing_ok=True)
        with flat.open("rb") as file:
            subprocess.run(
                ["makedumpfile", "-R", rearranged],
                stdin=file,
                check=True,
                stdout=subprocess.DEVNULL,
            )
        flat.unlink()
        return rearranged

    def flattened(self, method: str = "-z") -> Path:
        return self._write(".flat", method)

    def _write(self, suffix: str, options: str = "") -> Path:
        path = self._folder / f"dump{suffix}"
        path.unlink(missing_ok=True)
        said = self._machine.hmp(f"dump-guest-memory {options} {path}")
        assert said == "", said
        return path


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where a machine's RAM fits."""
    with guard.Folder(guard.SHM if os.path.isdir(guard.SHM) else guard.SHORT) as folder:
        yield Path(folder)


def by_path(gdb: GdbSession, dump: Path) -> None:
    gdb.run(f"set ptmap memory dump {dump}")


def as_core(gdb: GdbSession, dump: Path) -> None:
    gdb.run("set ptmap memory auto")
    gdb.run(f"core-file {dump}")


def gone(gdb: GdbSession) -> None:
    gdb.run("set ptmap memory auto")
    if gdb.python("result = gdb.selected_inferior().connection is not None"):
        gdb.run("core-file")


def compare(gdb: GdbSession, live: dict[str, Any], dump: Path) -> int:
    """Every command's answer from the dump against the one from the machine; returns how many.

    GDB itself reads no kdump files.
    """
    ways: list[Callable[[GdbSession, Path], None]] = [by_path]
    if dump.suffix == ".elf":
        ways.append(as_core)
    for way in ways:
        way(gdb, dump)
        for command, expected in live.items():
            found = ask(gdb, command)
            if "outside_ram" not in expected:
                found.pop("outside_ram", None)
            wrong = difference(plain(found), plain(expected))
            assert not wrong, f"{command} of {dump.name}: {wrong}"
        gone(gdb)
    return len(ways) * len(live)


# Bare machines


@pytest.fixture(scope="module")
def machine() -> Iterator[BareMachine]:
    with BareMachine(script=ptmap_script(), memory="16M") as machine:
        yield machine


@pytest.mark.parametrize("mode", tables.MODES)
def test_spaces_of_a_bare_machine(
    machine: BareMachine, gdb: GdbSession, folder: Path, mode: str
) -> None:
    """No Linux, no vmcoreinfo; what the tables lead to may be anything."""
    dumps = Dumps(machine.qemu, folder)
    for space in tables.spaces(mode, 3, first=7000):
        registers = judging.registers_of(space)
        judging.put(machine, space.tables, registers)
        walk = judging.walk(machine, registers, 52)
        vas = verdict.interesting(walk, random.Random(space.seed))[:60]
        commands = (*MAPS, pte_of(vas), "ptmap regs -json -")
        live = {command: ask(machine.session, command) for command in commands}
        for document in live.values():  # what a dump does not have has another name there
            rename(document, "not RAM", "not in the dump")
        gdb.run(f"set ptmap efer {'auto' if space.nxe else hex(registers.efer)}")
        for dump in (dumps.elf(), dumps.kdump()):
            if not space.nxe:
                live.pop("ptmap regs -json -", None)
            compare(gdb, live, dump)
        judging.wipe(machine, space.tables)


def rename(document: Any, before: str, after: str) -> None:
    """A reason, wherever it is in a document."""
    for key, value in document.items() if isinstance(document, dict) else enumerate(document):
        if value == before:
            document[key] = after
        elif isinstance(value, str) and before in value:
            document[key] = value.replace(before, after)
        elif isinstance(value, (dict, list)):
            rename(value, before, after)


def test_each_cpu_has_its_own_registers(gdb: GdbSession, folder: Path) -> None:
    with BareMachine(script=ptmap_script(), memory="16M", args=["-smp", "3"]) as machine:
        roots = {}
        for cpu, mode in enumerate(("4-level", "5-level", "4-level")):
            space = tables.Tables(mode, at=0x100000 * (cpu + 1))
            space.map(0x400000 + (cpu << 21), 0x1000 * cpu)
            space.write_to(machine)
            machine.session.run(f"thread {cpu + 1}")
            machine.session.run("info registers rip")
            machine.set(registers_for(mode, space.root))
            roots[cpu] = space.root
        live = {
            f"{command} -cpu {cpu}": ask(machine.session, f"{command} -cpu {cpu}")
            for cpu in roots
            for command in ("ptmap -phys -json -", "ptmap regs -json -", "pte -json - 0x400000")
        }
        everything = "ptmap -phys -all-cpus -json -"
        live[everything] = ask(machine.session, everything)
        assert len({json.dumps(document) for document in live.values()}) == len(live)
        dumps = Dumps(machine.qemu, folder)
        for dump in (dumps.elf(), dumps.kdump()):
            compare(gdb, live, dump)
            for way in (by_path, as_core) if dump.suffix == ".elf" else (by_path,):
                way(gdb, dump)
                assert f"root {roots[1]:#x}" in gdb.run("pte -cpu 1 0x400000")
                with pytest.raises(GdbFailure, match="there is no CPU 3: .* CPU 0 to 2"):
                    gdb.run("ptmap -cpu 3")
                if way is as_core:
                    gdb.run("thread 2")
                    assert f"root {roots[1]:#x}" in gdb.run("ptmap")
                gone(gdb)


# The labs


@dataclass(frozen=True)
class Lab:
    machine: Qemu
    elf: Path  # with its symbols
    live: dict[str, Any]  # what it says of itself without them, by command
    with_symbols: dict[str, Any]


@pytest.fixture(scope="module", params=["lab32", "lab64", "lab64-5-level"])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    name, _, level = request.param.partition("-")
    out = tmp_path_factory.mktemp(name)
    subprocess.run(["make", "-sC", ROOT / "examples" / name, f"OUT={out}"], check=True)
    if name == "lab32":
        elf = image = out / "lab32-3g.elf"
        cpu, binary, vas = "pentium3", "qemu-system-i386", [0x8048000, 0xC0000000, 0]
    else:
        elf, image = out / "lab64.elf", out / "lab64.elf32"
        cpu, binary = "max" if level else "qemu64", "qemu-system-x86_64"
        vas = [0x400000, 0x7FFFF7FC1000, 0xFFFFFFFF80100000, 0]
    with Qemu(["-kernel", str(image), "-cpu", cpu], binary=binary, paused=False) as machine:
        machine.wait_line(f"{name}: ready")
        machine.qmp("stop")
        answers = []
        for symbols in (None, elf):
            with GdbSession(script=ptmap_script()) as gdb:
                if symbols:
                    gdb.run(f"file {symbols}")
                gdb.attach(machine.gdb_target)
                commands = [*MAPS, pte_of(vas), "ptmap regs -json -", "vdso -json -"]
                live = {command: ask(gdb, command) for command in commands}
                for document in live.values():
                    rename(document, "not RAM", "not in the dump")
                answers.append(live)
        yield Lab(machine, elf, *answers)


def test_labs(lab: Lab, gdb: GdbSession, folder: Path) -> None:
    """With symbols and without, from every format."""
    dumps = Dumps(lab.machine, folder)
    for make in (dumps.elf, dumps.kdump):
        dump = make()
        compare(gdb, lab.live, dump)
        gdb.run(f"file {lab.elf}")
        compare(gdb, lab.with_symbols, dump)
        gdb.run("file")


def test_a_dump_with_paging_on_has_what_is_mapped(lab: Lab, gdb: GdbSession, folder: Path) -> None:
    """And no more: tables that are not mapped themselves are not in it."""
    dump = Dumps(lab.machine, folder).elf(paging=True)
    for way in (by_path, as_core):
        way(gdb, dump)
        whole, found = lab.live["ptmap -phys -json -"], ask(gdb, "ptmap -phys -json -")
        assert found["mode"] == whole["mode"]
        assert {gap["why"] for gap in found["unreadable"]} <= {"not in the dump"}
        if len(found["unreadable"]) == len(whole["unreadable"]):
            assert [run["va"] for run in found["ranges"]] == [run["va"] for run in whole["ranges"]]
        gone(gdb)


def test_all_commands_without_a_target(lab: Lab, gdb: GdbSession, folder: Path) -> None:
    dump = Dumps(lab.machine, folder).elf()
    by_path(gdb, dump)
    assert "paging, root" in gdb.run("ptmap")
    assert "paging" in gdb.run("vdso")
    assert "GDTR  base" in gdb.run("ptmap regs")
    assert "0x100000:" in gdb.run("xp/4xg 0x100000")
    assert "0x100000:" in gdb.run("xp/2a 0x100000")
    assert "0x100000:" in gdb.run("xp/s 0x100000")
    with GdbSession(script=ptmap_script()) as live:
        live.attach(lab.machine.gdb_target)
        assert gdb.run("xp/12i 0x102000") == live.run("xp/12i 0x102000")
        live.disconnect()
    for expression in ("$rip", "$eip", "$pc", "$cr3"):
        with pytest.raises(GdbFailure, match="(?i)no registers"):
            gdb.run(f"pte {expression}")
    with pytest.raises(GdbFailure, match="is not a Linux kernel with symbols"):
        gdb.run(f"ptmap kaslr {lab.elf}")
    shown = memory_shown(gdb)
    assert f"ELF dump {dump}, " in shown and "registers of 1 CPU" in shown


# Files that are not as they should be


def test_flattened(lab: Lab, gdb: GdbSession, folder: Path) -> None:
    """As the dump that makedumpfile makes of it; and it needs space."""
    dumps = Dumps(lab.machine, folder)
    flat, plain = dumps.flattened(), dumps.kdump
    by_path(gdb, flat)
    shown = gdb.run("ptmap -json -")
    assert "kdump dump" in memory_shown(gdb)
    with pytest.raises(GdbFailure, match="cannot be rearranged in /proc: "):
        gdb.run("python import os; os.environ['TMPDIR'] = '/proc'")
        gdb.run("set ptmap memory auto")
        by_path(gdb, flat)
        gdb.run("ptmap")
    gdb.run("python del os.environ['TMPDIR']")
    by_path(gdb, plain())
    assert gdb.run("ptmap -json -") == shown


@pytest.mark.parametrize("command", ["ptmap regs", "show ptmap memory"])
def test_ctrl_c_while_it_is_rearranged(gdb: GdbSession, tmp_path: Path, command: str) -> None:
    """A file of one record that is a hole of 8 GiB: copying it takes seconds."""
    size, flat = 8 << 30, tmp_path / "large"
    with flat.open("wb") as file:
        file.write(b"makedumpfile".ljust(4096, b"\0") + bytes(8) + size.to_bytes(8, "big"))
        file.seek(size, os.SEEK_CUR)
        file.write(b"\xff" * 16)
    by_path(gdb, flat)
    late: list[float] = []

    def interrupt() -> None:
        time.sleep(0.3)
        late.append(time.monotonic())
        gdb.interrupt()

    helper = threading.Thread(target=interrupt)
    helper.start()
    if command.startswith("show"):
        assert "none: interrupted" in gdb.run(command)
    else:
        with pytest.raises(GdbFailure) as failure:
            gdb.run(command)
        assert failure.value.kind == "KeyboardInterrupt"
    took = time.monotonic() - late[0]
    helper.join()
    print(f"Ctrl-C heard after {1000 * took:.0f} ms")
    assert took < 1  # the whole file takes several seconds
    assert not list(Path(tempfile.gettempdir()).glob("ptmap-??????"))


def test_a_truncated_dump_works_as_far_as_it_goes(lab: Lab, gdb: GdbSession, folder: Path) -> None:
    whole = lab.live["ptmap -phys -json -"]
    dumps = Dumps(lab.machine, folder)
    for dump in (dumps.elf(), dumps.kdump()):
        size = dump.stat().st_size
        dump.chmod(0o600)
        root = int(whole["root"], 16)
        seen = set()
        # In an ELF dump of this machine RAM is in its order: around the tables, too.
        near = [root + at for at in range(0, 0x60000, 0x3000)] if dump.suffix == ".elf" else []
        for length in sorted([*near, *range(0, size, size // 40)], reverse=True):
            os.truncate(dump, length)
            by_path(gdb, dump)
            try:
                cut = ask(gdb, "ptmap -phys -json -")
            except GdbFailure as refusal:
                assert length < 0x20000 or "cut off" in str(refusal), refusal
                seen.add("refused")
                continue
            reasons = {gap["why"] for gap in cut["unreadable"]}
            assert reasons <= {"the dump ends before it", "not in the dump"}
            if "the dump ends before it" not in reasons:
                assert cut == whole
                seen.add("whole")
                continue
            assert not cut["complete"]
            seen.add("some" if cut["ranges"] else "none")
            known = {json.dumps(entry, sort_keys=True) for entry in whole["ranges"]}
            for entry in cut["ranges"]:  # a range may end where a table is missing
                assert json.dumps(entry, sort_keys=True) in known or any(
                    int(other["va"], 16) <= int(entry["va"], 16)
                    and int(entry["va"], 16) + int(entry["size"], 16)
                    <= int(other["va"], 16) + int(other["size"], 16)
                    for other in whole["ranges"]
                )
            assert "INCOMPLETE" in gdb.run("ptmap")
            if not cut["ranges"]:  # nothing was read that could be the ground of a verdict
                entry = gdb.run("ptmap regs")
                assert "NOT MAPPED" not in entry and "KPTI" not in entry
            assert "cut off: the missing part is unreadable" in memory_shown(gdb)
        assert {"refused", "none"} <= seen


def test_a_dump_beside_another_machine(lab: Lab, gdb: GdbSession, folder: Path) -> None:
    """The dump's registers and memory; expressions are the target's, and that is said."""
    dump = Dumps(lab.machine, folder).elf()
    with BareMachine(script=ptmap_script()) as other:
        other.session.run("ptmap regs")
        other.set_registers(cr2=0x1234)  # what it had is no matter of the dump's
        by_path(other.session, dump)
        assert ask(other.session, "ptmap -phys -json -") == lab.live["ptmap -phys -json -"]
        for command in ("ptmap", "pte 0"):
            assert "the dump's, not the attached target's" in other.session.run(command)
        assert "not the attached target's" in memory_shown(other.session)
        by_path(gdb, dump)
        assert "attached" not in gdb.run("ptmap") + memory_shown(gdb)
        gone(gdb)


def test_a_dump_that_changes_between_two_commands(lab: Lab, gdb: GdbSession, folder: Path) -> None:
    command = "ptmap -phys -json -"
    dump = Dumps(lab.machine, folder).elf()
    other = folder / "other.elf"
    with Qemu(memory="4M") as bare:
        bare.hmp(f"dump-guest-memory {other}")
    for way in (by_path, as_core):
        way(gdb, dump)
        assert ask(gdb, command) == lab.live[command]
        kept = dump.rename(folder / "kept.elf")
        with pytest.raises(GdbFailure, match="No such file or directory"):
            gdb.run("ptmap")
        shutil.copy(other, dump)
        with pytest.raises(GdbFailure, match="paging is off" if way is by_path else "core-file"):
            gdb.run("ptmap")
        kept.rename(dump)
        if way is as_core:
            way(gdb, dump)
        assert ask(gdb, command) == lab.live[command]
        gone(gdb)


def test_what_is_no_dump(gdb: GdbSession, tmp_path: Path) -> None:
    by_path(gdb, tmp_path)
    with pytest.raises(GdbFailure, match="not an ordinary file"):
        gdb.run("ptmap")
    by_path(gdb, Path("/bin/true"))
    with pytest.raises(GdbFailure, match="an ELF file, but not a core file"):
        gdb.run("ptmap")
    (tmp_path / "text").write_text("text")
    by_path(gdb, tmp_path / "text")
    with pytest.raises(GdbFailure, match="neither an ELF core nor a kdump file"):
        gdb.run("pte 0")


# Raw images


def forget_ram(live: list[Any]) -> None:
    """A file does not tell what is RAM: ROM is not in it."""
    for document in live:
        document.pop("outside_ram", None)


def test_a_raw_image_needs_a_root_and_a_mode(machine: BareMachine, gdb: GdbSession) -> None:
    for mode in tables.MODES:
        space = tables.Tables(mode)
        space.map(0x400000, 0x3000)
        judging.put(machine, space, registers_for(mode, space.root))
        how = f"-root {space.root:#x} -mode {mode}"
        live = [ask(machine.session, f"{c} {how}") for c in (*MAPS, pte_of([0x400123]))]
        forget_ram(live)
        gdb.run(f"set ptmap memory file {machine.qemu.ram_path}")
        assert [ask(gdb, f"{c} {how}") for c in (*MAPS, pte_of([0x400123]))] == live
        with pytest.raises(GdbFailure, match="no CR0: give -root PA -mode MODE"):
            gdb.run("ptmap")
        outside = gdb.run(f"pte {how} 0x7fc00000")
        assert "not present" in outside
        judging.wipe(machine, space)
    with pytest.raises(GdbFailure, match="no control registers"):
        gdb.run("ptmap regs")
    assert "byte N is physical address N" in memory_shown(gdb)


def test_the_ram_file_of_a_machine_with_ram_above_4_gib(gdb: GdbSession) -> None:
    """Byte N of it is not physical address N; QEMU's own map says what is where."""
    with BareMachine(script=ptmap_script(), memory="6G", machine="q35") as machine:
        space = tables.Tables("4-level", at=0x1_0000_0000)
        space.map(0x400000, 0x1_2345_6000)
        judging.put(machine, space, registers_for("4-level", space.root))
        live = [ask(machine.session, command) for command in (*MAPS, pte_of([0x400000]))]
        forget_ram(live)
        machine.session.run(f"set ptmap memory file {machine.qemu.ram_path}")
        assert [ask(machine.session, c) for c in (*MAPS, pte_of([0x400000]))] == live
        assert "QEMU's ram" in memory_shown(machine.session)


# Linux


@pytest.mark.linux
@pytest.mark.parametrize(
    "name", ["686-pae", "4-level-pti", "5-level", "smp", "kgdb-64-nokaslr", "kgdb-64"]
)
def test_linux(gdb: GdbSession, folder: Path, name: str) -> None:
    """Every format, as GDB's core and by its path, against the stub of the same stop."""
    cpus = 2 if name == "smp" else 1
    with boot(name) as guest:
        with GdbSession(script=ptmap_script()) as live_gdb:
            live_gdb.attach(guest.gdb_target)
            vas = [live_gdb.eval("$pc"), live_gdb.eval("$sp"), 0, 0xC0000000, 0xFFFFFFFF81000000]
            vas = [va & (1 << 64) - 1 for va in vas[: 4 if name == "686-pae" else 5]]
            commands = [
                f"{command} -cpu {cpu}"
                for cpu in range(cpus)
                for command in (*MAPS, pte_of(vas), "vdso -json -", "ptmap regs -json -")
            ]
            live = {command: ask(live_gdb, command) for command in commands}
            built = name.startswith("kgdb")
            symbols = fetch(GUESTS[name].kernel).with_name("vmlinux") if built else None
            with_symbols: dict[str, Any] = {}
            if symbols:
                live_gdb.run(f"file {symbols}")
                if name == "kgdb-64":
                    live_gdb.run(f"ptmap kaslr {symbols}")
                commands += ["ptmap -half kernel -json -", "ptmap -comm init -json -"]
                with_symbols = {command: ask(live_gdb, command) for command in commands}
            live_gdb.disconnect()
        dumps = Dumps(guest, folder)
        answers = 0
        for make in (dumps.elf, dumps.kdump, lambda: dumps.elf(paging=True)):
            dump = make()
            if dump.name == "dump-p.elf":  # it need not have ROM, which then is no RAM
                for document in (*live.values(), *with_symbols.values()):
                    document.pop("outside_ram", None)
            answers += compare(gdb, live, dump)
            if with_symbols:
                gdb.run(f"file {symbols}")
                if name == "kgdb-64":
                    by_path(gdb, dump)
                    gdb.run(f"ptmap kaslr {symbols}")
                answers += compare(gdb, with_symbols, dump)
                gdb.run("file")
                gdb.run("symbol-file")
            dump.unlink()
        assert answers
