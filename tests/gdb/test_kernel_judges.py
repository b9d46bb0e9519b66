"""Linux's own words on its tables: its dump of every page, each user frame by pagemap, each right
by /proc/PID/maps; in user and in kernel mode, for both roots of KPTI."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Iterator

import pytest

import compare
import kernel_dump
import proc_files
from gdbsession import GdbSession, ptmap_script
from guests import GUESTS, Where, boot
from kernels import KERNELS
from qemu import Qemu

pytestmark = pytest.mark.linux

BUILT = [name for name, guest in GUESTS.items() if KERNELS[guest.kernel].built]
MODES: tuple[Where, ...] = ("ready", "kernel")
STOPS = [(name, where) for name in BUILT for where in MODES]
# Debian's kernels have pagemap, but no dump.
DEBIAN = [
    "686",
    "686-pae-pti",
    "4-level",
    "5-level",
    "compat",
    "max",
    "4-level-pti-6.12",
    "5-level-6.12",
    "4-level-pti-sid",
    "5-level-sid",
]
OPTIONS = "child=1 files=1 swap=1 symbols=1 pagemap=1"
USER_ROOT = 0x1000  # KPTI: this bit of the root tells its halves apart


@dataclass
class Stopped:
    """A guest with a GDB on it, and what it said of itself."""

    title: str
    guest: Qemu
    gdb: GdbSession
    console: str

    def map(self, which: str = "") -> dict[str, Any]:
        """ptmap's map by what kernel_dump calls a root; without a name the current one."""
        document: dict[str, Any] = json.loads(
            self.gdb.run(f"ptmap -phys -json - {self.options(which)}")
        )
        assert document["complete"]
        return document

    def options(self, which: str) -> str:
        if which != "kernel":
            return {"current_kernel": "-half kernel", "current_user": "-half user", "": ""}[which]
        symbols = proc_files.parse_symbols(self.console)
        va = symbols.get("init_top_pgt") or symbols["swapper_pg_dir"]
        # Of the kernel the user's root has little.
        walk = json.loads(self.gdb.run(f"pte -half kernel -json - {va:#x}"))["addresses"][0]
        return f"-root {walk['pa']}"

    def nx_in_root(self, root: int, mode: str, va: int) -> bool:
        """Whether the root's entry for this address has NX, from the machine's RAM itself."""
        shift = {"4-level": 39, "5-level": 48}.get(mode)
        if shift is None:
            return False
        assert self.guest.ram_path
        with self.guest.ram_path.open("rb") as ram:
            ram.seek(root + (va >> shift & 511) * 8)  # these guests have no RAM above 4 GiB
            return bool(ram.read(8)[7] & 0x80)


@pytest.fixture(scope="module", params=STOPS, ids="-".join)
def built(request: pytest.FixtureRequest) -> Iterator[Stopped]:
    name, where = request.param
    with stopped(name, where, OPTIONS + " dump=1") as built:
        yield built


@pytest.fixture(scope="module", params=DEBIAN)
def debian(request: pytest.FixtureRequest) -> Iterator[Stopped]:
    with stopped(request.param, "ready", OPTIONS) as debian:
        yield debian


@contextmanager
def stopped(name: str, where: Where, append: str) -> Iterator[Stopped]:
    title = f"{name} {'user' if where == 'ready' else 'kernel'} mode"
    with boot(name, paused_at=where, append=append, ram_file=True) as guest, GdbSession(
        script=ptmap_script()
    ) as gdb:
        gdb.attach(guest.gdb_target)
        yield Stopped(title, guest, gdb, guest.console())


def dump_reports(stop: Stopped) -> list[compare.Report]:
    dumps = kernel_dump.dumps(stop.console)
    reports = []
    roots = {}
    for name in ("kernel", "current_kernel", "current_user"):
        document = stop.map(name)
        root, mode = int(document["root"], 16), document["mode"]
        roots[name] = root
        reports.append(
            kernel_dump.with_dump(
                document,
                dumps[name],
                guest=f"{stop.title}, {name}",
                nx_above=lambda va: stop.nx_in_root(root, mode, va),
            )
        )
    assert roots["current_kernel"] | USER_ROOT == roots["current_user"]
    assert len(set(roots.values())) == 3
    return reports


def process_reports(stop: Stopped, document: dict[str, Any], title: str) -> list[compare.Report]:
    maps = proc_files.parse_maps(stop.console)
    pagemap = proc_files.parse_pagemap(stop.console)
    return [
        proc_files.with_pagemap(document, pagemap, maps, guest=title),
        proc_files.with_maps(document, maps, guest=title),
    ]


def test_the_kernels_own_dump(built: Stopped) -> None:
    for report in dump_reports(built):
        report.check()
        report.record()


def test_swapped_pages(built: Stopped) -> None:
    """They are out, pagemap says where, and so ptmap's map, which agrees with it, has none."""
    line = next(row for row in built.console.splitlines() if row.startswith("init: map swapped "))
    start, size = (int(word, 0) for word in line.split()[3:5])
    pagemap = proc_files.parse_pagemap(built.console)
    entries = [pagemap[va] for va in range(start, start + size, 4096)]
    assert all(entry & proc_files.SWAPPED for entry in entries)
    assert len({proc_files.swap_entry(entry) for entry in entries}) == 16
    assert "\ninit: swapped 16\n" in built.console


@pytest.mark.linux("kgdb-64")
def test_the_vsyscall_page() -> None:
    """The one page of the upper half that user mode may read."""
    with stopped("kgdb-64", "ready", OPTIONS + " dump=1 vsyscall=emulate") as emulating:
        for report in dump_reports(emulating):
            report.check()
        upper = [
            run
            for run in compare.from_json(emulating.map()).runs
            if run.va >> 63 and run.attributes[0]
        ]
        assert [(run.va, run.size) for run in upper] == [(0xFFFFFFFFFF600000, 4096)]


def test_frames_and_rights_of_the_process(built: Stopped) -> None:
    for name in ("current_kernel", "current_user"):
        for report in process_reports(built, built.map(name), f"{built.title}, {name}"):
            report.check()
            report.record()


def test_debian_frames_and_rights_of_the_process(debian: Stopped) -> None:
    for report in process_reports(debian, debian.map(), debian.title):
        report.check()
        report.record()


# A bit of the PTE, and how many pages then differ from the dump, pagemap and /proc/self/maps.
FLIPS = {
    "P": (0, (1, 1, 0)),
    "RW": (1, (1, 0, 1)),
    "US": (2, (1, 0, 1)),
    "PCD": (4, (1, 0, 0)),
    "G": (8, (1, 0, 0)),
    "frame": (12, (0, 1, 0)),
    "NX": (63, (1, 0, 1)),
}


@pytest.mark.parametrize("built", [("kgdb-64", "ready")], indirect=True, ids="-".join)
def test_one_flipped_bit_is_one_difference(built: Stopped) -> None:
    """Flipped after Linux has spoken, so that the judges and ptmap see different tables."""
    line = next(row for row in built.console.splitlines() if row.startswith("init: map ro "))
    walk = json.loads(built.gdb.run(f"pte -json - {line.split()[3]}"))["addresses"][0]
    pte = walk["steps"][-1]
    assert (walk["outcome"], pte["name"]) == ("mapped", "PTE")
    where, raw = int(pte["entry_pa"], 16), int(pte["raw"], 16)

    def write(value: int) -> None:
        built.gdb.packet(b"Qqemu.PhyMemMode:1")
        packet = b"M%x,8:%s" % (where, value.to_bytes(8, "little").hex().encode())
        assert built.gdb.packet(packet) == b"OK"
        built.gdb.packet(b"Qqemu.PhyMemMode:0")

    for name, (bit, expected) in FLIPS.items():
        write(raw ^ 1 << bit)
        try:
            document = built.map()
            dump = kernel_dump.dumps(built.console)["current_user"]
            reports = [
                kernel_dump.with_dump(document, dump, nx_above=lambda va: False),
                *process_reports(built, document, "flipped"),
            ]
        finally:
            write(raw)
        assert tuple(report.differing for report in reports) == expected, name
