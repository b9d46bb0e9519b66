"""examples/lab-sheet.md says what ptmap prints; examples/grade.sh passes lab32 and fails the broken
variant."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import time
from pathlib import Path
from typing import Iterator

import pytest

from gdbsession import ptmap_script

ROOT = Path(__file__).resolve().parents[2]
SHEET = ROOT / "examples/lab-sheet.md"
IMAGES = {"lab32": "lab32-3g.elf", "lab32-broken": "lab32-3g-broken.elf"}
_BLOCK = re.compile(r"^```(lab32\S*)\n(.*?)^```$", re.M | re.S)
_COMMAND = re.compile(r"^\(gdb\) (.*)\n", re.M)


class Lab:
    """A kernel of the sheet in the machine that the sheet starts."""

    def __init__(self, elf: Path, folder: Path) -> None:
        self.elf, self.target = elf, folder / "gdb"
        console = folder / "console"
        command = shlex.split(
            re.search(r"^ +(qemu-system-i386(?:.*\\\n)*.*)", SHEET.read_text(), re.M)[1].replace(
                "\\\n", " "
            )
        )  # type: ignore[index]
        changed = {
            "-serial": f"file:{console}",
            "-gdb": f"unix:{self.target},server=on,wait=off",
            "-kernel": str(elf),
        }
        for option, value in changed.items():
            command[command.index(option) + 1] = value
        self.qemu = subprocess.Popen([*command, "-monitor", "none"])
        deadline = time.monotonic() + 60
        while not console.exists() or "lab32: ready" not in console.read_text():
            assert self.qemu.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)

    def says(self, command: str) -> str:
        """What a person in GDB sees."""
        run = subprocess.run(
            [
                "gdb",
                "-nx",
                "-q",
                "-batch",
                "-x",
                ptmap_script(),
                self.elf,
                "-ex",
                f"target remote {self.target}",
                "-ex",
                "echo ====\\n",
                "-ex",
                command,
                "-ex",
                "disconnect",
            ],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=True,
        )
        return run.stdout.partition("====\n")[2]

    def close(self) -> None:
        self.qemu.kill()
        self.qemu.wait()


@pytest.fixture(scope="module")
def labs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Lab]]:
    out = tmp_path_factory.mktemp("elf")
    subprocess.run(
        ["make", "-sC", ROOT / "examples/lab32", f"OUT={out}", "one", "broken"], check=True
    )
    labs: dict[str, Lab] = {}
    try:
        for name, image in IMAGES.items():
            labs[name] = Lab(out / image, tmp_path_factory.mktemp(name))
        yield labs
    finally:
        for lab in labs.values():
            lab.close()


def filled(labs: dict[str, Lab], text: str) -> str:
    """The sheet, with what ptmap says to each command in it."""

    def answered(block: re.Match[str]) -> str:
        answers = "".join(
            f"(gdb) {command}\n{labs[block[1]].says(command)}"
            for command in _COMMAND.findall(block[2])
        )
        return f"```{block[1]}\n{answers}```"

    return _BLOCK.sub(answered, text)


def test_lab_sheet(labs: dict[str, Lab]) -> None:
    """Each answer in it is what is printed."""
    text = SHEET.read_text()
    commands = [
        command for block in _BLOCK.finditer(text) for command in _COMMAND.findall(block[2])
    ]
    assert len(commands) >= 10 and {block[1] for block in _BLOCK.finditer(text)} == set(IMAGES)
    assert filled(labs, text) == text


def test_what_the_sheet_says_of_them(labs: dict[str, Lab]) -> None:
    """Its prose: the numbers under the pictures that differ, the error codes, and that a part of
    the rules does not hold."""
    text = SHEET.read_text()
    good, broken = labs["lab32"].says("ptmap"), labs["lab32-broken"].says("ptmap")
    numbers = [
        [
            int(n)
            for n in re.findall(
                r"\b\d+\b", said.partition("cells")[0][-4:] + said.partition("cells")[2]
            )
        ]
        for said in (good, broken)
    ]
    differing = [pair for pair in zip(*numbers) if pair[0] != pair[1]]
    assert "two numbers under it are not" in text and len(differing) == 2, differing
    assert "error code 7" in text and "user    write #PF 0x7" in labs["lab32"].says("pte 0x8048000")
    assert 0x08048000 >> 22 == 32 and 0x08048000 >> 12 & 1023 == 72
    assert "#PF 0x3" in labs["lab32"].says("pte lab_wait")
    assert "#PF 0x3" not in labs["lab32-broken"].says("pte lab_wait")


def grade(tmp_path: Path, *arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    tmp_path.joinpath("tmp").mkdir(exist_ok=True)
    run = subprocess.run(
        [ROOT / "examples/grade.sh", *arguments],
        cwd=cwd,
        env=os.environ | {"TMPDIR": str(tmp_path / "tmp")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert not list((tmp_path / "tmp").iterdir())
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert str(tmp_path / "tmp") not in process.read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            pass
    return run


def test_grades(tmp_path: Path) -> None:
    """0 for the good kernel, 1 for the broken one, and the rules that it breaks."""
    good = grade(tmp_path)
    assert good.returncode == 0, good.stderr
    assert good.stdout.splitlines()[-1] == "23 rules: 23 ok; the map is complete"
    broken = grade(tmp_path, "--broken")
    assert broken.returncode == 1, broken.stderr
    failed = re.findall(r"^FAILED +\d+  (.*)", broken.stdout, re.M)
    assert failed == [
        "range 0xb7f37000 0xb7f38000 unmapped",
        "sections",
        "only supervisor in 0xc0000000 0xffffe000",
        "range 0xc0100000 0xc0200000 read-only",
        "pa $cr3 supervisor",
    ]
    assert "5 of 23 rules failed: lines 15, 20, 21, 22, 29" in broken.stderr


def test_grades_as_tap(tmp_path: Path) -> None:
    for arguments, status in (
        (("--tap",), 0),
        (("--tap", "--broken"), 1),
        (("--broken", "--tap"), 1),
    ):
        run = grade(tmp_path, *arguments)
        assert run.returncode == status
        prove = subprocess.run(
            ["prove", "-e", "cat", "/dev/stdin"], input=run.stdout, text=True, capture_output=True
        )
        assert (prove.returncode != 0) == bool(status), prove.stdout
        assert ("Failed 5/23 subtests" in prove.stdout) == bool(status)


def test_grades_what_is_handed_in(tmp_path: Path, labs: dict[str, Lab]) -> None:
    """A kernel and rules of one's own, by their names from where one is."""
    (tmp_path / "hand in").mkdir()
    kernel = tmp_path / "hand in" / "a kernel.elf"
    kernel.write_bytes(labs["lab32-broken"].elf.read_bytes())
    (tmp_path / "hand in" / "rules").write_text("null page unmapped\n")
    run = grade(tmp_path, "a kernel.elf", "rules", cwd=tmp_path / "hand in")
    assert run.returncode == 0 and "1 rule: 1 ok" in run.stdout, run.stderr
    assert grade(tmp_path, "a kernel.elf", cwd=tmp_path / "hand in").returncode == 1
    (tmp_path / "hand in" / "rules").write_text("null page\n")
    assert grade(tmp_path, "a kernel.elf", "rules", cwd=tmp_path / "hand in").returncode == 2
    kernel.write_text("no kernel")
    run = grade(tmp_path, str(kernel))
    assert run.returncode == 2 and "does not come to" in run.stderr
    for wrong in (("--what",), ("a", "b", "c"), ("--broken", "a"), ("--tap", "--what")):
        run = grade(tmp_path, *wrong)
        assert run.returncode == 2 and run.stderr.startswith("grade.sh: does the address"), run
        assert "set -" not in run.stderr and not run.stdout
