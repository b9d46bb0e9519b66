"""Real Linux kernels: every page against QEMU's walkers and the naive one, nothing excepted."""

from __future__ import annotations

import json
from typing import Any, Iterator

import pytest

import compare
import judges
import naive
from gdbsession import GdbSession, ptmap_script
from guests import GUESTS, Where, boot
from qemu import Qemu

pytestmark = pytest.mark.linux

STOPS: list[tuple[str, Where]] = [(name, where) for name in GUESTS for where in ("ready", "kernel")]
MEMORY = ("ram", "rom", "romd")
OLDEST = [stop for stop in STOPS if stop[0] == "686"]


@pytest.fixture(scope="module", params=STOPS, ids="-".join)
def stop(request: pytest.FixtureRequest) -> tuple[str, Where]:
    return request.param


@pytest.fixture(scope="module")
def guest(stop: tuple[str, Where]) -> Iterator[Qemu]:
    name, where = stop
    with boot(name, paused_at=where, ram_file=True) as guest:
        yield guest


@pytest.fixture(scope="module")
def gdb(guest: Qemu) -> Iterator[GdbSession]:
    with GdbSession(script=ptmap_script()) as gdb:
        gdb.attach(guest.gdb_target)
        yield gdb


def reports(gdb: GdbSession, guest: Qemu, title: str) -> list[compare.Report]:
    """ptmap's map against each judge."""
    document: dict[str, Any] = json.loads(gdb.run("ptmap -phys -json -"))
    assert document["complete"]
    mode = document["mode"]
    cr3, cr4, efer = (gdb.eval(register) for register in ("$cr3", "$cr4", "$efer"))
    regions = judges.parse_mtree(guest.hmp("info mtree -f"))
    with guest.ram_path.open("rb") as ram:

        def read(pa: int, length: int) -> bytes | None:
            for r in regions:
                if (
                    r.kind == "ram"
                    and r.name in ("ram", "pc.ram")
                    and (r.start <= pa and pa + length <= r.start + r.size)
                ):
                    ram.seek(pa - r.start + r.offset)
                    return ram.read(length)
            return None

        walk = naive.walk(read, cr3, cr4, efer)
    memory = sorted((r.start, r.start + r.size) for r in regions if r.kind in MEMORY)
    outside = sum(not any(a < p.pa + p.size and p.pa < b for a, b in memory) for p in walk.pages)
    assert document["outside_ram"] == outside
    subject = compare.from_json(document)
    found = [compare.with_naive(document, walk, guest=title)]
    is_mapped = judges.mapped_by_gva2gpa(guest.hmp)
    if mode != "5-level":  # its info mem never answers
        ranges = judges.parse_info_mem(guest.hmp("info mem"), mode)
        found.append(compare.with_mem(subject, ranges, guest=title))
        is_mapped = judges.mapped_in(ranges)
    pages = judges.parse_info_tlb(guest.hmp("info tlb"), mode, is_mapped)
    found.append(
        compare.with_tlb(
            subject,
            pages,
            mode=mode,
            pge=bool(cr4 & naive.CR4_PGE),
            nxe=bool(efer >> 11 & 1),
            guest=title,
        )
    )
    return found


def test_every_page(gdb: GdbSession, guest: Qemu, stop: tuple[str, Where]) -> None:
    title = f"{stop[0]} {'user' if stop[1] == 'ready' else 'kernel'} mode"
    for report in reports(gdb, guest, title):
        report.check()
        report.record()
        assert report.pages_in_judge > 40 and not report.excepted


@pytest.mark.parametrize("stop", OLDEST, indirect=True, ids="-".join)
def test_one_flipped_pte_is_one_difference(gdb: GdbSession, guest: Qemu) -> None:
    """Flipped between the two readings, so that judge and ptmap see different tables."""
    walk = json.loads(gdb.run("pte -json - 0x10400000"))["addresses"][0]
    pte = walk["steps"][-1]
    assert (walk["outcome"], pte["name"]) == ("mapped", "PTE")
    where, raw = int(pte["entry_pa"], 16), int(pte["raw"], 16)
    document = json.loads(gdb.run("ptmap -phys -json -"))
    before = compare.from_json(document)

    def write(value: int) -> None:
        gdb.packet(b"Qqemu.PhyMemMode:1")
        assert gdb.packet(b"M%x,4:" % where + value.to_bytes(4, "little").hex().encode()) == b"OK"
        gdb.packet(b"Qqemu.PhyMemMode:0")

    for flipped in (raw ^ 1, raw ^ 1 << 12, raw ^ naive.RW | naive.US):  # P, an address bit, RW
        write(flipped)
        try:
            ranges = judges.parse_info_mem(guest.hmp("info mem"), "32-bit")
            pages = judges.parse_info_tlb(guest.hmp("info tlb"), "32-bit", judges.mapped_in(ranges))
            tlb = compare.with_tlb(before, pages, mode="32-bit", pge=True)
            rights = compare.with_mem(before, ranges)
            fresh = reports(gdb, guest, "flipped")
        finally:
            write(raw)
        one_of_rights = 0 if flipped == raw ^ 1 << 12 else 1
        assert rights.differing == one_of_rights
        # info tlb shows the leaf's own bits: a right it grants more is no difference there.
        assert tlb.differing == (0 if flipped & ~raw & naive.RW else 1)
        for report in fresh:  # and ptmap follows
            report.check()


@pytest.mark.parametrize("stop", OLDEST, indirect=True, ids="-".join)
def test_user_memory_is_where_init_says(gdb: GdbSession, guest: Qemu) -> None:
    """Each page of "rw" holds its own address: frames are right, not only plausible."""
    line = next(row for row in guest.console().splitlines() if row.startswith("init: map rw "))
    base, size = (int(word, 0) for word in line.split()[3:5])
    ram = guest.ram_path.read_bytes()
    for va in range(base, base + size, 4096):
        one = json.loads(gdb.run(f"pte -json - {va:#x}"))["addresses"][0]
        pa = int(one["pa"], 16)
        assert int.from_bytes(ram[pa : pa + 4], "little") == va
        assert one["rights"]["user"] and one["rights"]["write"]
        assert pa + 5 == int(
            json.loads(gdb.run(f"pte -json - {va + 5:#x}"))["addresses"][0]["pa"], 16
        )
