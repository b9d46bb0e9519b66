"""pte -expect RULE: the explanation as ever, then an error where the rule does not hold."""

from __future__ import annotations

import json
from typing import Any, Iterator

import pytest

import naive
import tables
from gdbsession import GdbFailure, GdbSession, ptmap_script, refused
from machine import BareMachine, Registers
from tables import GIB1, KIB4, MIB2, NX, P, PCD, PWT, RW, US, G, Tables


@pytest.fixture(scope="module")
def machine() -> Iterator[BareMachine]:
    with BareMachine(script=ptmap_script()) as machine:
        yield machine


@pytest.fixture(scope="module")
def registers(machine: BareMachine) -> Registers:
    """Pages of each size, each right taken away by each level, and what cannot be told."""
    space = Tables("4-level")
    space.map(0x400000, 0x1000000, KIB4, P | US)
    space.map(0x600000, 0x200000, MIB2, P | RW | US | NX)
    space.map(0x40000000, 0x40000000, GIB1, P | RW | US | G)
    for slot, (right, flags) in enumerate({US: P | RW, RW: P | US, NX: tables.USER | NX}.items()):
        for level in (2, 3, 4):
            va = (4 * slot + level) << 39
            space.map(va, 0x1002000)
            space.set_entry(va, level, space.entry(va, level) & ~0xFFF | flags)
    space.map(0xFFFF800000000000, 0x1003000, KIB4, P | RW | PCD | PWT)
    space.map(0xFFFF800000001000, 0x1003000, KIB4, P | RW | PWT)
    space.set_entry(0xFFFF900000000000, 3, 0x7FFFF000 | tables.USER)
    space.set_entry(0xFFFFA00000000000, 3, tables.USER | tables.PS | 1 << 13)
    space.write_to(machine)
    return machine.set_mode("4-level", space.root)


@pytest.fixture()
def gdb(machine: BareMachine, registers: Registers) -> GdbSession:
    return machine.session


@pytest.mark.parametrize(
    "rule, vas",
    [
        ("mapped", "0x400000 0x600000 0x40000000"),
        ("unmapped", "0 0x401000 0x800000000000"),
        ("user", "0x400000 0x7fffffff"),
        ("'user read-only exec'", "0x400000"),
        ("user+read-only", "0x400fff"),
        ("2M,1G", "0x600000 0x40000000"),
        ("large", "0x600000"),
        ("'write no-exec, global'", "0x600000 0x40000000"),
        ("UC", "0xffff800000000fff"),
        ("no-UC", "0x400000"),
        ("PAT1", "0xffff800000001000"),
        ("supervisor", "-0x800000000000"),
    ],
)
def test_what_holds(gdb: GdbSession, rule: str, vas: str) -> None:
    """Nothing else is printed than without it."""
    assert gdb.run(f"pte -expect {rule} {vas}") == gdb.run(f"pte {vas}")
    document = json.loads(gdb.run(f"pte -json - -expect {rule} {vas}"))
    assert document["expect"] == rule.strip("'")
    for one in document["addresses"]:
        assert one["expect"] == {
            "result": "ok",
            "why": None,
            "va": None,
            "found": None,
            "entry": None,
            "notes": [],
        }


CASES = [
    (f"{word}", (4 * slot + level) << 39, right)
    for slot, (word, right) in enumerate((("user", US), ("write", RW), ("exec", NX)))
    for level in (2, 3, 4)
]


@pytest.mark.parametrize(
    "rule, va, right",
    [
        *CASES,
        ("unmapped", 0x400000, 0),
        ("mapped", 0x401000, 0),
        ("user", 0, 0),
        ("supervisor", 0x40000000, 0),
        ("4K", 0x600000, 0),
        ("no-global", 0x40000000, 0),
        ("read-only", 0x600000, 0),
        ("'user write'", 0x400000, RW),
        ("no-WB", 0x400000, 0),
    ],
)
def test_what_does_not_hold(
    machine: BareMachine, gdb: GdbSession, registers: Registers, rule: str, va: int, right: int
) -> None:
    """The explanation is printed, and the error has the address and the naive walker's entry."""
    steps = list(naive.steps(machine.read_phys, va, registers.cr3, registers.cr4, registers.efer))
    if right:
        steps = [s for s in steps if bool(s[2] & right) == (right == NX)][:1]
    level, where, raw = steps[-1]
    name = {1: "PTE", 2: "PDE", 3: "PDPTE", 4: "PML4E"}[level]
    says = {
        US: "US=0",
        RW: "RW=0",
        NX: "XD=1",
        0: ("maps the page" if raw & P else "not present (P=0)"),
    }[right]
    plain = rule.strip("'")
    refused(
        gdb,
        f"pte -expect {rule} {va:#x}",
        f"pte: expected {plain}: 0x{va:016x} is ",
        f"({name} {where % 4096 // 8} at {where:#x} = 0x{raw:016x}: {says})",
    )
    with pytest.raises(GdbFailure):
        gdb.run(f"pte -json /dev/null -expect {rule} {va:#x}")


def test_the_explanation_comes_first(gdb: GdbSession, tmp_path: Any) -> None:
    explained = gdb.run("pte 0x400000 0x600000")
    refused(
        gdb,
        f"pte -o {tmp_path}/o -expect write 0x400000 0x600000",
        "1 of 2 addresses differ",
        "RW=0",
    )
    assert (tmp_path / "o").read_text() == explained
    refused(gdb, f"pte -json {tmp_path}/j -expect write 0x600000 0x400000 0x401000", "2 of 3")
    results = [one["expect"] for one in json.loads((tmp_path / "j").read_text())["addresses"]]
    assert [one["result"] for one in results] == ["ok", "failed", "failed"]
    assert (results[1]["entry"]["name"], results[1]["entry"]["says"]) == ("PTE", "RW=0")
    assert results[2]["found"] == "not mapped"


@pytest.mark.parametrize(
    "rule, va, words",
    [
        ("mapped", "0xffff900000000000", ("PDE 0 at 0x7ffff000: could not be read", "not RAM")),
        ("unmapped", "0xffff900000000000", ("could not be read",)),
        ("user", "0xffffa00000000000", ("a reserved bit is set",)),
        ("WC", "0xffff800000001000", ("its memory type is not known (set ptmap pat)",)),
        ("no-WC", "0xffff800000001000", ("set ptmap pat",)),
    ],
)
def test_what_cannot_be_told(gdb: GdbSession, rule: str, va: str, words: tuple[str, ...]) -> None:
    refused(
        gdb, f"pte -expect {rule} {va}", f"pte: cannot tell whether it is {rule}: {va} ", *words
    )


@pytest.mark.parametrize(
    "rule, words",
    [
        ("usr", "'usr' is not an attribute"),
        ("''", "-expect: "),
        ("user+supervisor", "contradicts"),
        ("'mapped user'", "go with no other word"),
        ("-user", "-expect needs"),
        ('"\'user"', "the quote ' is not closed"),
        ("'range 0 1 user'", "'range' is not an attribute"),
    ],
)
def test_what_is_no_rule(gdb: GdbSession, rule: str, words: str) -> None:
    """And nothing is printed then."""
    refused(gdb, f"pte -expect {rule} 0x400000", words)


def test_completion_and_help(gdb: GdbSession) -> None:
    found = gdb.run("complete pte -expect unm") + gdb.run("complete pte -exp")
    assert "-expect unmapped" in found and "-expect" in found
    assert "-expect RULE" in gdb.run("help pte")
    assert max(map(len, gdb.run("help pte").splitlines())) <= 80
