"""Labels of Linux's parts: for each guest those that must be there, where the kernel itself says
they are, and none that is wrong."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Iterator

import pytest

import layout
from gdbsession import GdbSession, ptmap_script
from guests import GUESTS, boot
from kernels import KERNELS, fetch
from layout import GIB, MIB, Part
from qemu import Qemu

pytestmark = pytest.mark.linux

WIDE = ("direct map", "vmalloc", "vmemmap", "cpu_entry_area", "kernel text", "kernel rodata",
        "kernel data", "modules", "fixmap", "vsyscall", "espfix")  # fmt: skip
NARROW = ("lowmem", "vmalloc", "cpu_entry_area", "fixmap")
PAE = (*NARROW, "kernel text", "kernel rodata", "pkmap", "LDT remap")
NO_NX = (*NARROW, "kernel text and rodata", "pkmap", "LDT remap")  # rights don't tell them apart

# guest: labels that must be there
REQUIRED = {
    "686": NO_NX,
    "686-2g": NO_NX,
    "686-pae": PAE,
    "686-pae-pti": PAE,
    "686-pae-nopti": PAE,
    "4-level": WIDE,
    "4-level-pti": WIDE,
    "5-level": WIDE,
    "max": WIDE,
    "compat": WIDE,
    "smp": WIDE,
    "kgdb-64": WIDE,
    "kgdb-64-5level": WIDE,
    "kgdb-64-nokaslr": WIDE,
    "kgdb-pae": PAE,
}
# (guest, where, more of the kernel's command line)
STOPS = [(name, "ready", "") for name in REQUIRED] + [
    *((name, "kernel", "") for name in ("4-level-pti", "686-pae-pti", "kgdb-64", "kgdb-pae")),
    *((name, "ready", "nokaslr") for name in ("686", "686-pae", "4-level-pti", "5-level", "max")),
]

# What the kernel's dump calls them.
MARKERS = {
    "Low Kernel Mapping": "direct map", "vmalloc() Area": "vmalloc", "Vmemmap": "vmemmap",
    "CPU entry Area": "cpu_entry_area", "ESPfix Area": "espfix", "Modules": "modules",
    "Fixmap Area": "fixmap", "Fixmap area": "fixmap",
    "Kernel Mapping": "lowmem", "Persistent kmap() Area": "pkmap", "LDT remap": "LDT remap",
    "CPU entry area": "cpu_entry_area",
}  # fmt: skip


@dataclass
class Stopped:
    name: str
    guest: Qemu
    gdb: GdbSession
    truth: dict[str, Part]
    markers: dict[str, int]

    @property
    def is_wide(self) -> bool:
        return GUESTS[self.name].kernel in ("amd64", "kgdb-64")

    @property
    def half(self) -> str:
        """The option that selects the root with the kernel in it."""
        has_kpti = "kpti" in json.loads(self.gdb.run("ptmap -json - 0 0x1000"))
        return "-half kernel" if has_kpti else ""

    def map(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.gdb.run(f"ptmap -json - {self.half}"))
        return document


@pytest.fixture(scope="module", params=STOPS, ids="-".join)
def stopped(request: pytest.FixtureRequest) -> Iterator[Stopped]:
    name, where, more = request.param
    dump = " dump=1" if KERNELS[GUESTS[name].kernel].built else ""
    append = f"symbols=1 kcore=1{dump} {more}"
    with boot(name, paused_at=where, append=append) as guest:
        with GdbSession(script=ptmap_script()) as gdb:
            gdb.attach(guest.gdb_target)
            truth = layout.parts(guest.console(), guest.hmp("info registers"))
            yield Stopped(name, guest, gdb, truth, layout.markers(guest.console()))


def regions(document: dict[str, Any]) -> dict[str, Part]:
    """Each label's whole extent; lowmem and fixmap come in pieces."""
    found: dict[str, Part] = {}
    for region in document["regions"]:
        start, size = int(region["va"], 16), int(region["size"], 16)
        known = found.get(region["label"], Part(start, start + size))
        found[region["label"]] = Part(min(known.start, start), max(known.end, start + size))
    return found


def check(stopped: Stopped, document: dict[str, Any]) -> int:
    """Every label against what the kernel says; how many were compared."""
    found, compared = regions(document), 0
    sources = {r["label"]: r["label_source"] for r in document["regions"]}
    for name, truth in stopped.truth.items():
        if name not in found:  # in lowmem only symbols tell the data, without NX the rodata too
            assert not stopped.is_wide
            assert name == "kernel data" or "kernel text and rodata" in found
            if name == "kernel text":
                assert found["kernel text and rodata"].start == truth.start
            continue
        ours = found[name]
        compared += 1
        assert ours.start == truth.start or name == "vmemmap", (name, ours, truth)
        if name == "vmemmap":  # a hole in RAM may leave its first pages out
            assert ours.start <= truth.start and ours.start // GIB == truth.start // GIB
        if name in ("vmalloc", "modules"):
            assert abs(ours.end - truth.end) <= 1, (name, ours, truth)
        elif name == "direct map":  # mapped to the end of RAM, reserved pages too
            assert truth.end <= ours.end < truth.end + 2 * MIB
        elif name == "lowmem":
            assert ours.end == truth.end
        elif sources[name] == "documented":  # room for more than there is
            assert truth.end <= ours.end
        elif name != "cpu_entry_area":  # to the end of a page; deduced, of a large page
            whole = 4096 if sources[name] == "read" else 2 * MIB
            assert truth.end <= ours.end <= -(-truth.end // whole) * whole
    for marker, name in MARKERS.items():
        if marker in stopped.markers and name in found:
            compared += 1
            # The line behind a marker begins there, or in the hole that the marker lies in, or
            # behind a hole that begins there.
            line = stopped.markers[marker]
            if name == "fixmap":  # said to begin at its first page
                assert line <= found[name].start
                continue
            assert line < found[name].start + 2 * MIB, (marker, found[name])
            later = [va for va in stopped.markers.values() if va > line]
            assert not later or found[name].start < min(later)
    return compared


def test_labels_are_where_the_kernel_says(stopped: Stopped) -> None:
    document = stopped.map()
    assert set(REQUIRED[stopped.name]) <= set(regions(document))
    assert check(stopped, document) >= 3
    sources = {r["label"]: r["label_source"] for r in document["regions"]}
    assert set(sources.values()) <= {"deduced", "documented"}  # no symbols are loaded


def test_ranges_carry_them(stopped: Stopped) -> None:
    """Every range in a part has its label; what lies in none has none (but the stack)."""
    document = stopped.map()
    pieces = [
        (int(r["va"], 16), int(r["va"], 16) + int(r["size"], 16), r["label"])
        for r in document["regions"]
    ]
    seen = set()
    for row in document["ranges"]:
        start, end = int(row["va"], 16), int(row["va"], 16) + int(row["size"], 16)
        names = [name for a, b, name in pieces if a < end and start < b]
        names = [n for at, n in enumerate(names) if at == 0 or names[at - 1] != n]
        if row["user"] and not names:
            assert row.get("label", "stack") == "stack"
            continue
        assert row.get("label", "") == ", ".join(names)
        inside = sum(min(b, end) - max(a, start) for a, b, _ in pieces if a < end and start < b)
        assert row.get("label_partial", False) == (0 < inside < end - start)
        seen.update(names)
    always = {"direct map", "vmalloc", "vmemmap"} if stopped.is_wide else {"lowmem", "vmalloc"}
    assert seen >= always | {"cpu_entry_area", "fixmap"}


def test_the_stack(stopped: Stopped) -> None:
    rows = stopped.guest.console().splitlines()
    stack = int(next(row for row in rows if row.startswith("init: stack")).split()[2], 16)
    labelled = [r for r in stopped.map()["ranges"] if r.get("label") == "stack"]
    pieces = [(int(r["va"], 16), int(r["va"], 16) + int(r["size"], 16)) for r in labelled]
    start, end = pieces[0][0], pieces[-1][1]
    # In kernel mode too, where the stack pointer is another one; and over the pages of it that
    # were never touched, one of which init sees to.
    for address in (stack, stack - 6 * 0x1000):
        assert any(a <= address < b for a, b in pieces)
    assert 2 <= len(pieces) <= 3 and end - start < 0x10000
    assert "stack ~" in stopped.gdb.run("ptmap")
    # Split, or a window without it, it is the same ranges or none.
    for options in ("-phys", f"-phys {start - 0x10000:#x} {end:#x}", f"0 {start:#x}"):
        for r in json.loads(stopped.gdb.run(f"ptmap -json - {options}"))["ranges"]:
            is_inside = start <= int(r["va"], 16) < end
            assert (r.get("label") == "stack") == is_inside


def test_the_overview_names_them(stopped: Stopped) -> None:
    text = stopped.gdb.run(f"ptmap {stopped.half}")
    assert all(len(line) <= 80 for line in text.splitlines())
    if stopped.is_wide:
        assert len(text.splitlines()) <= 23
    document = stopped.map()
    for name in ("direct map", "kernel text") if stopped.is_wide else ("lowmem", "vmalloc"):
        row = next(line for line in text.splitlines() if name in line)
        assert f"{regions(document)[name].start:#x}" in row
    if stopped.is_wide:
        return
    split = {"kgdb-pae": ("2G/2G", 0x80000000)}.get(stopped.name, ("3G/1G", 0xC0000000))
    assert f"split {split[0]}" in text and document["split"] == hex(split[1])
    lowmem = stopped.truth.get("lowmem")
    if lowmem:
        row = next(line for line in text.splitlines() if "lowmem" in line)
        assert row.split()[1] == f"{round((lowmem.end - lowmem.start) / MIB)}M"


@pytest.mark.parametrize(
    "stopped", [s for s in STOPS if s[0].startswith("kgdb")], indirect=True, ids="-".join
)
def test_with_symbols_they_are_read(stopped: Stopped) -> None:
    """At the same places as without them."""
    before = regions(stopped.map())
    vmlinux = fetch(GUESTS[stopped.name].kernel).with_name("vmlinux")
    stopped.gdb.run(f"ptmap kaslr {vmlinux}")
    try:
        document = stopped.map()
        assert check(stopped, document) >= 3
        sources = {r["label"]: r["label_source"] for r in document["regions"]}
        assert sources["kernel text"] == sources["kernel data"] == "read"
        if stopped.is_wide:
            assert {sources[n] for n in ("direct map", "vmalloc", "vmemmap")} == {"read"}
        after = regions(document)
        for name in ("direct map", "vmalloc", "vmemmap", "lowmem", "kernel text", "kernel rodata"):
            assert before.get(name, Part(0, 0)).start == after.get(name, Part(0, 0)).start
        labels = {r.get("label") for r in document["ranges"]}
        assert {"[stack]", "/init"} <= labels
    finally:
        stopped.gdb.run("symbol-file")


@pytest.mark.parametrize("name", ["4-level-pti", "5-level"])
def test_vsyscall(name: str) -> None:
    """Emulated it is a user page of the upper part, in both roots."""
    with boot(name, append="vsyscall=emulate") as guest, GdbSession(script=ptmap_script()) as gdb:
        gdb.attach(guest.gdb_target)
        for option in ("-half user", "-half kernel") if "pti" in name else ("",):
            rows = json.loads(gdb.run(f"ptmap -json - {option}"))["ranges"]
            row = next(r for r in rows if int(r["va"], 16) == 0xFFFFFFFFFF600000)
            assert (row["label"], row["label_source"]) == ("vsyscall", "documented")
            assert (row["size"], row["user"], row["write"]) == ("0x1000", True, False)
            assert "vsyscall" in gdb.run(f"ptmap {option}")
