"""What Linux keeps in non-present entries: vectors by the headers' own arithmetic, then real guests
judged by the pages' contents and by /proc/PID/pagemap."""

from __future__ import annotations

import json
import re
from typing import Any, Iterator, NamedTuple

import pytest

import proc_files
from gdbsession import GdbSession, ptmap_script
from guests import GUESTS, boot
from kernels import fetch
from machine import BareMachine
from qemu import Qemu
from tables import KIB4, P, RW, US, Tables

M64 = (1 << 64) - 1
# Vectors are of these versions, the outermost that are decoded and some between.
VERSIONS = ((4, 19), (5, 6), (6, 1), (6, 12), (7, 3))


# The headers' arithmetic, as they have it


def swap_wide(number: int, offset: int) -> int:
    """__swp_entry(), pgtable_64.h; __swp_pteval_entry(), pgtable-3level.h: SWP_TYPE_BITS 5,
    SWP_OFFSET_SHIFT 9 + 5"""
    return ((~offset & M64) << 14 & M64) >> 5 | number << 59


def swap_narrow(number: int, offset: int) -> int:
    """__swp_entry(), pgtable-2level.h"""
    return number << 1 | offset << 9


def protnone(mode: str, frame: int) -> int:
    """PAGE_NONE, pgtable_types.h: PROTNONE, A; pfn_pte() inverts the frame but with 2 levels."""
    if mode == "32-bit":
        return frame | 0x120
    return (~frame & (1 << 52) - 1 & ~0xFFF) | 0x120


def lowest_special(*numbers: int) -> int:
    """MAX_SWAPFILES"""
    return (1 << 5) - sum(numbers)


class Vector(NamedTuple):
    mode: str
    version: tuple[int, int]
    level: int
    raw: int
    expected: dict[str, Any] | None
    max_swapfiles: int | None = None
    symbols: dict[str, bool] | None = None


def swap(number: int, offset: int) -> dict[str, Any]:
    return {"what": "swap", "type": number, "offset": hex(offset)}


def flags_of(mode: str, version: tuple[int, int]) -> Iterator[tuple[int, list[str]]]:
    """Bits beside a swap entry: _PAGE_SWP_SOFT_DIRTY, _PAGE_SWP_UFFD_WP (5.7) in pgtable_types.h,
    _PAGE_SWP_EXCLUSIVE in pgtable_64_types.h (5.19), pgtable-3level.h, pgtable-2level.h (6.3)."""
    if mode in ("4-level", "5-level"):
        yield 1 << 1, ["soft-dirty"]
        yield 1 << 2, ["uffd-wp"] if version >= (5, 7) else []
        yield 1 << 3, ["exclusive"] if version >= (5, 19) else []
        if version >= (5, 19):
            yield 0b1110, ["soft-dirty", "uffd-wp", "exclusive"]
    else:
        if mode == "pae":
            yield 0b1110, []
        if version >= (6, 3):
            yield 1 << 7, ["exclusive"]


def vectors() -> Iterator[Vector]:
    frames = {
        "4-level": (0, 0x1000, 0x1FEC9000, 0x3FFFFFFFF000),
        "pae": (0x1000, 0xFFFFFF000),
        "5-level": (0x1000, 0xFFFFFFFFFF000),
        "32-bit": (0x1000, 0xFFFFF000),
    }
    for version in VERSIONS:
        for mode, all_frames in frames.items():
            for frame in all_frames:
                none = {"what": "prot-none", "pa": hex(frame)}
                yield Vector(mode, version, 1, protnone(mode, frame), none)
                if mode != "32-bit":
                    yield Vector(mode, version, 1, protnone(mode, frame) | 1 << 63, none)
            encode = swap_narrow if mode == "32-bit" else swap_wide
            last = (1 << (23 if mode == "32-bit" else 50)) - 1
            for number, offset in ((0, 1), (0, 0x12), (3, 0x1234), (1, last), (20, 7)):
                raw = encode(number, offset)
                assert not raw & 0x101
                yield Vector(mode, version, 1, raw, swap(number, offset))
                for bits, flags in flags_of(mode, version):
                    expected = swap(number, offset) | ({"flags": flags} if flags else {})
                    yield Vector(mode, version, 1, raw | bits, expected)
            yield Vector(mode, version, 1, 0, None)
    yield from large_vectors()
    yield from special_vectors()


def large_vectors() -> Iterator[Vector]:
    for mode, level, size in (
        ("4-level", 2, 1 << 21),
        ("4-level", 3, 1 << 30),
        ("pae", 2, 1 << 21),
        ("32-bit", 2, 1 << 22),
    ):
        frame = 3 * size
        # pfn_pmd(): only the large frame's bits are there. PAT is bit 12. PSE stays;
        # pmd_mkinvalid() takes P and PROTNONE away.
        raw = protnone(mode, frame) & ~(size - 1) | 0x11A0
        yield Vector(mode, (6, 1), level, raw, {"what": "prot-none", "pa": hex(frame)})
        yield Vector(mode, (6, 1), level, raw & ~0x100, {"what": "invalidated", "pa": hex(frame)})
    # Entries of tables only are not Linux's to fill.
    yield Vector("4-level", (6, 1), 4, protnone("4-level", 0x1000), None)
    yield Vector("pae", (6, 1), 3, protnone("pae", 0x1000), None)
    # THP migration, pmd_to_swp_entry()
    moving = {
        "what": "migration",
        "access": "write",
        "type": 30,
        "offset": hex(0x12345),
        "pa": hex(0x12345000),
    }
    yield Vector(
        "4-level",
        (6, 1),
        2,
        swap_wide(30, 0x12345),
        moving,
        28,
        {"migrate_pages": True, "memory_failure": False},
    )
    yield Vector("4-level", (6, 1), 2, swap_wide(0, 5), {"what": "unknown"})
    yield Vector("4-level", (6, 1), 1, swap_wide(0, 5) | 0x80, {"what": "unknown"})


def special_vectors() -> Iterator[Vector]:
    frame, pfn = hex(0x1FEC9000), 0x1FEC9

    def one(
        version: tuple[int, int],
        number: int,
        what: str,
        access: str = "",
        has_frame: bool = True,
        offset: int = pfn,
        mode: str = "4-level",
        known: tuple[int | None, dict[str, bool] | None] = (None, None),
        markers: tuple[str, ...] = (),
    ) -> Vector:
        expected = {"what": what, "type": number, "offset": hex(offset)}
        expected |= {"access": access} if access else {}
        expected |= {"pa": frame} if has_frame else {}
        expected |= {"markers": list(markers)} if markers else {}
        encode = swap_narrow if mode == "32-bit" else swap_wide
        return Vector(mode, version, 1, encode(number, offset), expected, *known)

    def marker(
        version: tuple[int, int],
        number: int,
        offset: int,
        *names: str,
        known: tuple[int | None, dict[str, bool] | None],
        mode: str = "4-level",
    ) -> Vector:
        """PTE_MARKER_*, swapops.h"""
        return one(version, number, "pte-marker", "", False, offset, mode, known, names)

    both = {"migrate_pages": True, "memory_failure": True}
    only_migration = {"migrate_pages": True, "memory_failure": False}
    # SWP_DEVICE_NUM, SWP_MIGRATION_NUM, SWP_HWPOISON_NUM, SWP_PTE_MARKER_NUM, SWP_SWAPIN_ERROR_NUM
    # 4.19, all: hwpoison 27, migration 28 29, device 30 31
    lowest, known = lowest_special(2, 2, 1), (lowest_special(2, 2, 1), both)
    yield one((4, 19), lowest, "hwpoison", known=known)
    yield one((4, 19), lowest + 1, "migration", "read", known=known)
    yield one((4, 19), lowest + 2, "migration", "write", known=known)
    yield one((4, 19), lowest + 3, "device-private", "write", known=known)
    yield one((4, 19), lowest + 4, "device-private", "read", known=known)
    yield one((4, 19), lowest - 1, "swap", has_frame=False, known=known)
    # 5.10 without memory failure and device memory: migration 30 31
    known = (lowest_special(2), only_migration)
    yield one((5, 10), 30, "migration", "read", known=known)
    yield one((5, 10), 31, "migration", "write", known=known, mode="32-bit")
    yield one((5, 10), 29, "swap", has_frame=False, known=known)
    # 6.1 as Debian has it, all groups: 22 .. 31
    lowest = lowest_special(4, 3, 1, 1, 1)
    known = (lowest, both)
    names = (
        "hwpoison",
        "migration read",
        "migration read-exclusive",
        "migration write",
        "device-private write",
        "device-private read",
        "device-exclusive write",
        "device-exclusive read",
    )
    for number, name in enumerate(names, lowest):
        what, _, access = name.partition(" ")
        yield one((6, 1), number, what, access, known=known)
    yield marker((6, 1), 30, 1, "uffd-wp", known=known)
    yield one((6, 1), 31, "swapin-error", has_frame=False, known=known)
    # A and D of a page on the move are above its frame: SWP_MIG_YOUNG_BIT
    for mode, bits in (("4-level", 34), ("5-level", 40), ("pae", 24), ("32-bit", 20)):
        yield one(
            (6, 1), lowest + 1, "migration", "read", offset=pfn | 3 << bits, known=known, mode=mode
        )
    # 6.12: markers always, swapin-error is one of them
    known = (lowest_special(3, 1), only_migration)
    yield one((6, 12), 30, "migration", "write", known=known)
    yield marker((6, 12), 31, 2, "poisoned", known=known)
    yield marker((6, 12), 31, 4, known=known)
    yield marker((6, 13), 31, 5, "uffd-wp", "guard", known=known)
    yield marker((7, 3), 31, 6, "poisoned", "guard", known=known, mode="pae")
    # 6.15: no reading and writing exclusively by a device any more; as Debian has it 23 .. 31
    for version in ((6, 15), (7, 2), (7, 3)):
        lowest = lowest_special(3, 3, 1, 1)
        known = (lowest, both)
        for number, name in enumerate((*names[:6], "device-exclusive"), lowest):
            what, _, access = name.partition(" ")
            yield one(version, number, what, access, known=known)
        yield marker(version, 31, 4, "guard", known=known)
    # Without symbols only what all configurations agree on.
    yield one((6, 1), 31, "swapin-error", has_frame=False)
    yield one((6, 12), 31, "pte-marker", has_frame=False, markers=("uffd-wp",))
    yield one((6, 1), 30, "swap-or-special", has_frame=False)
    yield one((6, 1), 22, "swap-or-special", has_frame=False)
    yield one((6, 1), 21, "swap", has_frame=False)
    yield one((4, 19), 31, "swap-or-special", has_frame=False)
    # Known to be special by MAX_SWAPFILES, but not which.
    yield one((6, 1), 29, "special", has_frame=False, known=(lowest_special(3, 1, 1), None))


def page_vectors() -> Iterator[tuple[str, tuple[int, int], int, list[str]]]:
    """Mode, version, entry, names: _PAGE_BIT_* of asm/pgtable_types.h of 6.1, 6.12, 7.2 and 7.3.
    SOFTW4 is bit 58 until 6.5 and 57 since; SAVED_DIRTY came with 6.6; DEVMAP went with 6.17."""
    for mode in ("4-level", "5-level"):
        for version in ((5, 6), (6, 1), (6, 5), (6, 6), (6, 12), (6, 16), (6, 17), (7, 3)):
            is_new = version >= (6, 6)
            yield mode, version, 0x867 | 1 << 9, ["special", "soft-dirty"]
            yield mode, version, 0x067 | 1 << 10, ["uffd-wp"] if version >= (5, 7) else []
            yield mode, version, 0x067 | 1 << 57, ["devmap"] * (is_new and version <= (6, 16))
            yield mode, version, 0x067 | 1 << 58, ["saved-dirty" if is_new else "devmap"]
            yield mode, version, 0x9FF | 1 << 63, ["soft-dirty"]
    for mode in ("pae", "32-bit"):
        for version in ((6, 1), (6, 12), (7, 3)):
            yield mode, version, 0x867, []
            yield mode, version, 0x267, ["special"]
            yield mode, version, 0x467, ["saved-dirty"] * (version >= (6, 6))


NAMES = """
import json
from ptmap.linux.entry_bits import OF_PAGES, names
result = [names(OF_PAGES, mode, tuple(version), raw)
          for mode, version, raw, _ in json.loads({vectors!r})]
"""


def test_bits_of_pages() -> None:
    todo = list(page_vectors())
    with GdbSession(script=ptmap_script()) as gdb:
        found = gdb.python(NAMES.format(vectors=json.dumps(todo)))
    for vector, names in zip(todo, found, strict=True):
        assert names == vector[3], vector


DECODE = """
import json
from ptmap.linux import not_present as n
result = []
for mode, version, level, raw, _, max_swapfiles, symbols in json.loads({vectors!r}):
    version = tuple(version)
    known = n.Configuration(max_swapfiles, symbols)
    one = n.decode(n.layout_of(mode, version), version, level, raw, known)
    found = one.json() if one else None
    assert found is None or found.pop("version") == "{{}}.{{}}".format(*version)
    result.append(found)
"""


def test_vectors() -> None:
    todo = list(vectors())
    with GdbSession(script=ptmap_script()) as gdb:
        found = gdb.python(DECODE.format(vectors=json.dumps(todo)))
        unknown = gdb.python(
            """
from ptmap.linux import not_present as n
result = [n.layout_of(mode, v) for v in ((4, 18), (2, 6), (7, 4), (8, 0))
          for mode in ("4-level", "5-level", "pae", "32-bit")]
"""
        )
    assert len(found) == len(todo) > 150
    for vector, one in zip(todo, found):
        assert one == vector.expected, vector
    assert unknown == [None] * 16


def test_another_system_has_no_linux_in_its_entries() -> None:
    with BareMachine(script=ptmap_script()) as machine:
        for mode in ("32-bit", "pae", "4-level", "5-level"):
            space = Tables(mode)
            space.map(0x400000, 0x100000, KIB4, P | RW | US)
            space.set_entry(0x401000, 1, protnone(mode, 0x123000))
            space.write_to(machine)
            machine.set_mode(mode, space.root)
            one = explain(machine.session, 0x401000)
            assert one["outcome"] == "not-present" and "linux" not in one
            assert "Linux" not in machine.session.run("pte 0x401000")


EXPLAIN = """
from ptmap.context import selection
from ptmap.linux import entries
from ptmap.spaces import walks
entries._linux = lambda space: entries._Known(0, b"", (6, 1), {user_end})
space = selection.resolve({{}})
found = [entries.explain(space, walks.walk(space, va)) for va in {addresses}]
result = [one.json() if one else None for one in found]
"""


def test_only_the_user_part_is_a_process_s() -> None:
    """Linux keeps no swap entries in the kernel's part: what is there means something else."""
    for mode, user_end in (("32-bit", 0xC0000000), ("4-level", 1 << 47)):
        space = Tables(mode)
        kernel_part = user_end if mode == "32-bit" else 0xFFFF888000000000
        addresses = [user_end - 0x1000, kernel_part]
        for va in addresses:
            space.map(va ^ 0x1000, 0x100000, KIB4, P)  # the tables
            space.set_entry(va, 1, protnone(mode, 0x123000))
        with BareMachine(script=ptmap_script()) as machine:
            space.write_to(machine)
            machine.set_mode(mode, space.root)
            code = EXPLAIN.format(user_end=user_end, addresses=addresses)
            assert machine.session.python(code) == [
                {"what": "prot-none", "pa": "0x123000", "version": "6.1"},
                None,
            ]


def explain(gdb: GdbSession, va: int) -> dict[str, Any]:
    one: dict[str, Any] = json.loads(gdb.run(f"pte -json - {va:#x}"))["addresses"][0]
    return one


# Real Linux


SOFT_DIRTY = 1 << 55  # of pagemap


class Stopped(NamedTuple):
    guest: Qemu
    gdb: GdbSession
    name: str
    version: str
    areas: dict[str, tuple[int, int]]
    pagemap: dict[int, int]

    @property
    def has_soft_dirty(self) -> bool:
        """CONFIG_MEM_SOFT_DIRTY: Debian's 64-bit kernels."""
        return self.name.startswith(("4-level", "5-level"))

    def pages(self, area: str) -> range:
        start, size = self.areas[area]
        return range(start, start + size, 0x1000)


def stopped(name: str, symbols: bool) -> Iterator[Stopped]:
    # Packaged kernels have the RAM disk to swap to in a module.
    with boot(name, append="modules=1 swap=1 pagemap=1", ram_file=True) as guest:
        with GdbSession(script=ptmap_script()) as gdb:
            if symbols:
                gdb.run(f"symbol-file {fetch(GUESTS[name].kernel).with_name('vmlinux')}")
            gdb.attach(guest.gdb_target)
            console = guest.console()
            rows = re.findall(r"^init: map (\S+) (0x\S+) (0x\S+)$", console, re.M)
            areas = {kind: (int(start, 16), int(size, 16)) for kind, start, size in rows}
            found = re.search(r"Linux version (\d+\.\d+)", console)
            assert found
            yield Stopped(guest, gdb, name, found[1], areas, proc_files.parse_pagemap(console))


@pytest.fixture(
    scope="module",
    params=[
        "686",
        "686-pae-pti",
        "4-level",
        "5-level",
        "4-level-6.12-dbg",
        "4-level-sid-dbg",
        "kgdb-64",
        "kgdb-64-5level",
        "kgdb-pae",
    ],
)
def stop(request: pytest.FixtureRequest) -> Iterator[Stopped]:
    yield from stopped(request.param, symbols=False)


@pytest.fixture(scope="module", params=["kgdb-64", "kgdb-pae"])
def with_symbols(request: pytest.FixtureRequest) -> Iterator[Stopped]:
    yield from stopped(request.param, symbols=True)


@pytest.mark.linux
def test_prot_none(stop: Stopped) -> None:
    """Each page of "none" held its own address before it was taken away."""
    assert stop.guest.ram_path
    ram = stop.guest.ram_path.read_bytes()
    for va in stop.pages("none"):
        one = explain(stop.gdb, va)
        linux = one["linux"]
        assert one["outcome"] == "not-present"
        assert linux == {"what": "prot-none", "pa": linux["pa"], "version": stop.version}
        pa = int(linux["pa"], 16)
        assert int.from_bytes(ram[pa : pa + 4], "little") == va & 0xFFFFFFFF
        # pagemap calls such a page present, and has its frame.
        assert stop.pagemap[va] & proc_files.PRESENT
        assert stop.pagemap[va] & (1 << 55) - 1 == pa >> 12
    print(f"{stop.name}: {len(stop.pages('none'))} PROT_NONE pages, 0 differing")


@pytest.mark.linux
def test_every_page_that_is_not_there(stop: Stopped) -> None:
    """Swapped out by pagemap is swapped out by ptmap, type and offset, and nothing else is."""
    swapped = other = soft_dirty = 0
    is_wide = not any(word in stop.name for word in ("686", "pae"))
    zeros = explain(stop.gdb, stop.pages("zero")[0])["pa"]
    for kind in stop.areas:
        if kind in ("big", "none"):
            continue
        for va in stop.pages(kind):
            entry = stop.pagemap.get(va, 0)
            one = explain(stop.gdb, va)
            if entry & proc_files.SWAPPED:
                number, offset = proc_files.swap_entry(entry)
                flags = one["linux"].pop("flags", [])
                assert one["linux"] == {
                    "what": "swap",
                    "type": number,
                    "offset": hex(offset),
                    "version": stop.version,
                }
                assert ("soft-dirty" in flags) == bool(entry & SOFT_DIRTY)
                # A page that only this process had.
                assert ("exclusive" in flags) == is_wide
                swapped += 1
            else:
                # pagemap's bit is also that of the whole mapping. The page of zeros is special.
                bits = one.get("linux", {}).get("bits", [])
                assert "soft-dirty" not in bits or stop.has_soft_dirty and entry & SOFT_DIRTY
                assert ("special" in bits) == (one.get("pa") == zeros), bits
                soft_dirty += "soft-dirty" in bits
                assert (one["outcome"] == "mapped") == bool(entry & proc_files.PRESENT)
                other += 1
    assert other > 40 and swapped > 0 and (soft_dirty > 20) == stop.has_soft_dirty
    print(f"{stop.name}: {swapped} swapped and {other} other pages, 0 differing")


@pytest.mark.linux
def test_text(stop: Stopped) -> None:
    va = stop.pages("none")[0]
    text = stop.gdb.run(f"pte {va:#x}")
    hint = " or a NUMA hint" if stop.gdb.eval("$efer") >> 10 & 1 else ""
    pa = explain(stop.gdb, va)["linux"]["pa"]
    lines = text.splitlines()
    at = lines.index(f"  Linux {stop.version}: PROT_NONE{hint}, frame {pa}")
    assert lines[at - 1] == "  not present: the walk ends at the PTE (P=0)"
    assert text.isascii() and max(map(len, lines)) <= 80
    va = stop.pages("swapped")[5]
    number, offset = proc_files.swap_entry(stop.pagemap[va])
    line = f"  Linux {stop.version}: swapped out: type {number}, offset {offset:#x}"
    assert line in stop.gdb.run(f"pte {va:#x}")
    assert "Linux" not in stop.gdb.run(f"pte {stop.pages('untouched')[3]:#x}")
    page = stop.gdb.run(f"pte {stop.pages('rw')[0]:#x}")
    assert (f"\n  Linux {stop.version}: soft-dirty\n" in page) == stop.has_soft_dirty


COUNT = """
from ptmap.linux import entries as n
calls = []
if not hasattr(n, "real_find"):
    n.real_find = n.find
n.find = lambda space: calls.append(1) or n.real_find(space)
gdb.execute("pte {va:#x}", to_string=True)
gdb.execute("pte {va:#x} {va:#x}", to_string=True)
n.find = n.real_find
result = len(calls)
"""
FORGET = "from ptmap.machine.sources import choose\nchoose.memory().found.end()"
OTHER = """
from dataclasses import replace
from ptmap.machine.sources import choose
from ptmap.linux import entries as n
last = choose.memory().found.of(n._Last)
last.known = replace(last.known, {what})
"""


@pytest.mark.linux
def test_linux_is_looked_for_once(stop: Stopped) -> None:
    va = stop.pages("none")[0]
    stop.gdb.python(FORGET)
    assert stop.gdb.python(COUNT.format(va=va)) == 1
    assert stop.gdb.python(COUNT.format(va=va)) == 0
    # Another kernel booted meanwhile: its banner is another, or not there.
    for what in ("banner=b'Linux version 5.10'", "banner_at=0x1000"):
        stop.gdb.python(OTHER.format(what=what))
        assert stop.gdb.python(COUNT.format(va=va)) == 1


@pytest.mark.linux
def test_a_version_that_is_not_known(stop: Stopped) -> None:
    va = stop.pages("none")[0]
    explain(stop.gdb, va)
    stop.gdb.python(OTHER.format(what="version=(4, 14)"))
    assert explain(stop.gdb, va)["linux"] == {"what": "unknown-layout", "version": "4.14"}
    line = "  ptmap does not know the layout of Linux 4.14's non-present entries\n"
    assert line in stop.gdb.run(f"pte {va:#x}")
    stop.gdb.python(FORGET)


SPECIAL = """
from ptmap.context import selection
from ptmap.linux import entries
space = selection.resolve({{}})
linux = entries._linux(space)
result = [entries._not_present(space, linux, 1, raw).json() for raw in {raws}]
"""


@pytest.mark.linux
def test_symbols_tell_special_types(with_symbols: Stopped) -> None:
    """These kernels have migration and no other group: MAX_SWAPFILES is 32 - 3 - 1."""
    raws = [swap_wide(number, 0x1FEC9) for number in range(27, 32)]
    plain = {"offset": "0x1fec9", "version": "6.1"}
    moving = {"what": "migration", "pa": "0x1fec9000", **plain}
    assert with_symbols.gdb.python(SPECIAL.format(raws=raws)) == [
        {"what": "swap", "type": 27, **plain},
        {"type": 28, "access": "read", **moving},
        {"type": 29, "access": "read-exclusive", **moving},
        {"type": 30, "access": "write", **moving},
        {"what": "swapin-error", "type": 31, **plain},
    ]
    with_symbols.gdb.run("symbol-file")
    assert [one["what"] for one in with_symbols.gdb.python(SPECIAL.format(raws=raws))] == [
        *["swap-or-special"] * 4,
        "swapin-error",
    ]
