"""ptmap on a bare QEMU: tables written by the test, no guest code, against every judge.

Systematic tables first (every bit and every right at every level), then random ones. With the
naive walker there are no exceptions; with QEMU's walkers only those that their defects name.
"""

from __future__ import annotations

import itertools
import json
import os
import random
from typing import Any, Iterator

import pytest

import compare
import judges
import judging
import naive
import tables
import verdict
from compare import Report
from gdbsession import ptmap_script
from machine import BareMachine, Registers, registers_for
from tables import NX, P, PS, RW, US, Tables

SPACES = int(os.environ.get("PTMAP_SPACES", "250"))  # random ones, in each mode
JUDGES = {
    "naive": "pages",
    "naive, without -phys": "pages",
    "naive, pte": "addresses",
    "info tlb": "pages",
    "info mem": "pages",
    "gva2gpa": "addresses",
}


def ask(machine: BareMachine, command: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(machine.session.run(command))
    return document


def pte(machine: BareMachine, vas: Any) -> dict[str, Any]:
    return ask(machine, "pte -json - " + " ".join(f"{va:#x}" for va in vas))


class Sums:
    """A report per judge, summed over the spaces of a test."""

    def __init__(self, guest: str) -> None:
        self.guest = guest
        self.judged_all = False
        self.reports = {
            judge: compare.total(judge, guest, unit=unit) for judge, unit in JUDGES.items()
        }

    def add(self, report: Report) -> None:
        report.check(empty_ok=True)
        self.reports[report.judge] += report

    def judge(
        self,
        machine: BareMachine,
        space: Tables,
        registers: Registers,
        *,
        maxphyaddr: int = 52,
        seed: int = 0,
        where: str = "",
    ) -> None:
        """Put the space there, compare it with everyone, and wipe it."""
        guest = f"{self.guest} {where}"
        mode, pge = registers.mode, bool(registers.cr4 & naive.CR4_PGE)
        judging.put(machine, space, registers)
        machine.session.run(f"set ptmap maxphyaddr {maxphyaddr}")
        walk = judging.walk(machine, registers, maxphyaddr)
        exceptions = compare.exceptions_by(walk, machine.regions)
        addresses = verdict.Addresses(walk, machine.read_phys, registers, maxphyaddr)
        vas = verdict.interesting(walk, random.Random(seed))

        document = ask(machine, "ptmap -phys -json -")
        merged = ask(machine, "ptmap -json -")
        explained = pte(machine, vas)
        answers = verdict.report(addresses, explained, guest=guest)  # before memory is wiped
        translated = {
            int(a["va"], 16): int(a["pa"], 16) if "pa" in a else None
            for a in explained["addresses"]
        }
        translations = judging.gva2gpa(machine, registers, translated, exceptions, guest=guest)
        shown = machine.hmp("info tlb")
        ranges = judging.info_mem(machine, registers)
        judging.wipe(machine, space)

        subject = compare.from_json(document)
        pages = judges.parse_info_tlb(shown, mode, judges.mapped_in(ranges))
        self.add(compare.with_naive(document, walk, guest=guest))
        unsplit = compare.with_naive(merged, walk, phys=False, guest=guest)
        unsplit.judge = "naive, without -phys"
        self.add(unsplit)
        self.add(answers)
        self.add(translations)
        self.add(
            compare.with_tlb(
                subject,
                pages,
                mode=mode,
                pge=pge,
                exceptions=exceptions,
                nxe=bool(registers.efer & naive.EFER_NXE),
                guest=guest,
            )
        )
        self.add(compare.with_mem(subject, ranges, exceptions=exceptions, guest=guest))
        self.judged_all = True


@pytest.fixture(scope="module")
def machine() -> Iterator[BareMachine]:
    with BareMachine(script=ptmap_script()) as machine:
        yield machine


@pytest.fixture(scope="module")
def totals() -> Iterator[dict[str, Report]]:
    totals = {
        judge: compare.total(judge, "bare QEMU, every mode", unit=unit)
        for judge, unit in JUDGES.items()
    }
    yield totals
    for total in totals.values():
        if total.pages_in_judge:
            total.record()


@pytest.fixture
def sums(request: pytest.FixtureRequest, totals: dict[str, Report]) -> Iterator[Sums]:
    """The reports of one test: every judge has to have had something to say."""
    sums = Sums(request.node.name)
    yield sums
    for name, report in sums.reports.items():
        assert not sums.judged_all or report.pages_in_judge, f"{name} was never asked"
        totals[name] += report


def fan_out(space: Tables, choices: list[int], leaf_choices: list[int]) -> None:
    """Every choice of flags at every level: entries 0.. of each table lead to tables, and the
    entries from 64 on are leaves where the level has pages. One level below is shared by none."""
    frames = itertools.count(0x1000)

    def fill(table: int, level: int) -> None:
        pae_root = (space.mode, level) == ("pae", 3)
        if level in tables.PAGE_SIZES[space.mode]:
            size = tables.PAGE_SIZES[space.mode][level]
            for n, flags in enumerate(leaf_choices):
                pa = next(frames) * size % (1 << 32 if space.mode == "32-bit" else 1 << 46)
                space.set(table, 64 + n, tables.leaf_entry(space.mode, pa, size, flags))
        if level > 1:
            for n, flags in enumerate(choices[:1] if pae_root else choices):
                below = space.alloc()
                space.set(table, n, below | (P if pae_root else flags))
                fill(below, level - 1)

    fill(space.root, tables.TOP[space.mode])


def right_flags(mode: str) -> list[int]:
    bits = (RW, US) if mode == "32-bit" else (RW, US, NX)
    return [
        P | sum(chosen) for n in range(len(bits) + 1) for chosen in itertools.combinations(bits, n)
    ]


@pytest.mark.parametrize("mode", tables.MODES)
def test_rights_at_every_level(machine: BareMachine, sums: Sums, mode: str) -> None:
    """Every combination of US, RW and XD, at every level at once, in pages of every size."""
    flags = right_flags(mode)
    for pse, nxe in ((True, True), (True, False), (False, True)):
        if not pse and mode != "32-bit":
            continue
        space = Tables(mode)
        fan_out(space, flags, flags)
        sums.judge(machine, space, registers_for(mode, space.root, pse=pse, nxe=nxe))


@pytest.mark.parametrize("mode", tables.MODES)
def test_leaf_bits(machine: BareMachine, sums: Sums, mode: str) -> None:
    """Every PAT slot, G, accessed, dirty, in pages of every size, PGE and PSE on and off."""
    bits = (tables.PWT, tables.PCD, tables.PAT, tables.G, tables.A, tables.D)
    leaves = [
        tables.USER | sum(b) for n in range(len(bits) + 1) for b in itertools.combinations(bits, n)
    ]
    for pse, pge in itertools.product((True, False), (True, False)):
        space = Tables(mode)
        fan_out(space, [tables.USER, tables.USER | tables.PCD | tables.PWT | tables.G], leaves)
        sums.judge(machine, space, registers_for(mode, space.root, pse=pse, pge=pge))


@pytest.mark.parametrize("maxphyaddr", (32, 36, 40, 46, 52))
@pytest.mark.parametrize("mode", tables.MODES)
def test_every_bit_of_every_entry(
    machine: BareMachine, sums: Sums, mode: str, maxphyaddr: int
) -> None:
    """A good table pointer and a good leaf at each level, each with one bit turned over, alone."""
    width = 8 * tables.entry_size(mode)
    for pse, nxe in itertools.product((True, False), (True, False)):
        space = Tables(mode)
        empty = space.alloc()
        table, level = space.root, tables.TOP[mode]
        while level:
            room = tables.entries_in(mode, level)
            good = [empty | tables.USER] if level > 1 else []
            if level in tables.PAGE_SIZES[mode]:
                size = tables.PAGE_SIZES[mode][level]
                good.append(tables.leaf_entry(mode, size, size, tables.USER))
            if room == 4:
                break
            for n, (entry, bit) in enumerate(itertools.product(good, range(width))):
                space.set(table, 8 + n, entry ^ 1 << bit)
            level -= 1
            if level:
                below = space.alloc()
                space.set(table, 0, below | tables.USER)
                table = below
        if mode == "pae":
            pd = space.alloc()
            space.set(space.root, 1, pd | P)
            table = space.alloc()
            space.set(pd, 0, table | tables.USER)
            for n, bit in enumerate(range(64)):
                size = 2 << 20
                space.set(pd, 8 + n, (empty | tables.USER) ^ 1 << bit)
                space.set(pd, 100 + n, (size | tables.USER | PS) ^ 1 << bit)
                space.set(table, n, (0x5000 | tables.USER) ^ 1 << bit)
        sums.judge(
            machine,
            space,
            registers_for(mode, space.root, pse=pse, nxe=nxe),
            maxphyaddr=maxphyaddr,
            where=f"PSE {pse} NXE {nxe}",
        )


def test_every_bit_of_a_pae_root(machine: BareMachine, sums: Sums) -> None:
    """A PDPTE's reserved bits end no walk; there is no page at this level."""
    for bit in range(64):
        space = Tables("pae", root_offset=0xFE0 if bit & 1 else 0x20)
        space.map(0x40000000, 0x1000)
        space.map(0xFFE00000, 0x200000, tables.MIB2)
        space.set(space.root, 1, space.get(space.root, 1) ^ 1 << bit)
        space.set(space.root, 2, space.get(space.root, 1))
        sums.judge(machine, space, registers_for("pae", space.root))


@pytest.mark.parametrize("mode", tables.MODES)
def test_every_address_bit(machine: BareMachine, sums: Sums, mode: str) -> None:
    """Frames of a single bit and of all bits, for pages of every size; PSE-36 in 32-bit."""
    top = 52
    for maxphyaddr in (36, 40, 52):
        space = Tables(mode)
        for level, size in tables.PAGE_SIZES[mode].items():
            if mode == "32-bit":
                top = 32 if size == tables.KIB4 else 40
            base = {1: 0x10000000, 2: 0x40000000, 3: 0x8000000000}[level]
            shift = size.bit_length() - 1
            frames = [1 << bit for bit in range(shift, top)] + [(1 << top) - size, 0]
            for n, pa in enumerate(frames):
                space.map(base + n * size, pa, size)
        sums.judge(machine, space, registers_for(mode, space.root), maxphyaddr=maxphyaddr)


@pytest.mark.parametrize("mode", tables.MODES)
def test_first_and_last_entries(machine: BareMachine, sums: Sums, mode: str) -> None:
    width = judges.va_bits(mode)
    for size in tables.PAGE_SIZES[mode].values():
        vas = {0, (1 << width) - size, (1 << width - 1) - size, 1 << width - 1}
        for n in range(1, 5):
            for chosen in itertools.combinations(sorted(vas), n):
                space = Tables(mode)
                for va in chosen:
                    space.map(va, va & 0xFFE00000 & ~(size - 1), size)
                sums.judge(machine, space, registers_for(mode, space.root))
    space = Tables(mode)  # everything there is, in the largest pages
    size = max(tables.PAGE_SIZES[mode].values())
    if width <= 48:
        for va in range(0, 1 << min(width, 41), size):
            space.map(va, va & 0xFFFFFFFF, size)
        sums.judge(machine, space, registers_for(mode, space.root))


@pytest.mark.parametrize("mode", tables.MODES)
def test_recursive_and_shared_tables(machine: BareMachine, sums: Sums, mode: str) -> None:
    top = tables.TOP[mode]
    for slot in (0, 1, tables.entries_in(mode, top) - 1):
        space = Tables(mode)
        space.map(0x40000000, 0x1000, flags=P | RW)
        space.map(0x80201000, 0x2000, flags=P | US, upper_flags=P | US)
        if not space.get(space.root, slot):
            space.set(space.root, slot, space.root | (P if mode == "pae" else P | RW))
        for other in range(2, 3 if mode == "pae" else 40):  # one subtree, many ways in
            if not space.get(space.root, other):
                space.set(space.root, other, space.get(space.root, space.index(0x40000000, top)))
        sums.judge(machine, space, registers_for(mode, space.root))


@pytest.mark.parametrize("mode", tables.MODES)
def test_tables_at_the_edges_of_memory(machine: BareMachine, sums: Sums, mode: str) -> None:
    """The last page of RAM, the first page outside, ROM, no RAM at all, a flagged root."""
    ram = next(r for r in machine.regions if r.start == 0x100000)
    end = ram.start + ram.size
    bios = max(r.start for r in machine.regions if r.kind == "rom")
    targets = [end - 4096, end, bios, 0xC0000, 0xF0000, 0x9F000, 0x3FFFFFFFF000, (1 << 52) - 4096]
    for target, level in itertools.product(targets, range(2, tables.TOP[mode] + 1)):
        if mode == "32-bit" and target >> 32:
            continue
        space = Tables(mode)
        space.map(0x400000, 0x5000)
        space.set_entry(
            0x80000000, level, target | (P if (mode, level) == ("pae", 3) else tables.USER)
        )
        if target == end - 4096:
            space.pages[target] = bytearray(4096)
            space.set(target, 1, 0x77000 | tables.USER)
        sums.judge(machine, space, registers_for(mode, space.root), where=f"{target:#x}")
    for root in (end - 4096, end, 0xF0000, 0xBFFFF000, 0x100FFF, 0x100018):
        space = Tables(mode)
        space.map(0x400000, 0x5000)
        sums.judge(machine, space, registers_for(mode, root), where=f"root {root:#x}")


def test_above_4_gib(sums: Sums) -> None:
    """q35 with RAM on both sides of the hole: root, tables and frames above it."""
    with BareMachine(script=ptmap_script(), memory="6G", machine="q35") as machine:
        ram = [r for r in machine.regions if r.kind == "ram"]
        high = max(r.start + r.size for r in ram)
        hole = max(r.start + r.size for r in ram if r.start < 1 << 32)
        for mode in ("pae", "4-level", "5-level"):
            # PAE's root is below 4 GiB, its other tables are not.
            space = Tables(mode, at=0x100000 if mode == "pae" else 0x100000000)
            space.next = high - 8 * 4096
            for va in range(0, 0x800000, 0x200000):
                space.map(va + 0x1000, high - 4096 - va)
            space.map(0x40000000, 0x140000000, tables.MIB2)
            space.set_entry(0x50000000, 2, hole | tables.USER)
            space.set_entry(0x50200000, 2, hole - 4096 | tables.USER)
            space.set_entry(0x50400000, 2, high | tables.USER)
            sums.judge(machine, space, registers_for(mode, space.root))


@pytest.mark.parametrize("mode", tables.MODES)
def test_verdicts(machine: BareMachine, sums: Sums, mode: str) -> None:
    """Read, write, fetch x kernel, user x every rights x WP, SMEP, SMAP, AC, NXE, keys."""
    keys = mode in ("4-level", "5-level")
    space = Tables(mode)
    vas = []
    for n, flags in enumerate(right_flags(mode)):
        for m, key in enumerate((0, 5, 15) if keys else (0,)):
            for level, size in tables.PAGE_SIZES[mode].items():
                va = {
                    1: 0x1000 * (4 * n + m),
                    2: 0x80000000 + 0x400000 * (4 * n + m),
                    3: 0x8000000000 + (4 * n + m << 30),
                }[level]
                space.map(va, size, size, flags | key << 59)
                vas.append(va + 0x123)
    vas += [0x3FF000, 0xBFC00000]  # not present, at two levels
    if mode != "32-bit":
        space.set_entry(0xBF800000, 2, 1 << 51 | tables.USER | PS | 1 << 13)
    else:
        space.set_entry(0xBF800000, 2, tables.USER | PS | 1 << 21)
    vas.append(0xBF812345)
    judging.wipe(machine, space)
    space.write_to(machine)
    machine.session.run("set ptmap maxphyaddr 52")
    for pkru in (0, 3 << 10 | 2 << 30, 2 << 10 | 1 << 30) if keys else (0,):  # keys 5 and 15
        machine.session.run(f"set ptmap pkru {pkru}")
        for wp, smep, smap, nxe, ac in itertools.product((False, True), repeat=5):
            registers = machine.set_mode(
                mode, space.root, wp=wp, smep=smep, smap=smap, nxe=nxe, pke=keys
            )
            machine.set_registers(eflags=2 | (verdict.AC if ac else 0))
            walk = judging.walk(machine, registers)
            sums.add(
                verdict.report(
                    verdict.Addresses(walk, machine.read_phys, registers),
                    pte(machine, vas),
                    ac=ac,
                    pkru=pkru,
                    guest=f"{mode} WP {wp} SMEP {smep} SMAP {smap} NXE {nxe} "
                    f"AC {ac} PKRU {pkru:#x}",
                )
            )
    machine.session.run("set ptmap pkru auto")
    machine.set_registers(eflags=2)
    judging.wipe(machine, space)


# Power-on, Linux, and a mix of all types.
@pytest.mark.parametrize("pat", (0x0007040600070406, 0x0407050600070106, 0x0001040506070605))
def test_memory_types_by_pat(machine: BareMachine, pat: int) -> None:
    """With IA32_PAT given every slot has its name (SDM vol. 3A, Table 12-10)."""
    types = {0: "UC", 1: "WC", 4: "WT", 5: "WP", 6: "WB", 7: "UC-"}
    names = [types[pat >> 8 * slot & 7] for slot in range(8)]
    space = Tables("4-level")
    bits = (tables.PWT, tables.PCD, tables.PAT)
    for n, (pwt, pcd, high) in enumerate(itertools.product((0, 1), repeat=3)):
        flags = tables.USER | sum(bit for bit, on in zip(bits, (pwt, pcd, high)) if on)
        for size in tables.PAGE_SIZES["4-level"].values():
            space.map(size * (n + 8), size * (n + 8), size, flags)
    judging.put(machine, space, registers_for("4-level", space.root))
    machine.session.run(f"set ptmap pat {pat:#x}")
    walk = judging.walk(machine, registers_for("4-level", space.root))
    try:
        compare.with_naive(ask(machine, "ptmap -phys -json -"), walk, cache_names=names).check()
        for said in pte(machine, [page.va for page in walk.pages])["addresses"]:
            page = next(p for p in walk.pages if p.va == int(said["va"], 16))
            assert (said["cache"], said["cache_slot"]) == (names[page.slot], page.slot)
    finally:
        machine.session.run("set ptmap pat auto")
        judging.wipe(machine, space)


_SIZES = {"4K": 1 << 12, "2M": 1 << 21, "4M": 1 << 22, "1G": 1 << 30}


@pytest.mark.parametrize("mode", tables.MODES)
def test_a_filter_by_page_size_shows_those_pages(machine: BareMachine, mode: str) -> None:
    """All pages of that size and no others, as the longest runs; and no run is cut without it."""
    compared = 0
    for space in tables.spaces(mode, 12):
        registers = judging.registers_of(space)
        judging.put(machine, space.tables, registers)
        machine.session.run(f"set ptmap maxphyaddr {space.maxphyaddr}")
        walk = judging.walk(machine, registers, space.maxphyaddr)
        for word, size in _SIZES.items():
            for filter, wanted in (
                (word, [page for page in walk.pages if page.size == size]),
                (f"no-{word}", [page for page in walk.pages if page.size != size]),
                (f"write+{word}", [p for p in walk.pages if p.size == size and p.write]),
            ):
                document = ask(machine, f"ptmap -filter {filter} -json -")
                expected = runs(wanted, mode)
                found = [(int(r["va"], 16), int(r["size"], 16)) for r in document["ranges"]]
                assert found == expected, (space.seed, filter)
                compared += len(found)
        assert [
            (int(r["va"], 16), int(r["size"], 16))
            for r in ask(machine, "ptmap -filter user,supervisor -json -")["ranges"]
        ] == runs(walk.pages, mode, by_size=False)
        judging.wipe(machine, space.tables)
    machine.session.run("set ptmap maxphyaddr auto")
    assert compared > 100
    print(f"{mode}: {compared} filtered ranges, 0 differ")


def runs(pages: list[naive.Page], mode: str, by_size: bool = True) -> list[tuple[int, int]]:
    """(address, size) of the longest runs of equal rights, global bit, memory type, page size."""
    found: list[list[Any]] = []
    for page in sorted(pages, key=lambda page: page.va):
        alike = page.user, page.write, page.exec, page.glob, _TYPES[page.slot], page.size * by_size
        upper = page.va == naive.canonical(1 << 47 if mode == "4-level" else 1 << 56, mode)
        if found and found[-1][0] + found[-1][1] == page.va and found[-1][2] == alike and not upper:
            found[-1][1] += page.size
        else:
            found.append([page.va, page.size, alike])
    return [(va, size) for va, size, _ in found]


# Slots that have one name whatever the PAT (docs/ptmap-1.schema.json).
_TYPES = ("WB", "PAT1", "UC-", "UC", "WB", "PAT5", "UC-", "PAT7")


@pytest.mark.parametrize("mode", tables.MODES)
def test_one_flipped_entry_is_one_difference(machine: BareMachine, mode: str) -> None:
    """The comparisons can fail: ptmap read the tables before one page was taken away."""
    space = Tables(mode)
    for va in range(0x400000, 0x500000, 4096):
        entry = space.map(va, va + 0x1000000)
    registers = registers_for(mode, space.root)
    judging.put(machine, space, registers)
    document = ask(machine, "ptmap -phys -json -")
    machine.write_phys(entry, bytes(4))
    walk = judging.walk(machine, registers)
    ranges = (
        judges.parse_info_mem(machine.hmp("info mem"), mode)
        if mode != "5-level"
        else [judges.MemRange(0x400000, 0xFF000, True, True)]
    )
    pages = judges.parse_info_tlb(machine.hmp("info tlb"), mode, judges.mapped_in(ranges))
    judging.wipe(machine, space)
    subject = compare.from_json(document)
    for report in (
        compare.with_naive(document, walk),
        compare.with_mem(subject, ranges),
        compare.with_tlb(subject, pages, mode=mode, pge=True),
    ):
        assert (report.pages_in_judge, report.pages_in_ptmap, report.differing) == (255, 256, 1)
        with pytest.raises(AssertionError, match="1 differ"):
            report.check()


@pytest.mark.parametrize("mode", tables.MODES)
def test_random_spaces(machine: BareMachine, sums: Sums, mode: str) -> None:
    for space in tables.spaces(mode, SPACES):
        sums.judge(
            machine,
            space.tables,
            judging.registers_of(space),
            maxphyaddr=space.maxphyaddr,
            seed=space.seed,
            where=f"seed {space.seed}",
        )
