"""ptmap diff: bare spaces changed entry by entry, against the naive walker's pages."""

from __future__ import annotations

import json
import random
import threading
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

import naive
from gdbsession import GdbFailure, GdbSession, ptmap_script, refused
from machine import BareMachine
from spaces import State, agree, expected, root_entries, tables_by_level
from tables import (
    G,
    GIB1,
    KIB4,
    MODES,
    NX,
    PAGE_SIZES,
    PCD,
    P,
    PS,
    RW,
    TOP,
    US,
    Tables,
    entries_in,
    entry_size,
    leaf_entry,
    random_space,
)

USER_RW, USER_RO, KERNEL = P | US | RW, P | US, P | RW


@pytest.fixture(scope="module")
def machine() -> Iterator[BareMachine]:
    with BareMachine(script=ptmap_script()) as machine:
        yield machine


@pytest.fixture()
def gdb(machine: BareMachine) -> GdbSession:
    return machine.session


def naive_walk(machine: BareMachine, root: int, cr4: int, efer: int, bits: int = 52) -> naive.Walk:
    return naive.walk(machine.read_phys, root, cr4, efer, bits)


def diff(gdb: GdbSession, operands: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(gdb.run(f"ptmap diff -json - {operands}"))
    assert (document["schema"], document["kind"]) == ("ptmap/1", "diff")
    return document


def base(mode: str) -> Tables:
    """Pages of every size, user's and the kernel's."""
    space = Tables(mode)
    for page in range(8):
        space.map(0x400000 + page * KIB4, 0x1000000 + page * KIB4, KIB4, USER_RO)
    large = PAGE_SIZES[mode][2]
    space.map(0x80000000, 0x2000000, large, KERNEL | G)
    space.map(0x80000000 + large, 0x2000000 + large, large, KERNEL | G)
    if mode in ("4-level", "5-level"):
        space.map(0x880000000000 if mode == "4-level" else 1 << 56, 0x0, GIB1, KERNEL)
    return space


KINDS: dict[str, tuple[int, int, Callable[[str, int], int]]] = {
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
    last: State | None = None
    for seed in range(900, 912):
        space = random_space(seed, mode)
        space.tables.write_to(machine)
        registers = machine.set_mode(mode, space.root, pse=space.pse, nxe=space.nxe, pge=space.pge)
        gdb.run(f"set ptmap maxphyaddr {space.maxphyaddr}")
        state = State(
            naive_walk(machine, registers.cr3, registers.cr4, registers.efer, space.maxphyaddr)
        )
        gdb.run(f"ptmap save {tmp_path}/{seed}")
        assert diff(gdb, f"{tmp_path}/{seed}")["counts"]["changed"]["stretches"] == 0
        rng = random.Random(seed)
        for _ in range(6):
            page = rng.choice([*space.tables.pages])
            at = page + rng.randrange(4096 // entry_size(mode)) * entry_size(mode)
            size = entry_size(mode)
            raw = int.from_bytes(machine.read_phys(at, size) or b"", "little")
            machine.write_phys(
                at, (raw ^ 1 << rng.choice((0, 1, 2, 3, 4, 8, 12, 13))).to_bytes(size, "little")
            )
        changed = State(
            naive_walk(machine, registers.cr3, registers.cr4, registers.efer, space.maxphyaddr)
        )
        wanted = expected(state, changed)
        for operands in ("", f"{tmp_path}/{seed}"):
            stretches += agree(diff(gdb, operands), wanted)
        differing += bool(wanted)
        if last is not None:
            document = diff(gdb, f"{tmp_path}/{seed - 1} {tmp_path}/{seed}")
            stretches += agree(document, expected(last, state))
        last = state
    gdb.run("set ptmap maxphyaddr auto")
    assert stretches > 300 and differing > 5


@pytest.mark.parametrize("mode", MODES)
def test_shared_tables(machine: BareMachine, gdb: GdbSession, mode: str) -> None:
    """Two roots in one memory, counted from their bytes."""
    space = base(mode)
    space.map(0x10000000, 0x3000000)
    other = space.alloc()
    top, count = TOP[mode], entries_in(mode, TOP[mode])
    used = [i for i in range(count) if space.get(space.root, i) & P]
    for index in used:
        space.set(other, index, space.get(space.root, index))
    # One entry names a copy of the table, all of whose entries but one are the same.
    below = space.alloc()
    old = space.get(space.root, used[0])
    if old & ~0xFFF and not (mode == "32-bit" and old & PS):
        space.pages[below][:] = space.pages[old & ~0xFFF]
        space.set(other, used[0], below | old & 0xFFF)
        space.set(below, 3, 0)
    if mode != "pae":
        space.set(other, used[-1], space.get(other, used[-1]) ^ US)
        space.set(other, used[-1] - 1, 0)
        space.set(other, used[-1] - 2, space.get(space.root, used[-1]))
    space.write_to(machine)
    r = machine.set_mode(mode, space.root)
    document = diff(gdb, f"root={other:#x}")
    one, two = (root_entries(machine.read_phys, root, mode) for root in (other, space.root))
    shared = document["shared"]
    half = count // 2
    names = [part["part"] for part in shared["parts"]]
    if mode in ("4-level", "5-level"):
        assert names == ["lower part", "upper part"]
        parts = [range(half), range(half, count)]
    elif names == ["root"]:
        parts = [range(count)]
    else:
        split = int(json.loads(gdb.run("ptmap -json -"))["split"], 16) * count >> 32
        parts = [range(split), range(split, count)]
    for part, indices in zip(shared["parts"], parts):
        a, b = ({i: e for i, e in entries.items() if i in indices} for entries in (one, two))
        same = [i for i in a if i in b and a[i][0] == b[i][0]]
        equal = [i for i in same if a[i] == b[i]]
        assert part == {
            "part": part["part"],
            "before": len(a),
            "after": len(b),
            "either": len(a | b),
            "shared": len(equal),
            "other_rights": len(same) - len(equal),
        }
    common = set.intersection(
        *(tables_by_level(machine.read_phys, root, r.cr4, r.efer) for root in (other, space.root))
    )
    numbers = {"PT": 1, "PD": 2, "PDPT": 3, "PML4": 4, "PML5": 5}
    assert shared["tables"] == len({table for _, table in common}) > 0
    assert {numbers[name]: n for name, n in shared["levels"].items()} == {
        level: sum(number == level for number, _ in common) for level in range(1, top + 1)
    }
    # Below the root entry that differs, all that the copy has, but what was taken away.
    text = gdb.run(f"ptmap diff root={other:#x}")
    assert "in common, of" in text and max(map(len, text.splitlines())) <= 80
    if shared["below"]:
        assert "below other root entries the same tables translate" in text
        for stretch in shared["below"]:
            va = int(stretch["va"], 16)
            for at in (va, va + int(stretch["size"], 16) - KIB4):
                paths = [
                    [
                        table
                        for _, table, _ in naive.steps(machine.read_phys, at, root, r.cr4, r.efer)
                    ]
                    for root in (other, space.root)
                ]
                assert paths[0][0] >> 12 != paths[1][0] >> 12
                assert any(x >> 12 == y >> 12 for x, y in zip(*paths))
    assert shared["below"] or mode == "32-bit"
    itself = diff(gdb, "current current")
    assert itself["differences"] == [] and itself["shared"] is None
    text = gdb.run("ptmap diff current current")
    assert text.endswith("no differences\nboth have the same root\n")


@pytest.mark.parametrize("mode", MODES)
def test_everything_leads_to_the_root(
    machine: BareMachine, gdb: GdbSession, mode: str, tmp_path: Path
) -> None:
    """Two spaces that are all one table each: bounded, and told what is not known."""
    space = Tables(mode)
    other = space.alloc()
    for root in (space.root, other):
        for index in range(entries_in(mode, TOP[mode])):
            space.set(root, index, root | (P if mode == "pae" else P | US | RW))
    space.write_to(machine)
    machine.set_mode(mode, space.root)
    gdb.run("set ptmap max-ranges 20000")
    try:
        text = gdb.run(f"ptmap diff root={other:#x}")
        document = diff(gdb, f"root={other:#x}")
        gdb.run(f"ptmap save {tmp_path}/hostile")
        again = diff(gdb, f"{tmp_path}/hostile")
    finally:
        gdb.run("set ptmap max-ranges auto")
    assert document["complete"] == again["complete"] == ("INCOMPLETE" not in text)
    assert {d["what"] for d in again["differences"]} <= {"unknown"}
    assert {d["what"] for d in document["differences"]} <= {"changed", "unknown"}
    assert document["shared"]["tables"] == 0
    ends = [int(d["va"], 16) + int(d["size"], 16) for d in document["differences"]]
    if not document["complete"]:
        assert ends[-1] == (1 << 32 if mode in ("32-bit", "pae") else 1 << 64)


def test_the_pat_of_then(machine: BareMachine, gdb: GdbSession, tmp_path: Path) -> None:
    """What `set ptmap pat` says now is no difference to a map of before."""
    space = Tables("4-level")
    for slot in range(4):
        space.map(0x400000 + slot * 0x1000, 0x10000, KIB4, USER_RW | slot << 3)  # PWT, PCD
    space.write_to(machine)
    machine.set_mode("4-level", space.root)
    try:
        for before, after in (("0x0407050600070106", "auto"), ("auto", "0x0407050600070106")):
            gdb.run(f"set ptmap pat {before}")
            gdb.run(f"ptmap save {tmp_path}/pat")
            gdb.run(f"set ptmap pat {after}")
            assert diff(gdb, f"{tmp_path}/pat")["differences"] == []
            space.set_entry(0x400000, 1, space.entry(0x400000, 1) ^ PCD)
            space.write_to(machine)
            (one,) = diff(gdb, f"{tmp_path}/pat")["differences"]
            assert one["changed"] == ["cache"]
    finally:
        gdb.run("set ptmap pat auto")


def test_a_cpu_that_changes_in_the_middle(tmp_path: Path) -> None:
    """Of two CPUs neither of which is the selected one; and two CPUs with one root, but other
    rules."""
    with BareMachine(script=ptmap_script(), args=("-smp", "3")) as machine:
        space = Tables("4-level")
        space.map(0x400000, 0x10000, KIB4, USER_RW | G)
        space.write_to(machine)
        gdb = machine.session
        for number in (1, 2, 3):
            gdb.run(f"thread {number}")
            machine.set_mode("4-level", space.root)
        cr4 = gdb.eval("$cr4")
        machine.set_registers(cr4=cr4 & ~0x80)  # CR4.PGE
        gdb.run("thread 1")
        (one,) = diff(gdb, "cpu=1 cpu=2")["differences"]
        assert one["changed"] == ["global"]
        gdb.python(
            """
from ptmap.spaces import walks
kept = walks.scan
def scan(*arguments):
    walks.scan = kept
    gdb.execute("thread 3", False, True)
    gdb.selected_inferior().connection.send_packet(PACKET)
    gdb.execute("thread 1", False, True)
    return kept(*arguments)
walks.scan = scan
""".replace(
                "PACKET", repr(f"P1e={cr4.to_bytes(8, 'little').hex()}")
            )
        )
        refused(gdb, "ptmap diff cpu=1 cpu=2", "ran or was reset", "ask again")
        assert diff(gdb, "cpu=1 cpu=2")["differences"] == []


def test_the_last_map(machine: BareMachine, gdb: GdbSession, tmp_path: Path) -> None:
    space = base("4-level")
    other = space.alloc()
    space.write_to(machine)
    machine.set_mode("4-level", other)
    refused(gdb, "ptmap diff", "no earlier map of the root", f"{other:#x}", "`ptmap` makes one")
    gdb.run("ptmap 0x400000 0x500000")  # a window is no map of the space
    gdb.run("ptmap -at 0")
    gdb.run("pte 0x400000")
    refused(gdb, "ptmap diff", "no earlier map of the root")
    gdb.run("ptmap -filter write -as user")  # a view of all of it
    assert "before the last map (ptmap): 4-level" in gdb.run("ptmap diff")
    assert "before the last map (ptmap diff): " in gdb.run("ptmap diff")
    # Each root has its own; the oldest go.
    gdb.run(f"ptmap save -root {space.root:#x} {tmp_path}/a")
    entry = space.entry(0x400000, 1)
    where = space.set_entry(0x400000, 1, entry | RW)
    space.write_to(machine)
    assert gdb.run("ptmap diff").endswith("no differences\n")
    machine.set_mode("4-level", space.root)
    document = diff(gdb, "")
    assert [d["changed"] for d in document["differences"]] == [["rights"]]
    assert document["before"]["name"] == "the last map (ptmap save)"
    assert document["shared"] is None and where
    for _ in range(5):
        gdb.run(f"ptmap -root {space.alloc():#x} -json {tmp_path}/map")
    refused(gdb, "ptmap diff", "no earlier map of the root")


def test_what_makes_no_last_map(machine: BareMachine, gdb: GdbSession) -> None:
    """Commands that read all of the space, and are no map of it, leave what diff compares with."""
    space = base("4-level")
    space.map(0xFFFF800000000000, space.root, 0x1000, P | RW)
    space.write_to(machine)
    machine.set_mode("4-level", space.root)
    gdb.run("ptmap")
    space.set_entry(0x400000, 1, space.entry(0x400000, 1) | RW)
    space.write_to(machine)
    for command in ("find 0x1000000", "find -aliases", "check 'no write+exec'", "regs", "vdso"):
        try:
            gdb.run(f"ptmap {command}")
        except GdbFailure:
            pass  # a rule that does not hold
    gdb.run(f"pte -watch {0x7000000000:#x}")
    gdb.run("delete")
    gdb.python("import ptmap; space = ptmap.space(); space.map(); space.find(0x1000)")
    document = diff(gdb, "")
    assert document["before"]["name"] == "the last map (ptmap)"
    assert [d["changed"] for d in document["differences"]] == [["rights"]]


def test_another_target_has_other_maps(tmp_path: Path) -> None:
    space = base("pae")
    with BareMachine(script=ptmap_script()) as machine:
        space.write_to(machine)
        machine.set_mode("pae", space.root)
        gdb = machine.session
        gdb.run("ptmap")
        assert "no differences" in gdb.run("ptmap diff")
        gdb.disconnect()
        gdb.attach(machine.qemu.gdb_target)
        refused(gdb, "ptmap diff", "no earlier map of the root")
        # A dump of the same machine is another target too, and the same space.
        gdb.run(f"ptmap save {tmp_path}/live")
        gdb.disconnect()
        machine.hmp(f"dump-guest-memory {tmp_path}/dump")
        gdb.run(f"set ptmap memory dump {tmp_path}/dump")
        refused(gdb, "ptmap diff", "no earlier map of the root")
        document = diff(gdb, f"{tmp_path}/live")
        assert document["differences"] == [] and document["complete"]
        assert document["before"]["ranges"] == 2


def test_operands(machine: BareMachine, gdb: GdbSession, tmp_path: Path) -> None:
    space = base("32-bit")
    space.write_to(machine)
    machine.set_mode("32-bit", space.root)
    gdb.run(f"cd {tmp_path}")
    for name in ("current", "root=1", "a b"):
        gdb.run(f"ptmap save './{name}'")
        assert diff(gdb, f"'./{name}'")["before"]["live"] is False
    assert diff(gdb, "'a b' \"root=$cr3 + 0\"")["after"]["live"] is True
    assert diff(gdb, "current")["before"]["live"] is True
    assert diff(gdb, "cpu=0")["differences"] == []
    refused(gdb, "ptmap diff cpu=1", "there is no CPU 1")
    refused(gdb, "ptmap diff root=0x1234", "cannot be a 32-bit root")
    refused(gdb, "ptmap diff root=nosuch", "nosuch")
    refused(gdb, "ptmap diff half=user", "no KPTI here")
    refused(gdb, "ptmap diff half=both", "user, kernel")
    refused(gdb, "ptmap diff pid=1", "no Linux recognised")
    refused(gdb, "ptmap diff comm=init", "no Linux recognised")
    refused(gdb, "ptmap diff pid=", "needs a value")
    refused(gdb, "ptmap diff a b c", "two spaces", "'c'")
    refused(gdb, "ptmap diff nosuch", "No such file", "current", "root=...")
    refused(gdb, "ptmap diff x=1", "No such file", "current")
    refused(gdb, "ptmap diff /dev/null", "not a regular file")
    refused(gdb, "ptmap diff -mode pae 'a b'", "32-bit", "pae", "cannot be compared")
    assert diff(gdb, f"-mode pae current root={space.root:#x}")["mode"] == "pae"
    assert "ptmap diff half=kernel" in gdb.run("complete ptmap diff ha")
    gdb.run("set ptmap cr0 0x11")
    refused(gdb, "ptmap diff current", "paging is off")
    assert "no differences" in gdb.run("ptmap diff 'a b' ./current")
    gdb.run("set ptmap cr0 auto")
    gdb.run(f"ptmap diff -o {tmp_path}/shown -phys 'a b'")
    assert "no differences" in (tmp_path / "shown").read_text()


def test_text(machine: BareMachine, gdb: GdbSession, tmp_path: Path) -> None:
    space = base("pae")
    space.write_to(machine)
    machine.set_mode("pae", space.root)
    gdb.run(f"ptmap save {tmp_path}/a")
    space.set_entry(0x400000, 1, 0)
    space.set_entry(0x401000, 1, 0)
    space.set_entry(0x402000, 1, 0x1234000 | USER_RW | NX)
    space.map(0x500000, 0x3000000, KIB4, KERNEL)
    space.map(0x501000, 0x5000000, KIB4, KERNEL)
    space.set_entry(0x80000000, 2, 0x8000000 | KERNEL)
    space.write_to(machine)
    text = gdb.run("ptmap diff").splitlines()
    at = next(n for n, line in enumerate(text) if "physical" in line)
    assert text[at : at + 7] == [
        "  start      end        size rights type pages physical",
        "- 0x00400000 0x00402000   8K ur-x-  WB   4K    0x1000000",
        "~ 0x00402000 0x00403000   4K ur-x-  WB   4K    0x1002000",
        "->                           urw--             0x1234000",
        "+ 0x00500000 0x00502000   8K srwx-  WB   4K    -",
        "? 0x80000000 0x80200000   2M not known after",
        "1 stretch added (8K), 1 stretch gone (8K), 1 stretch changed (4K), 1 stretch not",
    ]
    assert text[0].startswith("before the last map (ptmap save): pae paging, root")
    assert any("PT at 0x8000000: not RAM" in line for line in text)
    split = gdb.run(f"ptmap diff -phys {tmp_path}/a")
    assert "+ 0x00500000 0x00501000   4K srwx-  WB   4K    0x3000000" in split
    gdb.run(f"ptmap diff -json {tmp_path}/out.json {tmp_path}/a")
    assert json.loads((tmp_path / "out.json").read_text())["complete"] is False


def test_ctrl_c(machine: BareMachine, gdb: GdbSession) -> None:
    """In the middle of millions of ranges: it ends, and the next command works."""
    space = Tables("4-level")
    for root in (space.root, other := space.alloc()):
        pdpt, pd, pt = space.alloc(), space.alloc(), space.alloc()
        space.set(root, 0, pdpt | USER_RW)
        for index in range(512):
            space.set(pdpt, index, pd | USER_RW)
            space.set(pd, index, pt | USER_RW)
            space.set(pt, index, (index * 7 % 512) << 12 | (USER_RO if index % 2 else USER_RW))
    space.write_to(machine)
    machine.set_mode("4-level", space.root)
    gdb.run("set ptmap max-ranges 16000000")  # some seconds of work
    timer = threading.Timer(0.5, gdb.interrupt)
    timer.start()
    start = time.monotonic()
    try:
        with pytest.raises(GdbFailure) as failure:
            gdb.run(f"ptmap diff -phys root={other:#x}")
    finally:
        timer.join()
        gdb.run("set ptmap max-ranges auto")
    assert failure.value.kind == "KeyboardInterrupt", failure.value
    assert time.monotonic() - start < 10
    assert "both have the same root" in gdb.run("ptmap diff current current")
