"""examples/quickstart.sh as a person runs it: what it prints, its status, what it leaves behind."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import partial
from pathlib import Path

import pytest

from example_script import check_nothing_left, run
from kernels import fetch

ROOT = Path(__file__).resolve().parents[2]
quickstart = partial(run, "quickstart.sh")


def test_labs(tmp_path: Path) -> None:
    """lab32's map and addresses, then lab64's with its vDSO: all three commands."""
    done = quickstart(tmp_path)
    assert done.returncode == 0, done.stderr
    narrow, wide = done.stdout.split("Booting lab64")
    picture = (ROOT / "tests/data/seed-map.txt").read_text().splitlines()
    assert [line[11:] for line in narrow.splitlines() if len(line) == 11 + 64] == picture
    assert "32-bit paging: PD, PT" in narrow  # ptmap regs
    for answer in (
        "user read exec",
        "user read write exec",
        "4 MiB page",
        "UC (PAT slot 3)",
        "not present: the walk ends at the PDE",
    ):
        assert answer in narrow
    overview, pte, vdso = re.split(r"^\(gdb\) (?:pte|vdso)", wide, flags=re.MULTILINE)
    assert "(gdb) ptmap\n4-level paging, root 0x" in overview and "121T 0x00007ffff7dc0" in overview
    assert "user read exec" in pte and "4 KiB page" in pte
    for answer in ("lab64-vdso.so.1", "7ffff7fc1000", "__vdso_lab_tick", "LAB_1.0"):
        assert answer in vdso
    check_nothing_left(tmp_path)


def test_failure_is_a_status(tmp_path: Path) -> None:
    """GDB ends with an error in the middle of the session: so does the script."""
    wrapper = tmp_path / "gdb"
    wrapper.write_text(
        '#!/bin/sh\ncase "$*" in *commands*) exec gdb -nx -batch -ex "ptmap" ;; esac\n'
        'exec gdb "$@"\n'
    )
    wrapper.chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    try:
        done = quickstart(work, PTMAP_GDB=str(wrapper))
    finally:  # the build is for this GDB again
        subprocess.run(
            ["cmake", "--preset", "release", f"-DPTMAP_GDB={shutil.which('gdb')}"],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
    assert done.returncode != 0
    check_nothing_left(work)


@pytest.mark.linux("686", "4-level")
@pytest.mark.parametrize("option, mode", [("--linux", "32-bit"), ("--linux64", "4-level")])
def test_linux(tmp_path: Path, option: str, mode: str) -> None:
    fetch("amd64" if mode == "4-level" else "686")
    done = quickstart(tmp_path, option)
    assert done.returncode == 0, done.stderr
    assert f"{mode} paging, root 0x" in done.stdout
    for answer in ("rights   user", "rights   supervisor", "not present: the walk ends"):
        assert answer in done.stdout
    vdso = done.stdout.partition("\n(gdb) vdso")[2]
    assert re.search(r"linux-(vdso|gate)\.so\.1", vdso) and "__vdso_clock_gettime" in vdso
    check_nothing_left(tmp_path)


def test_usage(tmp_path: Path) -> None:
    done = quickstart(tmp_path, "--windows")
    assert done.returncode == 2 and "--linux64" in done.stderr
