"""A command scans each root's tables at most once and flattens them at most once, by the core's own
counters: exact numbers for every command and its main options.

A saved file costs nothing. An earlier map of `ptmap diff` is flattened for it, as its tables were
kept and not its ranges. Under KPTI the kernel's part is asked of the kernel root: two roots.
"""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Iterator

import pytest

from gdbsession import GdbFailure, GdbSession, ptmap_script
from guests import boot
from qemu import Qemu

ROOT = Path(__file__).resolve().parents[2]

# The command, then on lab64 and on Linux with KPTI in its user root: scans, flattenings. None:
# it is not asked there.
ROWS = (
    ("ptmap", (1, 1), (2, 2)),
    ("ptmap -json -", (1, 1), (2, 2)),
    ("ptmap -ranges", (1, 1), (2, 2)),
    ("ptmap -phys", (1, 1), (2, 2)),
    ("ptmap -filter write+exec", (1, 1), (2, 2)),
    ("ptmap -as user", (1, 1), (2, 2)),
    ("ptmap -all-cpus", (1, 1), (2, 2)),
    ("ptmap -cpu 0", (1, 1), (2, 2)),
    ("ptmap -root $cr3", (1, 1), (2, 2)),
    ("ptmap -half user", (0, 0), (2, 2)),
    ("ptmap -half kernel", None, (2, 2)),  # what the two roots share is of both
    ("ptmap -trampoline", None, (2, 2)),
    ("ptmap -at 0x7ffff7fc1000", (1, 1), (2, 2)),
    ("ptmap -at 0xffffffff80000000", (1, 1), (2, 2)),
    ("ptmap 0x400000 0x800000", (1, 1), (2, 2)),
    ("ptmap 0xffffffff80000000 0", (1, 1), (2, 2)),
    ("ptmap -half kernel 0xffffffff80000000 0", None, (1, 1)),
    # A window of the user's part and the kernel's part: two parts of one root.
    ("ptmap -half kernel 0x400000 0x800000", None, (2, 2)),
    # So is a part around the stack where the window has some of it and not all.
    ("ptmap $sp 0x7ffffffff000", None, (3, 3)),
    ("pte $pc", (0, 0), (0, 0)),
    ("pte $pc $sp 0", (0, 0), (0, 0)),
    ("pte -json - $pc", (0, 0), (0, 0)),
    ("pte -expect mapped $pc", (0, 0), (0, 0)),
    ("pte -half user $pc", None, (0, 0)),
    ("pte -watch $pc", (1, 0), (1, 1)),
    ("delete", (0, 0), (0, 0)),
    ("ptmap find 0x1000000", (1, 0), (2, 2)),
    ("ptmap find -aliases", (1, 1), (2, 2)),
    ("ptmap find -half user 0x1000000", None, (2, 2)),
    ("ptmap save {}", (1, 1), (2, 2)),
    ("ptmap save -half kernel {}-kernel", None, (1, 1)),
    ("ptmap diff {}", (1, 1), (2, 2)),
    ("ptmap diff", (1, 2), (2, 3)),
    ("ptmap diff {} {}", (0, 0), (0, 0)),
    ("ptmap diff half=kernel half=user", None, (2, 2)),
    ("ptmap check no write+exec", (1, 1), (1, 1)),
    ("ptmap check null page unmapped", (1, 1), (1, 1)),
    ("ptmap check $pc mapped", (0, 0), (0, 0)),
    ("ptmap check only user,supervisor in 0x400000 0x800000", (1, 1), (1, 1)),
    ("ptmap check count ranges > 1", (1, 1), (1, 1)),
    ("ptmap check vdso present", (1, 0), (2, 2)),
    ("ptmap check pa 0x1000000 mapped", (1, 1), (1, 1)),
    ("vdso", (1, 0), (2, 2)),
    ("vdso -json -", (1, 0), (2, 2)),
    ("vdso -half kernel", None, (1, 1)),
    ("ptmap regs", (0, 0), (0, 0)),
    ("ptmap kaslr", (0, 0), (1, 1)),
    ("xp/4gx 0x1000", (0, 0), (0, 0)),
    ("print $ptmap_pa($pc)", (0, 0), (0, 0)),
    ("print $ptmap_entry($pc)", (0, 0), (0, 0)),
    ("show ptmap memory", (0, 0), (0, 0)),
    # Each call of a script is a question of its own.
    ("python ptmap.space().map()", (1, 1), (1, 1)),
    ("python ptmap.space().pages()", (1, 1), (1, 1)),
    ("python ptmap.space().tables()", (1, 0), (1, 0)),
    ("python s = ptmap.space(); s.map(); s.map()", (2, 2), (2, 2)),
)

_COUNTS = """
from ptmap import _core
counts = _core.counts()
result = [counts.scans, counts.flattenings]
"""


def counted(gdb: GdbSession, command: str) -> tuple[int, int]:
    """What a command costs, whether a rule of it holds or not."""
    before = gdb.python(_COUNTS)
    with suppress(GdbFailure):
        gdb.run(command)
    after = gdb.python(_COUNTS)
    return after[0] - before[0], after[1] - before[1]


def costs(gdb: GdbSession, folder: Path, which: int) -> Iterator[tuple[str, object, object]]:
    """Command, what it costs, what it may cost: of those that do not cost that."""
    gdb.run("python import ptmap")
    for row in ROWS:
        if row[which] is None:
            continue
        found = counted(gdb, row[0].replace("{}", str(folder / "saved.ptmap")))
        if found != row[which]:
            yield row[0], found, row[which]


def test_on_lab64(tmp_path: Path) -> None:
    subprocess.run(["make", "-sC", ROOT / "examples/lab64", f"OUT={tmp_path}"], check=True)
    kernel = str(tmp_path / "lab64.elf32")
    with (
        Qemu(["-kernel", kernel, "-cpu", "qemu64"], paused=False, ram_file=True) as lab,
        GdbSession(script=ptmap_script()) as gdb,
    ):
        lab.wait_line("lab64: ready")
        lab.qmp("stop")
        gdb.attach(lab.gdb_target)
        assert list(costs(gdb, tmp_path, 1)) == []


@pytest.mark.linux("4-level-pti")
def test_on_linux(tmp_path: Path) -> None:
    with boot("4-level-pti") as guest, GdbSession(script=ptmap_script()) as gdb:
        gdb.attach(guest.gdb_target)
        gdb.run("pte $pc")  # looks for a Linux, once a connection
        assert list(costs(gdb, tmp_path, 2)) == []
