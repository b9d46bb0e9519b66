"""lab64: every row of its layout, with 4 and 5 levels, with and without 1 GiB pages."""

from __future__ import annotations

import ctypes
import json
import mmap
import subprocess
from pathlib import Path
from typing import Any, Iterator

import pytest

import compare
import judges
import naive
from gdbsession import GdbSession, ptmap_script
from qemu import Qemu

ROOT = Path(__file__).resolve().parents[2]
CPUS = ("qemu64", "qemu64,+pdpe1gb", "max,-la57", "max")
LEVEL_OF_SIZE = {1 << 12: 1, 1 << 21: 2, 1 << 30: 3, 1 << 39: 4, 1 << 48: 5}
PAGES, ABSENT, RESERVED, OUTSIDE, SHARED, RECURSIVE = range(6)  # kernel.c's enum kind


@pytest.fixture(scope="module")
def elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("lab64")
    subprocess.run(["make", "-sC", ROOT / "examples/lab64", f"OUT={out}"], check=True)
    return out / "lab64.elf"


@pytest.fixture(scope="module", params=CPUS)
def lab(request: pytest.FixtureRequest, elf: Path) -> Iterator[Qemu]:
    arguments = ["-kernel", f"{elf}32", "-cpu", request.param]
    with Qemu(arguments, paused=False, ram_file=True) as lab:
        lab.wait_line("lab64: ready")
        lab.qmp("stop")
        yield lab


@pytest.fixture(scope="module")
def gdb(elf: Path, lab: Qemu) -> Iterator[GdbSession]:
    with GdbSession(script=ptmap_script()) as gdb:
        gdb.run(f"file {elf}")
        gdb.attach(lab.gdb_target)
        yield gdb


@pytest.fixture(scope="module")
def layout(gdb: GdbSession) -> list[dict[str, Any]]:
    """The rows that apply to this CPU."""
    rows = gdb.python(
        """
rows = gdb.parse_and_eval("layout")
names = ("va", "size", "count", "pa", "kind", "levels", "like")
result = []
for i in range(rows.type.range()[1] + 1):
    row = {name: int(rows[i][name]) for name in names}
    row["name"] = rows[i]["name"].string()
    row["bits"] = [int(rows[i]["bits"][level]) for level in range(6)]
    result.append(row)
"""
    )
    levels, large = gdb.eval("lab_levels"), gdb.eval("lab_pages_1g")
    return [
        row
        for row in rows
        if row["levels"] in (0, levels) and (large or row["kind"] != PAGES or row["size"] < 1 << 30)
    ]


def grid(text: str) -> list[str]:
    """The grid's rows: 64 cells each, without the addresses."""
    return [line[19:] for line in text.splitlines() if line.startswith("0x") and len(line) == 83]


def explain(gdb: GdbSession, addresses: list[int]) -> list[dict[str, Any]]:
    words = " ".join(hex(va) for va in addresses)
    return json.loads(gdb.run(f"pte -json - {words}"))["addresses"]


def test_every_row(gdb: GdbSession, layout: list[dict[str, Any]]) -> None:
    levels = gdb.eval("lab_levels")
    kinds = set()
    for row in layout:
        kinds.add(row["kind"])
        level = LEVEL_OF_SIZE[row["size"]]
        entries = explain(gdb, [row["va"] + i * row["size"] for i in range(row["count"])])
        for i, one in enumerate(entries):
            where = f"{row['name']} [{i}]"
            steps = {step["level"]: step for step in one["steps"]}
            assert level in steps, where
            if row["kind"] == PAGES:
                path = row["bits"][level : levels + 1]
                assert one["outcome"] == "mapped", where
                assert int(one["pa"], 16) == row["pa"] + i * row["size"], where
                assert one["level"] == level, where
                assert one["rights"] == {
                    "user": all(bits & naive.US for bits in path),
                    "write": all(bits & naive.RW for bits in path),
                    "exec": not any(bits & naive.XD for bits in path),
                    "global": bool(path[0] & naive.G),
                }, where
                pat = path[0] >> (7 if level == 1 else 12) & 1
                slot = pat << 2 | path[0] >> 3 & 3
                assert one["cache_slot"] == slot, where
            elif row["kind"] == ABSENT:
                assert (one["outcome"], one["level"]) == ("not-present", level), where
            elif row["kind"] == RESERVED:
                assert (one["outcome"], one["level"]) == ("reserved-bit", level), where
                assert one["access"]["user"]["write"]["error_code"] == "0xf", where
            elif row["kind"] == OUTSIDE:
                assert (one["outcome"], one["level"]) == ("unreadable", level - 1), where
                assert one["why"] == "not RAM", where
            elif row["kind"] == SHARED:
                like = {step["level"]: step for step in explain(gdb, [row["like"]])[0]["steps"]}
                assert steps[level]["target"] == like[level]["target"], where
            elif row["kind"] == RECURSIVE:
                assert steps[level]["target"] == steps[levels]["table"], where
    assert kinds == {PAGES, ABSENT, RESERVED, OUTSIDE, SHARED, RECURSIVE}


def test_vdso(gdb: GdbSession, lab: Qemu, elf: Path, layout: list[dict[str, Any]]) -> None:
    """The process sees the ELF file, padded with zeros, and before it what its functions read;
    they work, here as they would there."""
    vvar, image = (next(row for row in layout if row["name"] == name) for name in ("vvar", "vDSO"))
    file = elf.with_name("lab64-vdso.so").read_bytes()
    assert image["va"] == vvar["va"] + vvar["count"] * 4096
    with open(lab.ram_path or "", "rb") as ram:
        pages = []
        for row in (vvar, image):
            ram.seek(row["pa"])
            pages.append(ram.read(row["count"] * 4096))
    assert pages[1] == file.ljust(len(pages[1]), b"\0") and len(pages[1]) - len(file) < 4096
    ready = gdb.eval("lab_vvar.ready")
    assert pages[0] == ready.to_bytes(8, "little").ljust(4096, b"\0") and ready > 0

    with mmap.mmap(-1, 2 * 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC) as here:
        here[:] = b"".join(pages)
        start = ctypes.c_char.from_buffer(here)
        base = ctypes.addressof(start) + 4096
        symbols = subprocess.run(
            ["nm", "-D", "--defined-only", elf.with_name("lab64-vdso.so")],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        at = {
            name.partition("@")[0]: base + int(value, 16)
            for value, kind, name in map(str.split, symbols.splitlines())
        }
        add = ctypes.CFUNCTYPE(*[ctypes.c_uint64] * 3)(at["__vdso_lab_add"])
        assert add(40, 2) == 42 and add((1 << 64) - 1, 2) == 1
        assert ctypes.CFUNCTYPE(ctypes.c_char_p)(at["__vdso_lab_name"])() == b"lab64"
        tick = ctypes.CFUNCTYPE(ctypes.c_uint64)(at["lab_tick"])
        first = tick()
        here[:8] = bytes(8)
        assert (tick() - first - ready) % (1 << 64) < 1 << 40  # it read the page
        del start
    assert at["lab_tick"] == at["__vdso_lab_tick"]


def test_map(gdb: GdbSession, lab: Qemu) -> None:
    """The whole map: naive walker without exceptions; QEMU's where they work."""
    ram = lab.ram_path.read_bytes()
    guest = f"lab64 {gdb.eval('lab_levels')}-level"
    cr4, efer = gdb.eval("$cr4"), gdb.eval("$efer")
    mode = naive.mode_of(cr4, efer)
    walk = naive.walk(
        lambda pa, length: ram[pa : pa + length] if pa + length <= len(ram) else None,
        gdb.eval("$cr3"),
        cr4,
        efer,
    )
    documents = {o: json.loads(gdb.run(f"ptmap {o} -json -")) for o in ("-phys", "-ranges")}
    reports = [
        compare.with_naive(documents["-phys"], walk, guest=guest),
        compare.with_naive(documents["-ranges"], walk, phys=False, guest=f"{guest}, merged"),
    ]
    regions = judges.parse_mtree(lab.hmp("info mtree -f"))
    exceptions = compare.exceptions_by(walk, regions)
    subject = compare.from_json(documents["-phys"])
    if mode == "4-level":
        ranges = judges.parse_info_mem(lab.hmp("info mem"), mode)
        reports.append(compare.with_mem(subject, ranges, exceptions=exceptions, guest=guest))
    pages = judges.parse_info_tlb(lab.hmp("info tlb"), mode, lambda va: True)
    reports.append(
        compare.with_tlb(subject, pages, mode=mode, pge=True, exceptions=exceptions, guest=guest)
    )
    for report in reports:
        report.check()
        report.record()
    assert not documents["-phys"]["complete"]
    assert documents["-phys"]["unreadable"] and documents["-phys"]["malformed"]


def test_grid_says_what_is_missing(gdb: GdbSession) -> None:
    text = gdb.run("ptmap")
    assert {"!", "?"} <= set("".join(grid(gdb.run("ptmap -at 0 -level PML4"))))
    assert "INCOMPLETE" in text and "not RAM" in text and "reserved bit" in text


def test_rows_are_exact(gdb: GdbSession) -> None:
    """Eight rows of an address and 64 cells, in batch mode; the upper part is sign-extended."""
    levels = gdb.eval("lab_levels")
    bits = 57 if levels == 5 else 48
    lines = [row for row in gdb.run(f"ptmap -at 0 -level {levels}").splitlines() if len(row) == 83]
    assert len(lines) == 8
    for i, line in enumerate(lines):
        address = (i << (bits - 3)) + (0 if i < 4 else (1 << 64) - (1 << bits))
        assert line[:19] == f"0x{address:016x} " and len(line) == 19 + 64


def test_overview(gdb: GdbSession) -> None:
    """A space that is not Linux's: stretches in one screen, the ELF's sections as labels."""
    text = gdb.run("ptmap")
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert ".text =" in text and "Linux" not in text and "direct map" not in text
    parts = [line for line in lines if " part: " in line]
    assert [line.split()[0] for line in parts] == ["lower", "upper"]
    used = sum(
        1
        for row in grid(gdb.run(f"ptmap -at 0 -level {gdb.eval('lab_levels')}"))
        for cell in row
        if cell not in ".?"
    )
    assert sum(int(line.split()[2]) for line in parts) == used


def test_zoom_goes_down_and_back(gdb: GdbSession) -> None:
    """From the overview to a page table by what each view says, and back."""
    levels = ["PT", "PD", "PDPT", "PML4", "PML5"][: gdb.eval("lab_levels")]
    assert "deeper: ptmap -at VA" in gdb.run("ptmap")
    for at, level in enumerate(levels):
        text = gdb.run(f"ptmap -at $pc -level {level}")
        assert f"{level} at 0x" in text
        assert ("deeper:" in text) == (at > 0) and "back: ptmap" in text
        if at > 0:
            assert f"-level {levels[at - 1]}" in text


def test_overview_uses_the_screen_it_has(gdb: GdbSession) -> None:
    """More rows where it is taller, longer bars where it is wider."""

    def stretches(width: int, height: int) -> list[str]:
        # In batch mode GDB has no screen, whatever `set height` says.
        gdb.python(
            f"""
from ptmap.commands import map_view
from types import SimpleNamespace
map_view.gdb = SimpleNamespace(parameter=dict(width={width}, height={height}).get)
"""
        )
        try:
            lines = gdb.run("ptmap").splitlines()
        finally:
            gdb.python("from ptmap.commands import map_view; map_view.gdb = gdb")
        assert max(map(len, lines)) <= width
        return [line for line in lines if line[6:8] == "0x"]

    low, usual, wide = stretches(80, 16), stretches(80, 24), stretches(120, 24)
    assert usual == [line for line in gdb.run("ptmap").splitlines() if line[6:8] == "0x"]
    assert len(low) < len(usual) == len(wide)
    assert max(len(line) for line in wide) > 80


def test_texts_say_what_their_characters_are(gdb: GdbSession) -> None:
    """Without roles all is plain, and the characters are the same."""
    plain, spans = gdb.python(
        """
from ptmap.base.text import flat, spans
from ptmap.commands.map_view import MapView
from ptmap.context import selection
from ptmap.machine.sources import choose
choose.new_command()
view = MapView.of(selection.resolve({}), {"ranges": True}, [])
labels = view.known.core()
plain = ["begins\\n", view.made.ranges_text(labels)]
marked = ["begins\\n", view.made.ranges_text(labels, roles=True)]
assert {role for role, _ in spans(plain)} == {"plain"}
assert "".join(text for _, text in spans(plain)) == "".join(flat(plain))
result = ["".join(flat(marked)), list(spans(marked))]
"""
    )
    assert "".join(text for _, text in spans) == plain
    assert spans[:2] == [["plain", "begins\n"], ["heading", "start"]]
    assert {role for role, _ in spans} == {"plain", "heading", "label", "address", "rights"}
    assert all(text.startswith("0x") for role, text in spans if role == "address")
    assert all(len(text) == 5 for role, text in spans if role == "rights")
