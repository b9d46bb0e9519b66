"""examples/python: each as a person runs it, on both labs and a dump; what it prints is checked."""

from __future__ import annotations

import os
import re
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
# Memory types by PAT slot as far as they are known.
TYPES = ("WB", "PAT1", "UC-", "UC", "WB", "PAT5", "UC-", "PAT7")


class Lab:
    def __init__(self, name: str, out: Path) -> None:
        kernel, binary, cpu, self.mode = LABS[name]
        subprocess.run(["make", "-sC", ROOT / "examples" / name, f"OUT={out}"], check=True)
        self.qemu = Qemu(
            ["-kernel", str(out / kernel), "-cpu", cpu], binary=binary, paused=False, ram_file=True
        )
        self.qemu.wait_line(f"{name}: ready")
        self.qemu.qmp("stop")
        self.dump = out / f"{name}.dump"
        self.qemu.hmp(f"dump-guest-memory {self.dump}")
        assert self.qemu.ram_path is not None
        self.ram = self.qemu.ram_path.read_bytes()

    def run(self, script: Path, *before: str) -> subprocess.CompletedProcess[str]:
        commands = [word for command in before for word in ("-ex", command)]
        return subprocess.run(
            [
                os.environ.get("PTMAP_GDB", "gdb"),
                "-nx",
                "-batch",
                "-x",
                ptmap_script(),
                *commands,
                "-x",
                script,
                "-ex",
                "disconnect",
            ],
            capture_output=True,
            text=True,
            timeout=120,
        )

    def example(self, name: str, how: str) -> list[str]:
        first = (
            f"target remote {self.qemu.gdb_target}"
            if how == "target"
            else f"set ptmap memory dump {self.dump}"
        )
        run = self.run(ROOT / "examples/python" / f"{name}.py", first)
        assert "Traceback" not in run.stderr, run.stderr
        lines = [line for line in run.stdout.splitlines() if " in ?? ()" not in line]
        # lab64 has tables that cannot be read, lab32 has none.
        is_cut = lines[-1] == "not all of the space could be read: there may be more"
        assert is_cut == (self.mode != "32-bit")
        return lines[:-1] if is_cut else lines

    def user_pages(self) -> list[naive.Page]:
        """What the naive walker finds, by rising address."""
        walk = naive.walk(self.read, *self.registers())
        return sorted(page for page in walk.pages if page.user)

    def registers(self) -> tuple[int, int, int]:
        """CR3, CR4, EFER."""
        said = self.qemu.hmp("info registers")
        cr3, cr4, efer = (
            int(re.search(rf"{name}=([0-9a-f]+)", said)[1], 16)  # type: ignore
            for name in ("CR3", "CR4", "EFER")
        )
        return cr3, cr4, efer

    def read(self, pa: int, length: int) -> bytes | None:
        return self.ram[pa : pa + length] if pa + length <= len(self.ram) else None


@pytest.fixture(scope="module", params=LABS)
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(request.param, tmp_path_factory.mktemp("lab"))
    try:
        yield lab
    finally:
        lab.qemu.close()


@pytest.mark.parametrize("how", ["target", "dump"])
def test_working_set(lab: Lab, how: str) -> None:
    expected: list[list[int]] = []
    end = None
    for page in lab.user_pages():
        if page.va != end:
            expected.append([page.va, 0, 0, 0])
        end = page.va + page.size
        for column, bit in enumerate((0, 1 << 5, 1 << 6), 1):
            expected[-1][column] += not bit or bool(page.entry & bit)
    found = [
        [int(number, 0) for number in re.findall(r"\b(?:0x[0-9a-f]+|\d+)\b", line)]
        for line in lab.example("working_set", how)
    ]
    assert found == expected and len(found) > 5
    assert 0 < sum(row[3] for row in found) < sum(row[1] for row in found)


@pytest.mark.parametrize("how", ["target", "dump"])
def test_fragmentation(lab: Lab, how: str) -> None:
    runs: list[list[int]] = []  # va, pa, size
    last = None
    for page in lab.user_pages():
        what = (page.write, page.exec, page.glob, TYPES[page.slot])
        if runs and [page.va, page.pa] == [n + runs[-1][2] for n in runs[-1][:2]] and what == last:
            runs[-1][2] += page.size
        else:
            runs.append([page.va, page.pa, page.size])
        last = what
    powers = Counter(size.bit_length() - 1 for _, _, size in runs)
    found = [
        [int(number) for number in re.findall(r"\d+", line)]
        for line in lab.example("fragmentation", how)
    ]
    assert [row[:2] for row in found] == [[powers[p], 1 << p - 10] for p in sorted(powers)]
    assert 98 <= sum(row[2] for row in found) <= 102


@pytest.mark.parametrize("how", ["target", "dump"])
def test_exposed_tables(lab: Lab, how: str) -> None:
    assert re.fullmatch(
        r"\d+ tables, 0 mappings of them for user mode",
        "\n".join(lab.example("exposed_tables", how)),
    )


def test_an_exposed_table(lab: Lab) -> None:
    """A user page whose frame becomes the root's."""
    page = next(page for page in lab.user_pages() if page.size == 4096)
    root, cr4, efer = lab.registers()
    *_, (_, at, raw) = naive.steps(lab.read, page.va, root, cr4, efer)
    size = 4 if lab.mode == "32-bit" else 8
    assert raw == page.entry and lab.qemu.ram_path is not None
    with open(lab.qemu.ram_path, "r+b") as file:
        file.seek(at)
        file.write((raw - page.pa + root).to_bytes(size, "little"))
        file.flush()
        try:
            lines = lab.example("exposed_tables", "target")
        finally:
            file.seek(at)
            file.write(raw.to_bytes(size, "little"))
    assert re.fullmatch(rf"(PML4|PD) +{root:#x} is mapped at {page.va:#x}(, writable)?", lines[0])
    assert " 1 mappings" in lines[-1]


@pytest.mark.parametrize("name", NAMES)
def test_a_failure_is_a_status(name: str, lab: Lab) -> None:
    run = lab.run(ROOT / "examples/python" / f"{name}.py")
    assert run.returncode == 1 and run.stdout == (
        f"{name}: no target: attach to one first, for example `target remote :1234`\n"
    )
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("name", NAMES)
def test_short_enough(name: str) -> None:
    """About ten lines between `try` and `except`, and they are shown to newcomers."""
    body = (ROOT / "examples/python" / f"{name}.py").read_text().split("try:\n")[1]
    assert len(body.split("except ptmap.Error")[0].splitlines()) <= 14
