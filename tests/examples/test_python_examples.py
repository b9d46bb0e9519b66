"""examples/python: each as a person runs it, on both labs and a dump; what it prints is checked."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from pathlib import Path
from typing import Iterator

import pytest

import naive
from gdbsession import ptmap_script
from qemu import Qemu

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("working_set", "fragmentation", "exposed_tables")
LABS = {
    "lab64": ("lab64.elf32", "qemu-system-x86_64", "qemu64", "4-level"),
    "lab32": ("lab32-3g.elf", "qemu-system-i386", "pentium3", "32-bit"),
}


class Lab:
    def __init__(self, name: str, out: Path) -> None:
        kernel, binary, cpu, self.mode = LABS[name]
        subprocess.run(["make", "-sC", ROOT / "examples" / name, f"OUT={out}"], check=True)
        self.qemu = Qemu(["-kernel", str(out / kernel), "-cpu", cpu], binary=binary, paused=False,
                         ram_file=True)  # fmt: skip
        self.qemu.wait_line(f"{name}: ready")
        self.qemu.qmp("stop")
        self.dump = out / f"{name}.dump"
        self.qemu.hmp(f"dump-guest-memory {self.dump}")
        assert self.qemu.ram_path is not None
        self.ram = self.qemu.ram_path.read_bytes()

    def run(self, script: Path, *before: str) -> subprocess.CompletedProcess[str]:
        commands = [word for command in before for word in ("-ex", command)]
        return subprocess.run(
            [os.environ.get("PTMAP_GDB", "gdb"), "-nx", "-batch", "-x", ptmap_script(), *commands,
             "-x", script, "-ex", "disconnect"],
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    def example(self, name: str, how: str) -> list[str]:
        first = (f"target remote {self.qemu.gdb_target}" if how == "target"
                 else f"set ptmap memory dump {self.dump}")  # fmt: skip
        run = self.run(ROOT / "examples/python" / f"{name}.py", first)
        assert "Traceback" not in run.stderr, run.stderr
        lines = run.stdout.splitlines()
        return [line for line in lines if " in ?? ()" not in line]


@pytest.fixture(scope="module", params=LABS)
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(request.param, tmp_path_factory.mktemp("lab"))
    try:
        yield lab
    finally:
        lab.qemu.close()


def user_pages(lab: Lab) -> list[naive.Page]:
    """What the naive walker finds in the RAM file."""
    found = lab.qemu.hmp("info registers")
    words = dict(word.split("=") for word in found.split() if word[:3] in ("CR0", "CR3", "CR4"))
    cr3, cr4 = int(words["CR3"], 16), int(words["CR4"], 16)
    nxe = int(found.split("EFER=")[1].split()[0], 16) >> 11 & 1

    def read(pa: int, length: int) -> bytes | None:
        return lab.ram[pa:pa + length] if pa + length <= len(lab.ram) else None

    walked = naive.walk(read, naive.Registers(1 << 31 | 1, cr3, cr4, 0), nxe)  # type: ignore
    return [page for page in walked if page.user]


@pytest.mark.parametrize("how", ["target", "dump"])
@pytest.mark.parametrize("name", NAMES)
def test_prints(lab: Lab, name: str, how: str) -> None:
    lines = lab.example(name, how)
    assert lines and all(len(line) <= 80 and line.isascii() for line in lines)
    assert lines == lab.example(name, "target")
