"""A distribution's kernels with their vmlinux and modules: what symbols and versions tell."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator

import pytest

import proc_files
from gdbsession import GdbSession, ptmap_script, refused
from guests import GUESTS, boot
from kernels import MODULES, fetch
from qemu import Qemu

pytestmark = pytest.mark.linux

NAMES = ["smp-6.12-dbg", "smp-sid-dbg", "4-level-pti-6.12-dbg", "4-level-pti-sid-dbg"]
# The second process of smp-... runs on CPU 1.


def vmlinux(name: str) -> Path:
    return fetch(GUESTS[name].kernel).with_name("vmlinux")


@dataclass
class Started:
    name: str
    guest: Qemu
    gdb: GdbSession

    def json(self, command: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.gdb.run(command))
        return document

    @property
    def half(self) -> str:
        return "-half kernel" if "pti" in self.name else ""


@pytest.fixture(scope="module", params=NAMES)
def started(request: pytest.FixtureRequest) -> Iterator[Started]:
    name = request.param
    words = "modules=1 symbols=1 vvar_touch=1 clocks=1"
    with boot(name, append=words) as guest, GdbSession(script=ptmap_script()) as gdb:
        gdb.attach(guest.gdb_target)
        gdb.run(f"ptmap kaslr {vmlinux(name)}")
        yield Started(name, guest, gdb)


def test_kaslr_against_kallsyms(started: Started) -> None:
    symbols = proc_files.parse_symbols(started.guest.console())
    for symbol, address in symbols.items():
        assert started.gdb.eval(f"(unsigned long)&{symbol}") == address, symbol
    assert started.json("ptmap kaslr -json -")["symbols"] == "placed"


def test_per_cpu_variables(started: Started) -> None:
    """Each CPU's current task is the process that it runs."""
    comms = ["init", "spinner"] if started.name.startswith("smp") else ["init"]
    for cpu, comm in enumerate(comms):
        root = started.json(f"ptmap -cpu {cpu} {started.half} -json - 0 1")["root"]
        assert started.json(f"ptmap -comm {comm} -json - 0 1")["root"] == root
        assert "stack not known" not in started.gdb.run(f"ptmap regs -cpu {cpu}")


def test_vdso(started: Started) -> None:
    """Its place is by a page that was never touched: from the mm_struct, with vvar's clock."""
    document = started.json("vdso -json -")
    parts = {r.name: r for r in proc_files.parse_maps(started.guest.console())}
    assert (int(document["vdso"]["va"], 16), int(document["vdso"]["size"], 16)) == (
        parts["[vdso]"].va,
        parts["[vdso]"].size,
    )
    assert "by the process's mm_struct" in started.gdb.run("vdso")
    pages = document["vvar"]["pages"]
    assert int(document["vvar"]["va"], 16) == parts["[vvar]"].va
    assert sum(r.size for name, r in parts.items() if name.startswith("[vvar")) == 4096 * len(pages)
    assert pages[0]["name"] == "data" and pages[0]["pa"] and not pages[0]["other"]
    assert {"pvclock", "hvclock", "timens"} < {page["name"] for page in pages}
    clock = document["vvar"]["clock"]
    assert (clock["layout"], clock["clock_mode"]) == ("types", "TSC")
    mhz = re.search(r"Detected (\S+) MHz processor", started.guest.console())
    assert mhz and clock["mult"] / 2 ** clock["shift"] == pytest.approx(1000 / float(mhz[1]), 0.05)


def test_sections(started: Started) -> None:
    """.data is flagged executable in Linux 7's vmlinux."""
    said = started.gdb.run(f"ptmap check {started.half} sections")
    assert said.splitlines()[1].startswith("ok ")
    is_flagged = ".data: flagged write and exec" in said
    assert is_flagged == ("sid" in started.name)


def test_modules_symbols_stay(started: Started) -> None:
    """`ptmap kaslr` again replaces the kernel's symbols only."""
    module = vmlinux(started.name).parent / "debug" / "loop.ko"
    [text] = re.findall(r"init: section loop \.text 0x(\w+)", started.guest.console())
    started.gdb.run(f"add-symbol-file {module} 0x{text}")
    try:
        before = started.gdb.eval("(unsigned long)&loop_init")
        started.gdb.run(f"ptmap kaslr {vmlinux(started.name)}")
        assert started.gdb.eval("(unsigned long)&loop_init") == before
        assert started.json("ptmap kaslr -json -")["symbols"] == "placed"
    finally:
        started.gdb.run(f"remove-symbol-file {module}")


def test_modules_are_there(started: Started) -> None:
    """Each page of a module's text is executable, and lies in the part that is called so."""
    console = started.guest.console()
    found = re.findall(r"init: section (\w+) \.text 0x(\w+)", console)
    assert {name for name, _ in found} == set(MODULES)
    for name, at in found:
        walk = started.json(f"pte {started.half} -json - 0x{at}")["addresses"][0]
        assert walk["rights"] == {
            "user": False,
            "write": False,
            "exec": True,
            "global": walk["rights"]["global"],
        }, name
        rows = started.json(f"ptmap {started.half} -json - 0x{at} 0x{at}+1")["ranges"]
        assert [row["label"] for row in rows] == ["modules"], name


@pytest.mark.linux("4-level-6.12-dbg")
def test_without_debug_information(tmp_path: Path) -> None:
    """Symbols alone: link address and offset are known all the same."""
    stripped = tmp_path / "vmlinux"
    whole = vmlinux("4-level-6.12-dbg")
    subprocess.run(["objcopy", "--strip-debug", whole, stripped], check=True)
    with boot("4-level-6.12-dbg") as guest, GdbSession(script=ptmap_script()) as gdb:
        gdb.attach(guest.gdb_target)
        without = json.loads(gdb.run("ptmap kaslr -json -"))
        found = json.loads(gdb.run(f"ptmap kaslr -json - {stripped}"))
        assert found["linked"] == without["linked"] == "0xffffffff81000000"
        assert (found["offset"], found["linked_source"]) == (without["offset"], "read")
        assert found["symbols"] == "placed"
        refused(gdb, "ptmap -pid 1", "vmlinux with debug information")


DEBIAN = ["4-level-6.12-dbg", "4-level-sid-dbg"]


def _release(gdb: GdbSession) -> str:
    """Without symbols; GDB finds no file."""
    gdb.run("set debug-file-directory /nonexistent")
    version: str = json.loads(gdb.run("ptmap kaslr -json -"))["version"]
    return version.split()[2]


@pytest.mark.parametrize("name", DEBIAN)
@pytest.mark.parametrize("place", ["boot/vmlinux-{}", "lib/modules/{}/vmlinux", ".build-id/{}"])
def test_finds_vmlinux(name: str, place: str, tmp_path: Path) -> None:
    """In a folder of `debug-file-directory`; the one before it has another kernel's."""
    notes = subprocess.run(["readelf", "-n", vmlinux(name)], capture_output=True, text=True).stdout
    [build_id] = re.findall(r"Build ID: (\w+)", notes)
    with boot(name, append="symbols=1") as guest, GdbSession(script=ptmap_script()) as gdb:
        gdb.attach(guest.gdb_target)
        release = _release(gdb)
        missing = gdb.run("ptmap kaslr")
        words = " ".join(missing.split())
        assert f"none: no vmlinux of {release} is in /nonexistent, /boot or /lib/modules" in words
        assert f"linux-image-{release}-dbg" in words
        assert max(map(len, missing.splitlines())) <= 80
        [other] = set(DEBIAN) - {name}
        wrong = tmp_path / "wrong" / "boot" / f"vmlinux-{release}"
        wrong.parent.mkdir(parents=True)
        wrong.symlink_to(vmlinux(other))
        gdb.run(f"set debug-file-directory {tmp_path}/wrong")
        assert f"boot/vmlinux-{release} is another kernel's" in " ".join(
            gdb.run("ptmap kaslr").split()
        )
        assert json.loads(gdb.run("ptmap kaslr -json -"))["symbols"] == "none"

        by_id = f"{build_id[:2]}/{build_id[2:]}.debug"
        right = tmp_path / "right" / place.format(by_id if "build-id" in place else release)
        right.parent.mkdir(parents=True)
        right.symlink_to(vmlinux(name))
        gdb.run(f"set debug-file-directory {tmp_path}/wrong:{tmp_path}/right")
        found = json.loads(gdb.run("ptmap kaslr -json -"))
        assert (found["symbols"], found["file"]) == ("placed", str(right.resolve()))
        assert found["build_id"] == build_id
        for symbol, address in proc_files.parse_symbols(guest.console()).items():
            assert gdb.eval(f"(unsigned long)&{symbol}") == address, symbol
        assert "at the right place" in gdb.run("ptmap kaslr")


@pytest.mark.linux("4-level-6.12-dbg")
def test_another_build_is_refused(tmp_path: Path) -> None:
    """Same banner, same place, another build id: refused, named or found."""
    name = "4-level-6.12-dbg"
    with boot(name) as guest, GdbSession(script=ptmap_script()) as gdb:
        gdb.attach(guest.gdb_target)
        release = _release(gdb)
        other = tmp_path / "boot" / f"vmlinux-{release}"
        other.parent.mkdir()
        notes = subprocess.run(["readelf", "-n", vmlinux(name)], capture_output=True, text=True)
        [build_id] = re.findall(r"Build ID: (\w+)", notes.stdout)
        content = vmlinux(name).read_bytes()
        changed = bytes.fromhex(build_id)[:-1] + b"\0"
        other.write_bytes(content.replace(bytes.fromhex(build_id), changed))
        refused(gdb, f"ptmap kaslr {other}", f"{changed.hex()}, the kernel's is {build_id}")
        gdb.run(f"set debug-file-directory {tmp_path}")
        assert "another build of this kernel" in " ".join(gdb.run("ptmap kaslr").split())
        # A file without a build id is taken by its name only.
        bare = content.replace(b"\3\0\0\0GNU\0" + bytes.fromhex(build_id), bytes(28))
        other.write_bytes(bare)
        assert "no build id" in " ".join(gdb.run("ptmap kaslr").split())
        assert f"loaded from {other.name}" in gdb.run(f"ptmap kaslr {other}")
