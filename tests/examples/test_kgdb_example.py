"""examples/kgdb.sh as a person runs it."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "examples/kgdb.sh", *arguments], env=os.environ | {"TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900,
    )  # fmt: skip


@pytest.mark.linux
@pytest.mark.parametrize("option, mode", [("", "4-level"), ("--pae", "pae")])
def test_all_three_are_shown(tmp_path: Path, option: str, mode: str) -> None:
    done = run(tmp_path, *filter(None, [option]))
    assert done.returncode == 0, done.stderr
    _, kaslr, pte, vdso, ptmap, memory = re.split(r"^\(gdb\) ", done.stdout, flags=re.M)
    assert "symbols     loaded from vmlinux" in kaslr
    assert f"{mode} paging, root 0x" in pte
    assert "pid 1 (init), the current task of CPU 0" in pte
    for answer in ("supervisor read exec", "user read write", "PROT_NONE", "not present"):
        assert answer in pte
    assert re.search(r"linux-(vdso|gate)\.so\.1", vdso) and "__vdso_clock_gettime" in vdso
    assert "; complete" in ptmap
    assert "the kernel's direct map at 0x" in memory
    assert not list(tmp_path.iterdir())
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert str(tmp_path) not in process.read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            pass


def test_usage(tmp_path: Path) -> None:
    done = run(tmp_path, "--arm")
    assert done.returncode == 2 and "--pae" in done.stderr
