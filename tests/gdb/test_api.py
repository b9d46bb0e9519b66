"""`import ptmap` inside GDB, as scripts use it: against the naive walker and the commands."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any, Iterator

import pytest

import compare
import naive
from gdbsession import GdbFailure, GdbSession, ptmap_script
from machine import BareMachine
from tables import KIB4, MIB2, MODES, NX, P, RW, US, A, D, G, Tables, entry_size, spaces

SEEDS = 12
LABELLED = Path(__file__).resolve().parents[1] / "data/lab32-3g.ptmap"


@pytest.fixture(scope="module")
def machine() -> Iterator[BareMachine]:
    with BareMachine(script=ptmap_script()) as machine:
        yield machine


@pytest.fixture()
def gdb(machine: BareMachine) -> GdbSession:
    return machine.session


@pytest.fixture()
def long(machine: BareMachine) -> Tables:
    """User pages of which the second has no frame beside the first, one in the upper part."""
    space = Tables("4-level")
    space.map(0x400000, 0x1000000, KIB4, P | US | A)
    space.map(0x401000, 0x1001000, KIB4, P | US | A)
    space.map(0x402000, 0x1004000, KIB4, P | US | A)
    space.map(0x600000, 0x1000000, MIB2, P | US | RW | NX | D)
    space.map(0xFFFFFFFFFFFFF000, 0x1002000, KIB4, P | RW | G)
    space.write_to(machine)
    machine.set_mode("4-level", space.root)
    return space


def ask(gdb: GdbSession, code: str) -> Any:
    return gdb.python("import ptmap, struct\n" + code)


def fails(gdb: GdbSession, code: str, *words: str) -> str:
    """With ptmap.Error, in one sentence."""
    kind, said = ask(
        gdb,
        f"""
try:
    {code}
    result = ["nothing", ""]
except ptmap.Error as error:
    result = ["Error", str(error)]
""",
    )
    assert kind == "Error" and "\n" not in said and all(word in said for word in words), said
    return said


def _differing(left: list[Any], right: list[Any]) -> int:
    mine, theirs = (Counter(map(tuple, rows)) for rows in (left, right))
    return (mine - theirs).total() + (theirs - mine).total()


# What it answers


@pytest.mark.parametrize("mode", MODES)
def test_pages_are_the_naive_walkers(machine: BareMachine, mode: str) -> None:
    """Each page with address, size, frame, rights, global bit and raw entry; so are the tables.
    Buffers and ranges say the same."""
    report = compare.total("the naive walker", f"pages for scripts, {mode}")
    for space in spaces(mode, SEEDS):
        space.tables.write_to(machine)
        registers = machine.set_mode(mode, space.root, pse=space.pse, nxe=space.nxe, pge=space.pge)
        machine.session.run(f"set ptmap maxphyaddr {space.maxphyaddr}")
        walked = naive.walk(
            machine.read_phys, registers.cr3, registers.cr4, registers.efer, space.maxphyaddr
        )
        expected = [
            [p.va, p.size, p.pa, p.user, p.write, p.exec, p.glob, p.entry]
            for p in sorted(walked.pages)
        ]
        found = ask(
            machine.session,
            """
U, W, X, G = ptmap.USER, ptmap.WRITE, ptmap.EXEC, ptmap.GLOBAL
space = ptmap.space()
pages = space.pages()
made = space.map()
result = {
    "pages": [(va, size, pa, bool(f & U), bool(f & W), bool(f & X), bool(f & G), entry)
              for va, size, pa, f, entry in pages],
    "truncated": pages.truncated,
    "rows": made.buffer().tolist(),
    "ranges": [(r.va, r.size, r.pa, r.rights, r.end, r.cache, r.page_sizes) for r in made],
    "types": [ptmap.memory_type(row[3]) for row in made.buffer().tolist()],
    "tables": sorted({(t.pa, t.size) for t in space.tables() if t.readable}),
    "complete": made.complete,
}
""",
        )
        machine.session.run("set ptmap maxphyaddr auto")
        assert not found["truncated"]
        report += compare.Report(
            "", len(expected), len(found["pages"]), _differing(expected, found["pages"])
        )
        assert found["tables"] == sorted([at, size] for at, size in walked.tables)
        assert found["complete"] == (not walked.unreadable and not walked.malformed)
        for row, one, kind in zip(found["rows"], found["ranges"], found["types"], strict=True):
            va, size, pa, rights, end, cache, sizes = one
            assert row[:3] == [va, size, pa] and end == va + size and kind == cache
            assert row[3] >> 8 & 15 == sizes
            letters = "".join(
                letter if row[3] & bit else "-"
                for letter, bit in (("u", 1), ("r", 16), ("w", 2), ("x", 4), ("g", 8))
            )
            assert rights == ("s" + letters[1:] if letters[0] == "-" else letters)
    report.record()
    report.check()


def test_a_map_is_what_ptmap_shows(gdb: GdbSession, long: Tables) -> None:
    for options, arguments in (
        ("-phys", ""),
        ("", "physical=False"),
        ("-phys -filter user+write", 'filter="user+write"'),
        ("-phys -as user", 'view="user"'),
    ):
        document = json.loads(gdb.run(f"ptmap {options} -json -"))
        expected = [
            [
                int(r["va"], 16),
                int(r["size"], 16),
                r["pa"] and int(r["pa"], 16),
                r["user"],
                r["write"],
                r["exec"],
                r["global"],
                r["cache"],
            ]
            for r in document["ranges"]
        ]
        made = ask(
            gdb,
            f"""
made = ptmap.space().map({arguments})
result = [[[r.va, r.size, r.pa, r.user, r.write, r.exec, r.global_, r.cache] for r in made],
          made.complete, made.tables, made.pages, made.mode]
""",
        )
        assert made == [expected, True, document["tables"], document["pages"], "4-level"]


def test_windows(gdb: GdbSession, long: Tables) -> None:
    """START to END, END not in it; 0 is the top. Pages and tables have them too."""
    assert (
        ask(
            gdb,
            """
s = ptmap.space()
result = [[(r.va, r.size) for r in s.map(0x401000, 0x402000)],
          [(r.va, r.end) for r in s.map(0xfffffffffffff000, 0)],
          [row[0] for row in s.pages(0x401000, 0x600001)], len(s.tables(0x401000, 0x402000))]
""",
        )
        == [[[0x401000, 0x1000]], [[(1 << 64) - 4096, 1 << 64]], [0x401000, 0x402000, 0x600000], 4]
    )
    fails(gdb, "ptmap.space().map(0x402000, 0x401000)", "is empty")


def test_a_map_is_a_sequence(gdb: GdbSession, long: Tables) -> None:
    """Lazily: slices of slices are made without a range; it is searched and reversed."""
    assert (
        ask(
            gdb,
            """
from collections.abc import Sequence
made = ptmap.space().map()
part = made[1:][::2]
result = [len(made), isinstance(made, Sequence), [r.va for r in part], [r.va for r in part[::-1]],
          made[-1].va == [r.va for r in reversed(made)][0], type(part).__name__, len(made[7:]),
          made.at(0x402fff).va, made.at(0x403000)]
try:
    made[4]
except IndexError:
    result.append("IndexError")
""",
        )
        == [
            4,
            True,
            [0x402000, 0xFFFFFFFFFFFFF000],
            [0xFFFFFFFFFFFFF000, 0x402000],
            True,
            "_Lazy",
            0,
            0x402000,
            None,
            "IndexError",
        ]
    )


def test_walks(gdb: GdbSession, long: Tables) -> None:
    said = json.loads(gdb.run("pte -json - 0x402123 0x500000 0x600010 0x123456789abcdef0"))
    found = ask(
        gdb,
        """
space = ptmap.space()
walks = space.walks([gdb.Value(0x402123), 0x500000, 0x600010, 0x123456789abcdef0])
result = [[w.outcome, [s.raw for s in w.steps], w.pa if w.outcome == "mapped" else 0]
          for w in walks]
assert all(isinstance(w, ptmap.Walk) for w in walks) and isinstance(walks[0].steps[0], ptmap.Step)
assert space.walk(0x402123).pa == walks[0].pa
""",
    )
    assert found == [
        [
            one["outcome"],
            [int(step["raw"], 16) for step in one["steps"]],
            int(one.get("pa", "0"), 16),
        ]
        for one in said["addresses"]
    ]


def test_find(gdb: GdbSession, long: Tables) -> None:
    """Every mapping, cut to what was asked for; the large page holds the small ones' frames."""
    assert (
        ask(
            gdb,
            """
s = ptmap.space()
result = [[(m.va, m.pa, m.size, m.rights) for m in s.find(*which)]
          for which in ((0x1000800,), (0x1001000, 0x2000), (0x1004fff, 2), (0x3000000, 4096))]
""",
        )
        == [
            [[0x400800, 0x1000800, 1, "ur-x-"], [0x600800, 0x1000800, 1, "urw--"]],
            [
                [0x401000, 0x1001000, 0x1000, "ur-x-"],
                [0x601000, 0x1001000, 0x2000, "urw--"],
                [0xFFFFFFFFFFFFF000, 0x1002000, 0x1000, "srwxg"],
            ],
            [[0x402FFF, 0x1004FFF, 1, "ur-x-"], [0x604FFF, 0x1004FFF, 2, "urw--"]],
            [],
        ]
    )
    fails(gdb, "ptmap.space().find(0, 0)", "not physical memory")
    fails(gdb, "ptmap.space().map().find(-1)", "not physical memory")
    # The range is the map's, whole; without one physical address it is passed over, the top is the
    # top.
    assert (
        ask(
            gdb,
            """
s = ptmap.space()
made = s.map()
result = [[(m.range.va, m.range.size) for m in made.find(0x1001000, 1)],
          [m.va for m in s.map(physical=False).find(0, 1 << 70)], len(made.find(0, 1 << 70)),
          made.find((1 << 52) - 1, 1)]
""",
        )
        == [[[0x400000, 0x2000], [0x600000, 2 << 20]], [0x600000, 0xFFFFFFFFFFFFF000], 4, []]
    )
    fails(gdb, "ptmap.space().map().find(1 << 52)", "not physical memory")
    # A search that is cut short says so; of the rest of the space no ranges are made.
    assert (
        ask(
            gdb,
            """
gdb.execute("set ptmap max-ranges 1")
s = ptmap.space()
found = s.find(0x3000000), s.find(0x1001000, 0x2000)
gdb.execute("set ptmap max-ranges auto")
result = [(len(one), one.complete) for one in found]
""",
        )
        == [[0, True], [1, False]]
    )
    assert (
        ask(
            gdb,
            """
s = ptmap.space()
va = gdb.parse_and_eval("(char *)0x400800")
result = [s.map().at(va).va, s.walk(va).pa, len(s.map(va, va + 1))]
""",
        )
        == [0x400000, 0x1000800, 1]
    )
    fails(gdb, "ptmap.space().map().at((1 << 64) + 0x400800)", "wider than 64 bits")


@pytest.mark.parametrize("mode", MODES)
def test_find_in_random_spaces(machine: BareMachine, mode: str) -> None:
    """A map's find() is what the naive walker's pages say, byte by byte of each page's ends."""
    report = compare.total("the naive walker", f"find for scripts, {mode}", unit="mappings")
    for space in spaces(mode, SEEDS):
        space.tables.write_to(machine)
        registers = machine.set_mode(mode, space.root, pse=space.pse, nxe=space.nxe, pge=space.pge)
        machine.session.run(f"set ptmap maxphyaddr {space.maxphyaddr}")
        walked = naive.walk(
            machine.read_phys, registers.cr3, registers.cr4, registers.efer, space.maxphyaddr
        )
        step = max(1, len(walked.pages) // 40)
        wanted = [pa for p in sorted(walked.pages)[::step] for pa in (p.pa, p.pa + p.size - 1)]
        expected = [
            sorted(
                [p.va + pa - p.pa, p.user, p.write, p.exec, p.glob]
                for p in walked.pages
                if p.pa <= pa < p.pa + p.size
            )
            for pa in wanted
        ]
        found = ask(
            machine.session,
            f"""
made = ptmap.space().map()
result = [[(m.va, m.range.user, m.range.write, m.range.exec, m.range.global_)
           for m in made.find(pa) if m.pa == pa and m.size == 1] for pa in {wanted}]
""",
        )
        machine.session.run("set ptmap maxphyaddr auto")
        assert found == expected, space
        mappings = sum(map(len, found))
        report += compare.Report("", mappings, mappings)
    report.record()
    assert report.pages_in_ptmap > 100


def test_no_integers(gdb: GdbSession, long: Tables) -> None:
    fails(gdb, "ptmap.space().walk('x')", "the address is an int or a gdb.Value, not 'x'")
    fails(gdb, "ptmap.space().walk(1.5)", "not 1.5")
    fails(gdb, "ptmap.space().walk(gdb.Value('a'))", "is not in memory")
    fails(gdb, "ptmap.space().find(None)", "the physical address is an int")
    fails(gdb, "ptmap.space(2.5)", "root is an int or a gdb.Value, not 2.5")
    fails(gdb, "ptmap.space(cpu='x')", "cpu is an int")
    fails(gdb, "ptmap.space().map(filter=5)", "filter is a str of attributes, not 5")
    fails(gdb, "ptmap.diff('a', 'b')", "diff compares two Maps, not 'a'")
    fails(gdb, "ptmap.memory_type(-1)", "not the flags of a row")
    fails(gdb, "ptmap.memory_type(1 << 64)", "not the flags of a row")
    assert (
        ask(
            gdb,
            """
s = ptmap.space()
result = [repr(s.walk(0x400800)), repr(s.map()[0])]
""",
        )
        == ["<ptmap.Walk 0x400800: mapped>", "<ptmap.Range 0x400000, 8K, ur-x->"]
    )


def test_values(gdb: GdbSession, long: Tables) -> None:
    """Ranges compare by what they say; what is not mapped has no physical address."""
    assert (
        ask(
            gdb,
            """
m = ptmap.space().map()
one = m[0]
result = [one == m[0], one != m[1], one in m, m.index(m[2]), len({one, m[0], m[1]}), one == 1,
          one.flags == next(m.rows())[3], m.find(one.pa)[0] == m.find(one.pa)[0]]
""",
        )
        == [True, True, True, 2, 2, False, True, True]
    )
    assert (
        ask(
            gdb,
            """
walk = ptmap.space().walk(0x123456789000)
try:
    walk.pa
except ValueError as error:
    result = [walk.outcome, str(error), walk.rights, walk.page_size]
""",
        )
        == ["not-present", "it is not mapped", "", 0]
    )


# Differences


DIFFER = """
def side(one):
    sizes = [name for bit, name in enumerate(("4K", "2M", "4M", "1G")) if one.page_sizes >> bit & 1]
    return {"pa": None if one.pa is None else hex(one.pa), "user": one.user, "write": one.write,
            "exec": one.exec, "global": one.global_, "cache": one.cache, "page_size": sizes[0]}

def row(d):
    one = {"va": hex(d.va), "size": hex(d.size), "what": d.what}
    unknown = ["before"] * d.unknown_before + ["after"] * d.unknown_after
    parts = {"changed": d.changed, "unknown": unknown,
             "before": d.before and side(d.before), "after": d.after and side(d.after)}
    return one | {name: part for name, part in parts.items() if part}

def rows(found):
    return [row(d) for d in found]
"""


def states(machine: BareMachine, mode: str) -> Iterator[int]:
    """Random spaces, each followed by itself with some bits of its entries flipped."""
    rng, number = random.Random(mode), 0
    for space in spaces(mode, SEEDS):
        space.tables.write_to(machine)
        machine.set_mode(mode, space.root, pse=space.pse, nxe=space.nxe, pge=space.pge)
        yield number
        for page in space.tables.pages:
            entry = page + rng.randrange(4096 // entry_size(mode)) * entry_size(mode)
            (low,) = machine.read_phys(entry, 1) or b"\0"
            machine.write_phys(entry, bytes([low ^ 1 << rng.choice((0, 1, 2, 3, 4, 5))]))
        yield number + 1
        number += 2


@pytest.mark.parametrize("mode", MODES)
def test_differences_are_the_commands(machine: BareMachine, mode: str, tmp_path: Path) -> None:
    """Of random spaces, one after the other: a map kept, one loaded, both ways; what the command
    tells of the same two. Map.save()'s file is worth as much as `ptmap save`'s."""
    gdb, kinds = machine.session, set()
    report = compare.total("ptmap diff", f"differences for scripts, {mode}", unit="differences")
    ask(gdb, "ptmap.last = None")
    for number in states(machine, mode):
        gdb.run(f"ptmap save {tmp_path}/{number}")
        found = ask(
            gdb,
            DIFFER
            + f"""
made = ptmap.space().map(sizes=True)
made.save("{tmp_path}/{number}.script")
saved = ptmap.load("{tmp_path}/{number}")
result = {{"same": [d.what for d in ptmap.diff(made, saved) if d.what != "unknown"],
          "root": made.root}}
if ptmap.last is not None:
    loaded = ptmap.load("{tmp_path}/{number - 1}")
    forth, split = ptmap.diff(ptmap.last, made), ptmap.diff(ptmap.last, made, physical=True)
    result |= {{
        "forth": rows(forth), "loaded": rows(ptmap.diff(loaded, made)), "split": rows(split),
        "back": rows(ptmap.diff(made, loaded)), "counts": forth.counts(),
        "complete": forth.complete,
    }}
ptmap.last = made
""",
        )
        assert found["same"] == []
        same = json.loads(gdb.run(f"ptmap diff -json - {tmp_path}/{number}.script"))
        assert {d["what"] for d in same["differences"]} <= {"unknown"}
        assert same["before"]["root"] == same["root"] == hex(found["root"])
        if not number:
            continue
        files = f"{tmp_path}/{number - 1}.script", f"{tmp_path}/{number}"
        document = json.loads(gdb.run(f"ptmap diff -json - {files[0]} current"))
        expected = document["differences"]
        assert found["forth"] == found["loaded"] == expected
        assert found["complete"] == document["complete"]
        assert found["counts"] == {
            name: [one["stretches"], int(one["bytes"], 16)]
            for name, one in document["counts"].items()
        }
        for which, options in (
            ("split", f"-phys {' '.join(files)}"),
            ("back", f"{files[1]} {files[0]}"),
        ):
            rows = json.loads(gdb.run(f"ptmap diff -json - {options}"))["differences"]
            assert found[which] == rows
            expected = expected + rows
        report += compare.Report("", len(expected), len(expected))
        kinds |= {row["what"] for row in expected}
    report.record()
    assert report.pages_in_ptmap > 500 and {"added", "gone", "changed"} <= kinds


def test_differences_are_a_sequence(gdb: GdbSession, long: Tables) -> None:
    """Of two roots; lazily, with types, windows too."""
    assert (
        ask(
            gdb,
            """
from collections.abc import Sequence
s = ptmap.space()
whole, window = s.map(sizes=True), s.map(0x401000, 0x402000, sizes=True)
none, some = ptmap.diff(whole, whole), ptmap.diff(s.map(0x401000, 0x402000, sizes=True), window)
other = ptmap.diff(whole, ptmap.space(0x3000000, mode="4-level").map(sizes=True))
d, part = other[-1], other[1:][::-1]
assert isinstance(d, ptmap.Difference) and isinstance(d.before, ptmap.DiffSide) and d.after is None
result = [isinstance(other, Sequence), len(other), [d.va for d in other], [d.va for d in part],
          [d.what for d in other], d.before.rights, repr(other), len(none), len(some),
          bool(none), other.counts()["gone"]]
try:
    other[4]
except IndexError:
    result.append("IndexError")
""",
        )
        == [
            True,
            3,
            [0x400000, 0x600000, 0xFFFFFFFFFFFFF000],
            [0xFFFFFFFFFFFFF000, 0x600000],
            ["gone"] * 3,
            "srwxg",
            "<ptmap.Differences, 3 stretches>",
            0,
            0,
            False,
            [3, 0x3000 + (2 << 20) + 0x1000],
            "IndexError",
        ]
    )


def test_what_does_not_compare(gdb: GdbSession, long: Tables, tmp_path: Path) -> None:
    ask(
        gdb,
        """
ptmap.one = ptmap.space()
ptmap.exact = ptmap.one.map(sizes=True)
ptmap.pae = ptmap.space(0x3000000, mode="pae").map(sizes=True)
""",
    )
    for how in (
        "",
        "sizes=True, physical=False",
        "sizes=True, filter='user'",
        "sizes=True, view='user'",
    ):
        made = f"ptmap.one.map({how})"
        fails(gdb, f"ptmap.diff({made}, ptmap.exact)", "the map before was not made with phys")
        fails(gdb, f"ptmap.diff(ptmap.exact, {made})", "the map after was not made with phys")
        fails(gdb, f"{made}.save('{tmp_path}/no')", "was not made with physical=True")
    window = "ptmap.one.map(0x401000, 0x402000, sizes=True)"
    fails(gdb, f"ptmap.diff(ptmap.exact, {window})", "different windows")
    fails(gdb, f"{window}.save('{tmp_path}/no')", "whole space")
    fails(gdb, "ptmap.diff(ptmap.pae, ptmap.exact)", "of pae paging, the other of 4-level")
    fails(gdb, f"ptmap.exact.save('{tmp_path}/none/such')", "No such file")
    fails(gdb, f"ptmap.load('{tmp_path}/no')", "No such file")
    (tmp_path / "text").write_text("no map\n" * 100)
    fails(gdb, f"ptmap.load('{tmp_path}/text')", "not a ptmap snapshot")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text"]


def test_maps_of_files_need_no_target(
    machine: BareMachine, gdb: GdbSession, long: Tables, tmp_path: Path
) -> None:
    """Loaded, compared and saved again: the same bytes, labels and all."""
    gdb.run("set ptmap pat 0x0007040600070406")
    try:
        gdb.run(f"ptmap save {tmp_path}/saved")
        ask(gdb, "ptmap.made = ptmap.space().map(sizes=True)")
    finally:
        gdb.run("set ptmap pat auto")
    machine.set_mode("32-bit", 0x5000000)  # a map stays what it is
    try:
        ask(gdb, f"ptmap.made.save('{tmp_path}/script')")
    finally:
        machine.set_mode("4-level", long.root)
    saved = (tmp_path / "saved").read_bytes()
    with GdbSession(script=ptmap_script()) as alone:
        assert (
            ask(
                alone,
                f"""
saved, script = ptmap.load("{tmp_path}/saved"), ptmap.load("{tmp_path}/script")
saved.save("{tmp_path}/again")
ptmap.load("{LABELLED}").save("{tmp_path}/labelled")
result = [len(ptmap.diff(saved, script)), saved.root, saved.mode, saved.complete,
          [r.va for r in saved], [m.va for m in saved.find(0x1000000)], repr(saved)]
""",
            )
            == [
                0,
                long.root,
                "4-level",
                True,
                [0x400000, 0x402000, 0x600000, 0xFFFFFFFFFFFFF000],
                [0x400000, 0x600000],
                "<ptmap.Map 4-level of 4 ranges>",
            ]
        )
    assert (tmp_path / "again").read_bytes() == saved
    assert (tmp_path / "labelled").read_bytes() == LABELLED.read_bytes()
    assert (tmp_path / "script").read_bytes() == saved  # no labels here, and no Linux


def test_roots_and_modes(gdb: GdbSession, long: Tables) -> None:
    assert (
        ask(
            gdb,
            f"""
s = ptmap.space({long.root:#x}, mode="4-level")
result = [s.mode, s.root, s.registers.cr3, repr(s), s.notes]
""",
        )
        == ["4-level", long.root, long.root, f"<ptmap.Space 4-level root {long.root:#x}>", []]
    )
    assert ask(gdb, "result = ptmap.space('$cr3', cpu=0).root") == long.root
    fails(gdb, "ptmap.space(0x1001, mode='4-level')", "cannot be a 4-level root")
    fails(gdb, "ptmap.space(mode='5')", "is not one of 32-bit, pae")
    fails(gdb, "ptmap.space(half='user')", "no KPTI here")
    fails(gdb, "ptmap.space(cpu=7)", "there is no CPU 7")
    fails(gdb, "ptmap.space().map(filter='usr')", "is not an attribute")


# Buffers and lifetimes


def test_buffers_outlive_all(gdb: GdbSession, long: Tables) -> None:
    assert (
        ask(
            gdb,
            """
import array, gc
space = ptmap.space()
made = space.map()
view, pages, table = made.buffer(), space.pages().buffer(), space.tables()[0].entries()
row, first = view.tolist(), made[0]
del made, space
gc.collect()
junk = [bytes(4096) for _ in range(1000)]
numbers = array.array("Q", view.tobytes())
result = [view.readonly and pages.readonly and table.readonly, view.shape, view.format,
          row == view.tolist(), list(numbers[:2]), pages.shape, table[0] & 1, table.nbytes,
          first.va,
          [va for va, *_ in struct.iter_unpack("4Q", view)],
          [list(one) for one in ptmap.space().map().rows()] == row]
""",
        )
        == [
            True,
            [4, 4],
            "Q",
            True,
            [0x400000, 0x2000],
            [5, 5],
            1,
            4096,
            0x400000,
            [0x400000, 0x402000, 0x600000, 0xFFFFFFFFFFFFF000],
            True,
        ]
    )


def test_an_empty_map_and_an_unreadable_table(machine: BareMachine) -> None:
    space = Tables("32-bit")
    space.set(space.root, 5, 0x8000000 | P)  # no RAM there
    space.write_to(machine)
    machine.set_mode("32-bit", space.root)
    assert (
        ask(
            machine.session,
            """
s = ptmap.space()
made, tables = s.map(), s.tables()
try:
    tables[1].entries()
    said = "a buffer"
except BufferError:
    said = "BufferError"
result = [made.buffer().shape, made.buffer().tolist(), len(s.pages()), made.complete,
          [(g.table, g.level) for g in made.unreadable], said, tables[1].why, len(tables),
          tables[0].entries().format, tables[0].entries()[5]]
""",
        )
        == [[0, 4], [], 0, False, [[0x8000000, 1]], "BufferError", "not RAM", 2, "I", 0x8000001]
    )


def test_limits(gdb: GdbSession, long: Tables) -> None:
    gdb.run("set ptmap max-ranges 2")
    try:
        assert (
            ask(
                gdb,
                """
s = ptmap.space()
result = [len(s.map()), s.map().truncated, s.map().complete, len(s.pages()), s.pages().truncated]
""",
            )
            == [2, True, False, 2, True]
        )
    finally:
        gdb.run("set ptmap max-ranges auto")


def test_numpy_if_there(gdb: GdbSession, long: Tables) -> None:
    if not ask(gdb, "import importlib.util\nresult = bool(importlib.util.find_spec('numpy'))"):
        pytest.skip("GDB's Python has no numpy")
    assert (
        ask(
            gdb,
            """
import numpy
rows = numpy.asarray(ptmap.space().map().buffer())
result = [rows.shape, str(rows.dtype), int(rows[:, 1].sum())]
""",
        )
        == [[4, 4], "uint64", 0x3000 + (2 << 20) + 0x1000]
    )


# Moments


def test_a_space_reads_anew_and_its_data_stay(machine: BareMachine, long: Tables) -> None:
    session = machine.session
    ask(session, "ptmap.kept = ptmap.space(); ptmap.made = ptmap.kept.map()")
    changed = Tables("4-level")
    changed.map(0x400000, 0x1000000, KIB4, P | US | RW)
    assert changed.root == long.root
    changed.write_to(machine)
    assert (
        ask(
            session,
            """
result = [len(ptmap.made), ptmap.made[0].rights, len(ptmap.kept.map()), ptmap.kept.map()[0].rights,
          ptmap.kept.walk(0x402000).outcome]
""",
        )
        == [4, "ur-x-", 1, "urwx-", "not-present"]
    )
    session.run("set ptmap memory packets")
    try:
        fails(session, "ptmap.kept.walk(0)", "make it anew by ptmap.space()")
        assert ask(session, "result = len(ptmap.made)") == 4
    finally:
        session.run("set ptmap memory auto")


def test_without_a_target_and_with_paging_off(machine: BareMachine, long: Tables) -> None:
    with GdbSession(script=ptmap_script()) as session:
        fails(session, "ptmap.space()", "no target")
    machine.set_registers(cr0=1)
    try:
        fails(machine.session, "ptmap.space()", "paging is off")
    finally:
        machine.set_mode("4-level", long.root)


def test_loading_is_cheap_and_names_are_there() -> None:
    """Neither api.py nor the native module is loaded before one of its names is used."""
    with GdbSession(script=ptmap_script()) as session:
        assert (
            ask(
                session,
                """
import sys
result = ["ptmap.scripting.api" in sys.modules, "ptmap._core" in sys.modules, "space" in dir(ptmap)]
""",
            )
            == [False, False, True]
        )
        assert (
            ask(
                session,
                """
scope = {}
exec("from ptmap import *", scope)
result = sorted(set(ptmap.__all__) - set(scope)) + [n for n in ptmap.__all__
                                                    if n[0].isupper() and not scope[n].__doc__]
""",
            )
            == []
        )
        with pytest.raises(GdbFailure, match="has no attribute 'nonesuch'"):
            ask(session, "ptmap.nonesuch")


def test_no_module_takes_a_name() -> None:
    """`ptmap.space` would be the module as soon as somebody imports that."""
    package = Path(__file__).resolve().parents[2] / "gdb/ptmap"
    with GdbSession(script=ptmap_script()) as session:
        names = set(ask(session, "result = ptmap.__all__"))
    assert names and not names & {path.stem for path in package.iterdir()}


def test_inside_a_command_of_a_script(gdb: GdbSession, long: Tables) -> None:
    """A convenience function of a script, called in a command's argument, leaves it as it is."""
    ask(
        gdb,
        """
class Twice(gdb.Function):
    def invoke(self, va):
        return ptmap.space().walk(va).pa and ptmap.space().map()[0].va
Twice("twice")
""",
    )
    assert gdb.run("pte $twice(0x401000)") == gdb.run("pte 0x400000")
