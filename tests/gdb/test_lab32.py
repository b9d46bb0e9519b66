"""lab32: the classic picture, exactly, for each split; and every row of its layout."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Iterator

import pytest

import compare
import judges
import naive
from gdbsession import GdbSession, ptmap_script
from qemu import Qemu

ROOT = Path(__file__).resolve().parents[2]
PICTURES = {"3g": "seed-map.txt", "2g": "lab32-2g.txt", "1g": "lab32-1g.txt"}
CELL = 4 << 20


@pytest.fixture(scope="module", params=PICTURES)
def split(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def elf(split: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("lab32")
    subprocess.run(
        ["make", "-sC", ROOT / "examples/lab32", f"SPLIT={split.upper()}", f"OUT={out}"], check=True
    )
    return out / f"lab32-{split}.elf"


@pytest.fixture(scope="module")
def lab(elf: Path) -> Iterator[Qemu]:
    with Qemu(["-kernel", str(elf)], binary="qemu-system-i386", paused=False, ram_file=True) as lab:
        lab.wait_line("lab32: ready")
        lab.qmp("stop")
        yield lab


@pytest.fixture(scope="module")
def gdb(elf: Path, lab: Qemu) -> Iterator[GdbSession]:
    with GdbSession(script=ptmap_script()) as gdb:
        gdb.run(f"file {elf}")
        gdb.attach(lab.gdb_target)
        yield gdb


def rows(text: str) -> list[str]:
    """The lines of the grid."""
    return [line for line in text.splitlines() if line.startswith("0x")]


def picture(split: str) -> list[str]:
    return (ROOT / "tests/data" / PICTURES[split]).read_text().splitlines()


def test_seed_map_is_the_one_given() -> None:
    assert len(picture("3g")) == 16 and {len(row) for row in picture("3g")} == {64}
    assert picture("3g")[12] == "x" + 63 * "X"


def test_picture(gdb: GdbSession, split: str) -> None:
    expected = [f"0x{i << 28:08x} {row}" for i, row in enumerate(picture(split))]
    assert rows(gdb.run("ptmap")) == expected


def test_split(gdb: GdbSession, split: str) -> None:
    """Read from the tables, whatever the OS."""
    kernel = {"3g": 0xC0000000, "2g": 0x80000000, "1g": 0x40000000}[split]
    name = {"3g": "3G/1G", "2g": "2G/2G", "1g": "1G/3G"}[split]
    assert f"split {name}: the supervisor's part begins at {kernel:#x}" in gdb.run("ptmap")
    assert json.loads(gdb.run("ptmap -json -"))["split"] == hex(kernel)


def test_sections_of_the_elf_are_labels(gdb: GdbSession) -> None:
    """And none of Linux's: this is none."""
    ranges = json.loads(gdb.run("ptmap -json -"))["ranges"]
    labels = {r["label"]: r for r in ranges if "label" in r}
    assert {name for label in labels for name in label.split(", ")} == {".text", ".data", ".bss"}
    assert {r["label_source"] for r in labels.values()} <= {"read", "read, read"}
    text = next(r for r in ranges if r.get("label", "").startswith(".text"))
    pc = gdb.eval("(unsigned long)&lab_wait") & 0xFFFFFFFF
    assert int(text["va"], 16) <= pc < int(text["va"], 16) + int(text["size"], 16)
    assert "Linux" not in gdb.run("ptmap")


@pytest.mark.parametrize("split", ["3g"], indirect=True)
@pytest.mark.parametrize(
    "va, entry, letter",
    [
        (0x00000000, 0x00000083, "X"),  # a large page where nothing was
        (0xC0000000, 0x00000000, "."),  # the kernel's first 4 MiB gone
        (0xC0400000, 0x00400087, "*"),
        (0xC0400000, 0x00400085, "R"),
        (0xC0400000, 0x00600083, "!"),  # bit 21 is reserved in a large page
        (0x08000000, 0x7FFF0007, "?"),  # a table outside RAM
    ],
)
def test_one_pde_changes_one_cell(
    gdb: GdbSession, lab: Qemu, va: int, entry: int, letter: str
) -> None:
    before = rows(gdb.run("ptmap"))
    cr3 = gdb.eval("$cr3")
    where = cr3 + va // CELL * 4
    gdb.packet(b"Qqemu.PhyMemMode:1")
    old = gdb.packet(f"m{where:x},4".encode())
    assert gdb.packet(b"M%x,4:" % where + entry.to_bytes(4, "little").hex().encode()) == b"OK"
    gdb.packet(b"Qqemu.PhyMemMode:0")
    try:
        after = rows(gdb.run("ptmap"))
    finally:
        gdb.packet(b"Qqemu.PhyMemMode:1")
        gdb.packet(b"M%x,4:" % where + (old or b""))
        gdb.packet(b"Qqemu.PhyMemMode:0")
    changed = [
        (row, column)
        for row in range(16)
        for column in range(11, 75)
        if before[row][column] != after[row][column]
    ]
    assert changed == [(va >> 28, 11 + (va >> 22) % 64)]
    assert after[changed[0][0]][changed[0][1]] == letter
    assert rows(gdb.run("ptmap")) == before


def test_layout(gdb: GdbSession, lab: Qemu) -> None:
    """Every page of layout[] and no other, as naive ranges say."""
    layout = gdb.python(
        """
rows = gdb.parse_and_eval("layout")
names = ("va", "size", "count", "pa", "leaf", "pde")
result = [{name: int(rows[i][name]) for name in names} for i in range(rows.type.range()[1] + 1)]
"""
    )
    expected: dict[int, tuple[int, bool, bool]] = {}
    for row in layout:
        if not row["leaf"] & 1:
            continue
        upper = row["pde"] if row["size"] == 4096 else row["leaf"]
        user, write = (bool(row["leaf"] & upper & bit) for bit in (naive.US, naive.RW))
        for at in range(0, row["size"] * row["count"], 4096):
            expected[row["va"] + at] = (row["pa"] + at, user, write)
    found: dict[int, tuple[int, bool, bool]] = {}
    for r in json.loads(gdb.run("ptmap -phys -json -"))["ranges"]:
        va, pa = int(r["va"], 16), int(r["pa"], 16)
        for at in range(0, int(r["size"], 16), 4096):
            found[va + at] = (pa + at, r["user"], r["write"])
    assert len(found) > 0x10000
    assert found == expected


def test_against_judges(gdb: GdbSession, lab: Qemu, split: str) -> None:
    document = json.loads(gdb.run("ptmap -phys -json -"))
    subject = compare.from_json(document)
    ranges = judges.parse_info_mem(lab.hmp("info mem"), "32-bit")
    pages = judges.parse_info_tlb(lab.hmp("info tlb"), "32-bit", judges.mapped_in(ranges))
    ram = lab.ram_path.read_bytes()
    walk = naive.walk(
        lambda pa, length: ram[pa : pa + length] if pa + length <= len(ram) else None,
        gdb.eval("$cr3"),
        gdb.eval("$cr4"),
        gdb.eval("$efer"),
    )
    guest = f"lab32 {split}"
    for report in (
        compare.with_tlb(subject, pages, mode="32-bit", pge=True, guest=guest),
        compare.with_mem(subject, ranges, guest=guest),
        compare.with_naive(document, walk, guest=guest),
    ):
        report.check()
        report.record()


def test_zoom(gdb: GdbSession) -> None:
    text = gdb.run("ptmap -at lab_wait")
    assert "PT at 0x" in text and len(rows(text)) == 16
    assert rows(text)[4][11:] == 64 * "x"  # kernel text, from 1 MiB up
    assert "no PT translates" in gdb.run("ptmap -at 0")
    assert "maps a page of 4 MiB" in gdb.run("ptmap -at 0xf7c00000")


def test_pte(gdb: GdbSession) -> None:
    text = gdb.run("pte lab_wait 0xf7c00000 0x08048000 0")
    for words in (
        "4 MiB page",
        "user read exec",
        "no write: PTE 72 RW=0",
        "not present: the walk ends at the PDE",
    ):
        assert words in text
