"""ptmap diff: bare spaces changed entry by entry, against the naive walker's pages."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, Iterator

import pytest

import naive
from gdbsession import GdbSession, ptmap_script, refused
from machine import BareMachine
from tables import (
    G, KIB4, MIB2, MODES, NX, PAGE_SIZES, PCD, P, PS, RW, TABLES_AT, TOP, US, Tables,
    entries_in, entry_size, leaf_entry, random_space,
)  # fmt: skip

USER_RW, USER_RO, KERNEL = P | US | RW, P | US, P | RW
CACHE = ("WB", "PAT1", "UC-", "UC", "WB", "PAT5", "UC-", "PAT7")
Pages = dict[int, tuple[Any, ...]]  # VA of 4 KiB: (pa, user, write, exec, global, cache, size)


@pytest.fixture(scope="module")
def machine() -> Iterator[BareMachine]:
    with BareMachine(script=ptmap_script()) as machine:
        yield machine


@pytest.fixture()
def gdb(machine: BareMachine) -> GdbSession:
    return machine.session


def naive_walk(machine: BareMachine, root: int, cr4: int, efer: int, bits: int = 52) -> naive.Walk:
    return naive.walk(machine.read_phys, root, cr4, efer, bits)


def by_page(walk: naive.Walk) -> dict[int, naive.Page]:
    return {page.va: page for page in walk.pages}


NAMES = {1 << 12: "4K", 1 << 21: "2M", 1 << 22: "4M", 1 << 30: "1G"}


class State:
    """A space as sorted boundaries: what it says of the pages that begin at an address."""

    def __init__(self, walk: naive.Walk) -> None:
        self.pieces: list[tuple[int, int, tuple[Any, ...] | None]] = sorted(
            [(p.va, p.va + p.size, (p.pa, p.user, p.write, p.exec, p.glob, CACHE[p.slot],
                                    NAMES[p.size])) for p in walk.pages]
            + [(g.va, g.va + g.size, None) for g in walk.unreadable + walk.malformed]
        )  # fmt: skip


def expected(before: State, after: State) -> list[tuple[Any, ...]]:
    """(va, end, what, changed or unknown, before, after) for each elementary stretch."""
    edges = sorted({edge for s in (before, after) for piece in s.pieces for edge in piece[:2]})
    found = []
    at = [0, 0]
    for start, end in zip(edges, edges[1:]):
        sides: list[Any] = []
        for which, state in enumerate((before, after)):
            pieces = state.pieces
            while at[which] < len(pieces) and pieces[at[which]][1] <= start:
                at[which] += 1
            here = at[which] < len(pieces) and pieces[at[which]][0] <= start
            if not here:
                sides.append("nothing")
                continue
            first, _last, what = pieces[at[which]]
            sides.append(None if what is None else (what[0] + start - first, *what[1:]))
        one, other = sides
        unknown = [name for name, side in (("before", one), ("after", other)) if side is None]
        if unknown:
            found.append((start, end, "unknown", unknown, None, None))
        elif one == other:
            continue
        elif one == "nothing":
            found.append((start, end, "added", [], None, other))
        elif other == "nothing":
            found.append((start, end, "gone", [], one, None))
        else:
            changed = [
                name
                for name, differs in (
                    ("rights", one[1:4] != other[1:4]), ("frame", one[0] != other[0]),
                    ("page_size", one[6] != other[6]), ("global", one[4] != other[4]),
                    ("cache", one[5] != other[5]),
                ) if differs
            ]  # fmt: skip
            found.append((start, end, "changed", changed, one, other))
    return found


def agree(document: dict[str, Any], wanted: list[tuple[Any, ...]]) -> int:
    """Stretches that were compared; the differences must be exactly these, and maximal."""
    listed = []
    for d in document["differences"]:
        va = int(d["va"], 16)
        listed.append((va, va + int(d["size"], 16), d))
    for (_, end, one), (start, _, other) in zip(listed, listed[1:]):
        assert end <= start
        same = end == start and one["what"] == other["what"] and all(
            one.get(key) == other.get(key) for key in ("changed", "unknown")
        )
        if same and start != 1 << 47 and start != 1 << 56:
            assert any(
                {**one.get(side, {}), "pa": 0} != {**other.get(side, {}), "pa": 0}
                for side in ("before", "after")
            ), (one, other)
    at, covered = 0, 0
    for start, end, what, which, before, after in wanted:
        while at < len(listed) and listed[at][1] <= start:
            at += 1
        assert at < len(listed) and listed[at][0] <= start and end <= listed[at][1], hex(start)
        first, _, d = listed[at]
        assert d["what"] == what
        assert d.get("unknown" if what == "unknown" else "changed", []) == which
        for name, side in (("before", before), ("after", after)):
            assert (name in d) == (side is not None)
            if side is None:
                continue
            told = d[name]
            if told["pa"] is not None:
                assert int(told["pa"], 16) + start - first == side[0]
            assert tuple(told[k] for k in ("user", "write", "exec", "global", "cache",
                                           "page_size")) == side[1:]  # fmt: skip
        covered += end - start
    assert covered == sum(end - start for start, end, _ in listed)
    return len(wanted)


def diff(gdb: GdbSession, operands: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(gdb.run(f"ptmap diff -json - {operands}"))
    assert (document["schema"], document["kind"]) == ("ptmap/1", "diff")
    return document


def lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if line[:2].strip() in {"+", "-", "~", "->",
                                                                                "?"}]  # fmt: skip


def base(mode: str) -> Tables:
    """Pages of every size, user's and the kernel's."""
    space = Tables(mode)
    for page in range(8):
        space.map(0x400000 + page * KIB4, 0x1000000 + page * KIB4, KIB4, USER_RO)
    large = PAGE_SIZES[mode][2]
    space.map(0x80000000, 0x2000000, large, KERNEL | G)
    space.map(0x80000000 + large, 0x2000000 + large, large, KERNEL | G)
    if mode in ("4-level", "5-level"):
        space.map(0xFFFF880000000000 & (1 << 48) - 1 if mode == "4-level" else 1 << 56, 0x0,
                  1 << 30, KERNEL)  # fmt: skip
    return space


def other_flags(entry: int, flags: int) -> int:
    return entry & ~0xFFF | flags


KINDS = {
    "added": (0x480000, 1, lambda mode, e: leaf_entry(mode, 0x1234000, KIB4, USER_RW)),
    "gone": (0x403000, 1, lambda mode, e: 0),
    "rights": (0x402000, 1, lambda mode, e: e | RW),
    "frame": (0x404000, 1, lambda mode, e: e + 0x100000),
    "cache": (0x405000, 1, lambda mode, e: e | PCD),
    "global": (0x406000, 1, lambda mode, e: e | G),
    "rights of a table": (0x400000, 2, lambda mode, e: e & ~US),
    "a table gone": (0x400000, 2, lambda mode, e: 0),
    "a large page's frame": (0x80000000, 2, lambda mode, e: e + 0x4000000),
    "unreadable": (0x400000, 2, lambda mode, e: 0x8000000 | USER_RW),
    "large": (0x400000, 2, lambda mode, e: 0x1000000 | USER_RO | PS),
}


@pytest.mark.parametrize("mode", MODES)
def test_entry_by_entry(machine: BareMachine, gdb: GdbSession, mode: str, tmp_path: Path) -> None:
    """Each kind of change: by a snapshot, by the last map, and back again."""
    space = base(mode)
    space.write_to(machine)
    registers = machine.set_mode(mode, space.root)
    state = State(naive_walk(machine, registers.cr3, registers.cr4, registers.efer))
    gdb.run(f"ptmap save {tmp_path}/base")
    compared = 0
    for what, (va, level, change) in KINDS.items():
        old = space.entry(va, level)
        where = space.set_entry(va, level, change(mode, old))
        machine.write_phys(where, space.entry(va, level).to_bytes(entry_size(mode), "little"))
        changed = State(naive_walk(machine, registers.cr3, registers.cr4, registers.efer))
        wanted = expected(state, changed)
        assert wanted, what
        for operands in ("", f"{tmp_path}/base", f"{tmp_path}/base current"):
            compared += agree(diff(gdb, operands), wanted)
        gdb.run(f"ptmap save {tmp_path}/now")
        compared += agree(diff(gdb, f"{tmp_path}/base {tmp_path}/now"), wanted)
        compared += agree(diff(gdb, f"{tmp_path}/now {tmp_path}/base"), expected(changed, state))
        agree(diff(gdb, ""), expected(changed, changed))
        space.set(where & ~0xFFF, (where & 0xFFF) // entry_size(mode), old)
        machine.write_phys(where, old.to_bytes(entry_size(mode), "little"))
        assert agree(diff(gdb, ""), expected(changed, state))
    assert compared >= 5 * len(KINDS)


@pytest.mark.parametrize("mode", MODES)
def test_random_spaces(machine: BareMachine, gdb: GdbSession, mode: str, tmp_path: Path) -> None:
    """Two spaces that have nothing to do with each other, and one with its own mutation."""
    stretches, differing = 0, 0
    for seed in range(900, 912):
        space = random_space(seed, mode)
        space.tables.write_to(machine)
        registers = machine.set_mode(mode, space.root, pse=space.pse, nxe=space.nxe,
                                     pge=space.pge)  # fmt: skip
        gdb.run(f"set ptmap maxphyaddr {space.maxphyaddr}")
        state = State(naive_walk(machine, registers.cr3, registers.cr4, registers.efer,
                                 space.maxphyaddr))  # fmt: skip
        gdb.run(f"ptmap save {tmp_path}/{seed}")
        assert diff(gdb, f"{tmp_path}/{seed}")["counts"]["changed"]["stretches"] == 0
        rng = random.Random(seed)
        for _ in range(6):
            page = rng.choice([*space.tables.pages])
            at = page + rng.randrange(4096 // entry_size(mode)) * entry_size(mode)
            size = entry_size(mode)
            raw = int.from_bytes(machine.read_phys(at, size) or b"", "little")
            machine.write_phys(at, (raw ^ 1 << rng.choice((0, 1, 2, 3, 4, 8, 12, 13))).to_bytes(
                size, "little"))  # fmt: skip
        changed = State(naive_walk(machine, registers.cr3, registers.cr4, registers.efer,
                                   space.maxphyaddr))  # fmt: skip
        wanted = expected(state, changed)
        stretches += agree(diff(gdb, f"{tmp_path}/{seed}"), wanted)
        stretches += agree(diff(gdb, ""), wanted)
        differing += bool(wanted)
        if seed > 900:
            document = diff(gdb, f"{tmp_path}/{seed - 1} {tmp_path}/{seed}")
            before, last = last, state
            stretches += agree(document, expected(before, last))
        else:
            last = state
    gdb.run("set ptmap maxphyaddr auto")
    assert stretches > 300 and differing > 5
