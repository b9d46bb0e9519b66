"""examples/cpp: built as its CMakeLists.txt says and run on dumps of both labs; what it prints is
what ptmap's commands print of the same dump."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Iterator

import pytest

from gdbsession import GdbSession, ptmap_script
from qemu import Qemu

ROOT = Path(__file__).resolve().parents[2]
LABS = {
    "lab64": ("lab64.elf32", "qemu-system-x86_64", "qemu64", (0x401000, 0x7FFFF7FC1123, 0x123)),
    "lab32": ("lab32-3g.elf", "qemu-system-i386", "pentium3", (0x8048000, 0xC0000010, 0x123)),
}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    build = tmp_path_factory.mktemp("build")
    configure = ["cmake", "-G", "Ninja", "-S", ROOT / "examples/cpp", "-B", build]
    options = ["-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS_DEBUG=-O0", "-DCMAKE_UNITY_BUILD=ON"]
    subprocess.run([*configure, *options], check=True)
    subprocess.run(["cmake", "--build", build], check=True)
    return build / "dump_map"


@pytest.fixture(scope="module", params=LABS)
def dump(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    name = request.param
    out = tmp_path_factory.mktemp(name)
    kernel, binary, cpu, _ = LABS[name]
    subprocess.run(["make", "-sC", ROOT / "examples" / name, f"OUT={out}"], check=True)
    path = out / f"{name}.dump"
    with Qemu(["-kernel", str(out / kernel), "-cpu", cpu], binary=binary, paused=False) as qemu:
        qemu.wait_line(f"{name}: ready")
        qemu.qmp("stop")
        assert qemu.hmp(f"dump-guest-memory {path}") == ""
    return path


@pytest.fixture
def gdb(dump: Path) -> Iterator[GdbSession]:
    with GdbSession(script=ptmap_script()) as gdb:
        gdb.run(f"set ptmap memory dump {dump}")
        yield gdb


def test_it_prints_what_gdb_does(program: Path, dump: Path, gdb: GdbSession) -> None:
    ranges = gdb.run("ptmap -ranges").splitlines()
    for va in LABS[dump.stem][3]:
        run = subprocess.run([program, dump, hex(va)], check=True, capture_output=True, text=True)
        address = f"{va:#0{10 if dump.stem == 'lab32' else 18}x}: "
        table, _, explained = run.stdout.partition(address)
        lines = table.splitlines()
        assert len(lines) > 5 and set(lines) <= set(ranges)
        first = ranges.index(lines[0])
        assert ranges[first : first + len(lines)] == lines
        assert not re.match("0x", ranges[first + len(lines)])  # these were all
        assert (address + explained).splitlines() == gdb.run(f"pte {va:#x}").splitlines()


def test_it_says_what_is_wrong(program: Path, dump: Path, tmp_path: Path) -> None:
    def said(*arguments: str | Path) -> str:
        run = subprocess.run([program, *arguments], capture_output=True, text=True)
        assert run.returncode == 1 and run.stdout == ""
        return run.stderr

    assert said() == "dump_map: usage: dump_map FILE ADDRESS\n"
    (tmp_path / "none").write_bytes(bytes(4096))
    assert said(tmp_path / "none", "0").startswith("dump_map: ")
    assert said(tmp_path / "absent", "0").startswith("dump_map: ")
