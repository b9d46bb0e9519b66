"""What a diff of two walks must say, worked out from the naive walker's pages and tables."""

from __future__ import annotations

from typing import Any

import naive

# The memory types of the eight PAT slots as ptmap names them where the PAT is not known.
CACHE = ("WB", "PAT1", "UC-", "UC", "WB", "PAT5", "UC-", "PAT7")
SIZES = {1 << 12: "4K", 1 << 21: "2M", 1 << 22: "4M", 1 << 30: "1G"}
_SIDE = ("user", "write", "exec", "global", "cache", "page_size")

# Elementary stretches: (start, end, what, changed or unknown, before, after).
Stretch = tuple[int, int, str, list[str], Any, Any]


class State:
    """A space as sorted pieces: (start, end, (pa, user, write, exec, global, cache, page size)),
    or None if it cannot be known."""

    def __init__(self, walk: naive.Walk) -> None:
        self.pieces: list[tuple[int, int, tuple[Any, ...] | None]] = sorted(
            [
                (
                    p.va,
                    p.va + p.size,
                    (p.pa, p.user, p.write, p.exec, p.glob, CACHE[p.slot], SIZES[p.size]),
                )
                for p in walk.pages
            ]
            + [
                (first, last, None)
                for g in walk.unreadable + walk.malformed
                for first, last in _halves(g)
            ]
        )


def _halves(gap: naive.Fault) -> list[tuple[int, int]]:
    """An unreadable root is a gap of both halves of a 64-bit space."""
    if gap.size <= 1 << 47 or gap.va or gap.level < 4:
        return [(gap.va, gap.va + gap.size)]
    return [(0, gap.size // 2), ((1 << 64) - gap.size // 2, 1 << 64)]


def expected(before: State, after: State) -> list[Stretch]:
    edges = sorted({edge for s in (before, after) for piece in s.pieces for edge in piece[:2]})
    found: list[Stretch] = []
    at = [0, 0]
    for start, end in zip(edges, edges[1:]):
        sides: list[Any] = []
        for which, pieces in enumerate((before.pieces, after.pieces)):
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
            found.append((start, end, "changed", _changes(one, other), one, other))
    return found


def _changes(one: tuple[Any, ...], other: tuple[Any, ...]) -> list[str]:
    pairs = (
        ("rights", one[1:4], other[1:4]),
        ("frame", one[0], other[0]),
        ("page_size", one[6], other[6]),
        ("global", one[4], other[4]),
        ("cache", one[5], other[5]),
    )
    return [name for name, before, after in pairs if before != after]


def agree(document: dict[str, Any], wanted: list[Stretch]) -> int:
    """How many stretches were compared; a diff's differences must be exactly these, and maximal."""
    listed = []
    for d in document["differences"]:
        va = int(d["va"], 16)
        listed.append((va, va + int(d["size"], 16), d))
    for (_, end, one), (start, _, other) in zip(listed, listed[1:]):
        assert end <= start
        if end == start and start not in (1 << 47, 1 << 56):
            assert _attributes(one) != _attributes(other), (one, other)
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
            assert tuple(told[key] for key in _SIDE) == side[1:]
        covered += end - start
    assert covered == sum(end - start for start, end, _ in listed)
    return len(wanted)


def _attributes(d: dict[str, Any]) -> list[Any]:
    sides = [{**d[side], "pa": 0} if side in d else None for side in ("before", "after")]
    return [d["what"], d.get("changed"), d.get("unknown"), *sides]


def tables_by_level(read: naive.Read, root: int, cr4: int, efer: int) -> set[tuple[int, int]]:
    """(level, table) of all that can be read. For spaces without reserved bits."""
    mode = naive.mode_of(cr4, efer)
    top = {"32-bit": 2, "pae": 3, "4-level": 4, "5-level": 5}[mode]
    width = 4 if mode == "32-bit" else 8
    found: set[tuple[int, int]] = set()

    def descend(table: int, level: int) -> None:
        if (level, table) in found:
            return
        data = read(table, 32 if (mode, level) == ("pae", 3) else 4096)
        if data is None:
            return
        found.add((level, table))
        for at in range(0, len(data) if level > 1 else 0, width):
            entry = int.from_bytes(data[at : at + width], "little")
            page = entry & naive.PS and (level == 2 or level == 3 and mode != "pae")
            if entry & naive.P and not page:
                descend(entry & naive.bits(31 if width == 4 else 51, 12), level - 1)

    descend(root, top)
    return found


def root_entries(read: naive.Read, root: int, mode: str) -> dict[int, tuple[int, int]]:
    """The present ones: (what they name, US, RW and XD of them). PAE's have none of these."""
    size = 32 if mode == "pae" else 4096
    width = 4 if mode == "32-bit" else 8
    data = read(root, size)
    assert data is not None
    found = {}
    for index in range(size // width):
        entry = int.from_bytes(data[index * width : (index + 1) * width], "little")
        if entry & naive.P:
            rights = 0 if mode == "pae" else entry & (naive.US | naive.RW | naive.XD)
            found[index] = (entry & naive.bits(31 if width == 4 else 51, 12), rights)
    return found
