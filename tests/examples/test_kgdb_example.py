"""examples/kgdb.sh as a person runs it."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest

from example_script import check_nothing_left, run
from kernels import fetch

kgdb = partial(run, "kgdb.sh")


@pytest.mark.linux("kgdb-64", "kgdb-pae")
@pytest.mark.parametrize("option, mode", [("", "4-level"), ("--pae", "pae")])
def test_all_three_are_shown(tmp_path: Path, option: str, mode: str) -> None:
    fetch("kgdb-pae" if option else "kgdb-64")
    done = kgdb(tmp_path, *filter(None, [option]))
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
    check_nothing_left(tmp_path)


def test_usage(tmp_path: Path) -> None:
    done = kgdb(tmp_path, "--arm")
    assert done.returncode == 2 and "--pae" in done.stderr
