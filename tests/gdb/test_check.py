"""ptmap check: each form of rule, holding, failing, undecided and malformed; what it names is
compared with the naive walker's."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Iterator

import pytest

import compare
import naive
import tables
from gdbsession import GdbFailure, GdbSession, ptmap_script, refused
from judging import put, registers_of, wipe
from machine import BareMachine, Registers
from qemu import Qemu
from rule_judge import against_naive, check
from tables import KIB4, MIB2, NX, P, PCD, PWT, RW, US, G, Tables

ROOT = Path(__file__).resolve().parents[2]
USER_RO, USER_RW, KERNEL = P | US, P | US | RW, P | RW
RIGHTS = {"user": US, "write": RW, "exec": NX}


@pytest.fixture(scope="module")
def machine() -> Iterator[BareMachine]:
    with BareMachine(script=ptmap_script()) as machine:
        yield machine


@pytest.fixture()
def gdb(machine: BareMachine) -> Iterator[GdbSession]:
    yield machine.session
    for setting in ("max-tables 262144", "max-ranges 4194304", "pat auto", "maxphyaddr auto"):
        machine.session.run(f"set ptmap {setting}")


@pytest.fixture()
def pae(machine: BareMachine) -> tuple[Tables, Registers]:
    """User text and data, a kernel of large pages with W+X and without, devices; one frame twice,
    and a page whose PDE takes user and write away."""
    space = Tables("pae")
    space.map(0x08048000, 0x1000000, KIB4, USER_RO)
    space.map(0x08049000, 0x1001000, KIB4, USER_RW | NX)
    space.map(0x0804A000, 0x1003000, KIB4, USER_RW | NX)
    space.map(0x20000000, 0x1003000, KIB4, USER_RW | NX, upper_flags=P)
    space.map(0xC0000000, 0x0000000, MIB2, KERNEL | G)
    space.map(0xC0200000, 0x0200000, MIB2, KERNEL | G | NX)
    space.map(0xC0400000, 0x0400000, KIB4, KERNEL | G | NX)
    space.map(0xD0000000, 0xE0000000, KIB4, KERNEL | NX | PWT)
    space.map(0xFFFFF000, 0xFEC00000, KIB4, KERNEL | NX | PCD | PWT)
    space.write_to(machine)
    return space, machine.set_mode("pae", space.root)


@pytest.fixture()
def damaged(machine: BareMachine, pae: tuple[Tables, Registers]) -> tuple[Tables, Registers]:
    """The same with a table that cannot be read and an entry with a reserved bit."""
    space, registers = pae
    space.set_entry(0x30000000, 2, 0x7FFFF000 | tables.USER)
    space.set_entry(0xC0600000, 2, 0x600000 | 1 << 13 | tables.PS | KERNEL)
    space.write_to(machine)
    return space, registers


def entry_of(
    machine: BareMachine, registers: Registers, va: int, right: str | None = None
) -> tuple[int, int, int]:
    """By the naive walker: (level, address, entry) of the one that takes a right away, else of the
    last on the way."""
    steps = list(naive.steps(machine.read_phys, va, registers.cr3, registers.cr4, registers.efer))
    if right is None:
        return steps[-1]
    for level, where, entry in steps:
        rightless = registers.mode == "pae" and level == 3
        if not rightless and bool(entry & RIGHTS[right]) == (right == "exec"):
            return level, where, entry
    raise AssertionError(f"no entry takes {right} away at {va:#x}")


HOLD = """
no user+exec+write
no user in 0xc0000000 0
no user in 0x20000000 0x20001000
no global,large in 0 0xc0000000
only supervisor in 0xc0000000 0
only user,supervisor
only user no-exec in 0x08049000 0x0804b000
0x08048000 user read-only exec
0x08048fff user,UC read-only
0x20000000 supervisor read-only
0xc0000000 large supervisor write
0xc0000000 2M+global
0xfffff000 UC
0xd0000000 no-large
0xd0000000 PAT1
0x08047fff unmapped
0x08048000 mapped
"0x08048000 + 0x1000" write
-4096 UC
range 0x08048000 0x0804b000 mapped
range 0x08049000 0x0804b000 user write no-exec
range 0x0804b000 0x20000000 unmapped
range 0xfffff000 0 supervisor
range 0xfffff000 0x100000000 supervisor
range 0xc0000000 0xc0400000 2M
range 0xc0400000 0xc0401000 4K
null page unmapped
pa 0xb8000 mapped once
pa 0xb8000 mapped 1 times
pa 0x1003000 mapped twice
pa 0x1003abc mapped 2 times
pa 0x1003000 write,read-only
pa 0x1002000 unmapped
pa 0x1002000 mapped 0 times
pa 0x0 mapped
pa 0x1003abc mapped at 0x20000abc
count tables == 8
count tables < 200
count tables <= 8
count pages = 9
count 4K >= 7
count 2M != 3
count 2M > 1
count 1G == 0
count ranges == 7
vdso absent
""".strip().splitlines()


def test_rules_that_hold(gdb: GdbSession, pae: Any, tmp_path: Path) -> None:
    rules, error = check(gdb, tmp_path, *HOLD)
    assert [rule for rule in rules if rule["result"] != "ok"] == [] and error == ""
    text = gdb.run(f"ptmap check -file {tmp_path}/rules")
    assert text.startswith("pae paging, root 0x") and max(map(len, text.splitlines())) <= 80
    assert re.findall(r"^ok +(\d+)  ", text, re.M) == [str(n + 1) for n in range(len(HOLD))]
    assert text.splitlines()[-1] == f"{len(HOLD)} rules: {len(HOLD)} ok; the map is complete"


# rule, the address that breaks it, what takes the entry that is named: a right that is missing
FAIL: list[tuple[str, int | None, str | None]] = [
    ("no write+exec", 0xC0000000, None),
    ("no user", 0x08048000, None),
    ("no user in 0x08048800 0", 0x08048800, None),
    ("no user in 0x08049000 0x20000000", 0x08049000, None),
    ("no read-only in 0x20000000 0x30000000", 0x20000000, "write"),
    ("no no-exec", 0x08049000, "exec"),
    ("no large", 0xC0000000, None),
    ("no UC", 0xFFFFF000, None),
    ("only user", 0x20000000, "user"),
    ("only write", 0x08048000, "write"),
    ("only no-exec in 0x08048000 0x08049000", 0x08048000, None),
    ("only 4K", 0xC0000000, None),
    ("0xc0000000 supervisor no-write", 0xC0000000, None),
    ("0x20000000 user", 0x20000000, "user"),
    ("0x20000000 write", 0x20000000, "write"),
    ("0x20000000 no-exec user", 0x20000000, "user"),
    ("0x20000000 exec", 0x20000000, "exec"),
    ("0x08048000 write", 0x08048000, "write"),
    ("0x08047000 mapped", 0x08047000, None),
    ("0x10000000 user", 0x10000000, None),
    ("0xc0000000 unmapped", 0xC0000000, None),
    ("range 0x08048000 0x0804b000 user read-only", 0x08049000, None),
    ("range 0x08048000 0x0804b000 write", 0x08048000, "write"),
    ("range 0x08048000 0x0804c000 user", 0x0804B000, None),
    ("range 0x08048000 0xd0000000 mapped", 0x0804B000, None),
    ("range 0x08000000 0x09000000 unmapped", 0x08048000, None),
    ("range 0xc0000000 0xc0401000 large", 0xC0400000, None),
    ("range 0xc0000000 0xc0401000 2M", 0xC0400000, None),
    ("null page mapped", 0, None),
    ("null page user", 0, None),
    ("pa 0x1003000 mapped once", 0x20000000, None),
    ("pa 0x1003000 unmapped", 0x0804A000, None),
    ("pa 0x1003000 user", 0x20000000, "user"),
    ("pa 0x1003000 mapped at 0x08048000", 0x08048000, None),
    ("pa 0x1003000 mapped at 0x10000000", 0x10000000, None),
    ("pa 0x1003000 mapped 3 times", 0x0804A000, None),
    ("pa 0x1002000 mapped", None, None),
    ("pa 0x1002000 mapped once", None, None),
    ("pa 0x1002000 user", None, None),
    ("count tables > 8", None, None),
    ("count 4K < 7", None, None),
    ("count ranges != 7", None, None),
    ("vdso present", None, None),
]


def test_rules_that_fail(
    machine: BareMachine, gdb: GdbSession, pae: tuple[Tables, Registers], tmp_path: Path
) -> None:
    """The address and the entry, as the naive walker has it."""
    _, registers = pae
    rules, error = check(gdb, tmp_path, *(rule for rule, _, _ in FAIL))
    assert error == (
        f"ptmap check: {len(FAIL)} of {len(FAIL)} rules failed: lines 1, 2, 3, 4, 5, "
        f"6, 7, 8 and {len(FAIL) - 8} more"
    )
    for rule, (text, va, right) in zip(rules, FAIL):
        assert rule["result"] == "failed" and rule["why"], rule
        assert rule["va"] == (None if va is None else hex(va)), rule
        if va is None:
            assert rule["entry"] is None
            continue
        level, where, entry = entry_of(machine, registers, va, right)
        named = rule["entry"]
        assert (named["level"], named["entry_pa"], named["raw"]) == (
            level,
            hex(where),
            hex(entry),
        ), text
        assert int(named["table"], 16) + named["index"] * 8 == where
        assert (
            named["says"]
            == {
                "user": "US=0",
                "write": "RW=0",
                "exec": "XD=1",
                None: ("maps the page" if entry & P else "not present (P=0)"),
            }[right]
        ), text


UNDECIDED = """
no user+write+exec
no large in 0xc0600000 0xc0800000
only user,supervisor
0x30000000 mapped
0x30000000 unmapped
0xc0600000 supervisor
range 0x30000000 0x30200000 unmapped
range 0x30000000 0x30200000 mapped
range 0xc0400000 0xc0401000,0xc0600000 user
pa 0x1003000 mapped twice
pa 0x1002000 mapped
pa 0x1002000 unmapped
pa 0x1003000 mapped 3 times
pa 0x1003000 write,read-only
count tables < 9
count tables == 100
count tables != 100
count 4K <= 7
count ranges == 7
count ranges < 1
0xd0000000 WC
0xd0000000 no-WB
no WC in 0xd0000000 0xd0001000
only WC in 0xd0000000 0xd0001000
range 0xd0000000 0xd0001000 WC supervisor
""".strip().splitlines()
UNDECIDED.remove("range 0xc0400000 0xc0401000,0xc0600000 user")


def test_rules_that_nobody_can_decide(gdb: GdbSession, damaged: Any, tmp_path: Path) -> None:
    rules, error = check(gdb, tmp_path, *UNDECIDED)
    assert [rule for rule in rules if rule["result"] != "undecided"] == []
    assert "rules are undecided: lines 1, 2" in error
    parts = ("0x30000000", "0xc0600000", "0x7ffff000", "set ptmap pat", "reserved bit")
    for rule in rules:
        assert any(part in rule["why"] for part in parts), rule
    assert "the PT at 0x7ffff000 is unreadable: not RAM (and 1 more part)" in rules[0]["why"]


def test_what_was_read_decides(gdb: GdbSession, damaged: Any, tmp_path: Path) -> None:
    """A rule that a part breaks has failed, one about parts that were read holds."""
    rules, _ = check(
        gdb,
        tmp_path,
        "no write+exec",
        "only user",
        "range 0x20000000 0x30200000 mapped",
        "pa 0x1003000 mapped once",
        "pa 0x1003000 unmapped",
        "pa 0x1003000 user",
        "count tables > 200",
        "count tables < 8",
        "count 4K == 3",
        "no user in 0xd0000000 0",
        "only supervisor in 0xc0000000 0xc0600000",
        "range 0x08048000 0x0804b000 user",
        "0x08048000 user",
        "pa 0x1003000 mapped",
        "pa 0x1003000 mapped at 0x20000000",
        "count tables >= 8",
        "count pages > 8",
        "count 4K != 3",
        "0xd0000000 PAT1,WB",
    )
    results = [rule["result"] for rule in rules]
    assert results == ["failed"] * 6 + ["undecided"] + ["failed"] * 2 + ["ok"] * 10


def test_limits(gdb: GdbSession, pae: Any, tmp_path: Path) -> None:
    """A map that a limit cut short tells what it has."""
    gdb.run("set ptmap max-ranges 3")
    rules, _ = check(
        gdb,
        tmp_path,
        "no user+write+exec",
        "no user in 0x08049000 0x0804b000",
        "no user in 0x08048000 0x08049000",
        "range 0x08048000 0x0804b000 mapped",
        "range 0xc0000000 0xc0200000 mapped",
        "0xc0000000 mapped",
        "count ranges == 3",
        "range 0x08040000 0x08048000 unmapped",
        "pa 0 mapped",
    )
    assert [rule["result"] for rule in rules] == [
        "undecided",
        "failed",
        "failed",
        "ok",
        "undecided",
        "ok",
        "undecided",
        "ok",
        "undecided",
    ]
    assert "the limit of ranges is reached (set ptmap max-ranges)" in rules[0]["why"]
    gdb.run("set ptmap max-ranges 4194304")
    gdb.run("set ptmap max-tables 3")
    rules, _ = check(gdb, tmp_path, "no user", "count tables < 200", "0x08048000 user")
    assert [rule["result"] for rule in rules] == ["undecided", "undecided", "ok"]


def test_behind_the_end_nothing_is_known(
    machine: BareMachine, gdb: GdbSession, tmp_path: Path
) -> None:
    """A page is not finished as a range when the limit is reached, and a gap behind it is told."""
    space = Tables("4-level")
    space.map(0x1000, 0x1000000, KIB4, USER_RW)
    space.map(0x2000, 1 << 45, KIB4, USER_RW)  # beyond MAXPHYADDR
    space.write_to(machine)
    machine.set_mode("4-level", space.root)
    gdb.run("set ptmap maxphyaddr 40")
    rules = (
        "range 0x1000 0x2000 unmapped",
        "no write in 0x1000 0x2000",
        "range 0x2000 0x3000 unmapped",
        "range 0 0x1000 unmapped",
    )
    results = [rule["result"] for rule in check(gdb, tmp_path, *rules)[0]]
    assert results == ["failed", "failed", "undecided", "ok"]
    gdb.run("set ptmap max-ranges 1")
    results = [rule["result"] for rule in check(gdb, tmp_path, *rules)[0]]
    assert results == ["undecided", "undecided", "undecided", "ok"]
    wipe(machine, space)


def test_what_too_few_tables_leave_out(
    machine: BareMachine, gdb: GdbSession, tmp_path: Path
) -> None:
    """They are gaps, and behind them all is known."""
    space = Tables("4-level")
    space.map(0x1000, 0x1000000, KIB4, USER_RW)
    space.write_to(machine)
    machine.set_mode("4-level", space.root)
    gdb.run("set ptmap max-tables 3")
    rules, _ = check(
        gdb,
        tmp_path,
        "no user in 0 0x200000",
        "no user in 0x200000 0x400000",
        "range 0x200000 0x400000 unmapped",
    )
    assert [rule["result"] for rule in rules] == ["undecided", "ok", "ok"], rules
    assert "limit of tables reached" in rules[0]["why"]
    wipe(machine, space)


def test_memory_types_are_known_by_pat(gdb: GdbSession, pae: Any, tmp_path: Path) -> None:
    gdb.run("set ptmap pat 0x0007040600070106")  # Linux's: slot 1 is WC
    rules, error = check(gdb, tmp_path, "0xd0000000 WC", "no WT", "range 0xd0000000 0xd0001000 WC")
    assert error == "", rules


MALFORMED = {
    "nono": "is not a rule", "no": "no ATTRS [in START END]", "no usr": "'usr' is not an attribute",
    "no user in 0": "no ATTRS [in", "no in 0 1": "no ATTRS [in", "no user in 5 5": "is empty",
    "no user in 0 1 2": "no ATTRS [in", "no mapped": "'mapped' is not an attribute",
    "only": "only ATTRS", "only mapped": "only ATTRS", "only user+no-user": "contradicts itself",
    "0xc0000000": "is not a rule", "0xc0000000 flat": "'flat' is not an attribute",
    "0xc0000000 user mapped": "go with no other word", "nosuch mapped": "No symbol",
    "0x1122334455 mapped": "is too wide", "1.5 mapped": "is not an integer",
    "range 1 2": "range START END", "range 2 1 user": "is empty", "range 1 x user": "No symbol",
    "range 1 2 usr": "'usr'", "null mapped": "null page", "null page": "null page",
    "section": "section NAME", "section .text": "section NAME",
    "section .text user": "GDB has no sections", "sections": "GDB has no sections",
    "sections now": "form: sections", "pa": "pa PA", "pa 0": "pa PA", "pa 0 mapped often": "pa PA",
    "pa 0 mapped -1 times": "mapped -1 times", "pa -1 mapped": "not a physical address",
    "pa 0 usr": "'usr'",
    "pa 0 mapped x times": "No symbol", "pa 0 mapped at": "pa PA",
    "count": "count tables", "count tables <": "count tables", "count cats < 3": "count tables",
    "count tables <> 3": "count tables", "count tables < many": "No symbol",
    "grid": "grid FILE", "grid /nonesuch": "No such file", "grid /": "is a folder",
    "vdso": "vdso present|absent", "vdso gone": "vdso present|absent",
    "'0 mapped": "the quote ' is not closed", '"0 mapped': 'the quote " is not closed',
    "0 ''": "'' is not an attribute", "no user,": "'' is not an attribute", "\u00e9 mapped": "",
    "\x1b[31m mapped": "",
}  # fmt: skip


def test_malformed_rules(gdb: GdbSession, pae: Any, tmp_path: Path) -> None:
    """And the others beside them are evaluated."""
    rules, error = check(gdb, tmp_path, *MALFORMED, "no write+exec", "null page unmapped")
    for rule, words in zip(rules, MALFORMED.values()):
        if rule["rule"][0] < "\x7f":
            assert rule["result"] == "malformed" and words in rule["why"], rule
    assert [rule["result"] for rule in rules[-2:]] == ["failed", "ok"]
    assert error == (
        f"ptmap check: 1 of {len(rules)} rules failed: line {len(rules) - 1}; "
        f"{len(MALFORMED)} are malformed: lines 1, 2, 3, 4, 5, 6, 7, 8 and "
        f"{len(MALFORMED) - 8} more"
    )
    with pytest.raises(GdbFailure):
        gdb.run(f"ptmap check -file {tmp_path}/rules -o {tmp_path}/text")
    text = (tmp_path / "text").read_bytes()
    assert all(byte == 10 or 32 <= byte < 127 for byte in text)
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    "content, words",
    [
        (None, "No such file or directory"),
        (b"", "has no rules"),
        (b"# a\n \n\t# b", "no rules"),
        (b"no user\n\0", "is not a text file: it has NUL bytes"),
        (b"no user\n" * (10 << 17), "more than 1 MiB"),
        ("folder", "is a folder"),
        ("/dev/zero", "is no regular file"),
    ],
    ids=str.split("missing empty comments NUL large folder device"),
)
def test_files_that_are_none(
    gdb: GdbSession, pae: Any, tmp_path: Path, content: Any, words: str
) -> None:
    path = tmp_path / "rules"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "folder":
        path.mkdir()
    elif content:
        path.symlink_to(content)
    refused(gdb, f"ptmap check -file {path}", "ptmap check: ", words)


@pytest.mark.parametrize(
    "content",
    [
        b"\r\n0 unmapped\r\nnull page unmapped\r\n",
        b"# \xc3\xa9\n0 unmapped\nnull page unmapped",
        b"\xef\xbb\xbf\n0   unmapped # c\n\tnull page 'unmapped'\t# '\n\n",
        b"\r0 unmapped\rnull page unmapped",
    ],
    ids=str.split("crlf utf-8 mark cr"),
)
def test_odd_files(gdb: GdbSession, pae: Any, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "rules").write_bytes(content)
    rules = json.loads(gdb.run(f"ptmap check -file {tmp_path}/rules -json -"))["rules"]
    assert [rule["result"] for rule in rules] == ["ok", "ok"]
    assert [rule["line"] for rule in rules] == [2, 3]


def test_one_rule(gdb: GdbSession, pae: Any) -> None:
    """On the command line: as words, or quoted as one."""
    for rule in (
        "null page unmapped",
        "'null page unmapped'",
        '"0x08048000 + 4096" user write',
        "'\"0x08048000 + 4096\" user write'",
        "range -4096 0 UC",
    ):
        assert "1 rule: 1 ok" in gdb.run(f"ptmap check {rule}"), rule
        assert json.loads(gdb.run(f"ptmap check -json - {rule}"))["rules"][0]["line"] is None
    refused(
        gdb,
        "ptmap check no user",
        "ptmap check: the rule failed: 0x08048000 - 0x08049000 is "
        "user read exec, 4K, WB (the first of 3 ranges)",
    )
    refused(gdb, "ptmap check 'no usr'", "the rule is malformed: 'usr' is not an attribute")


def test_usage(gdb: GdbSession, pae: Any, tmp_path: Path) -> None:
    refused(gdb, "ptmap check", "which rule?")
    refused(gdb, "ptmap check -file a b", "'b' cannot go with it")
    refused(gdb, "ptmap check -tap - -json - no user", "cannot both")
    refused(gdb, f"ptmap check -tap {tmp_path}/a -o b no user", "-o FILE")
    refused(gdb, f"ptmap check -json {tmp_path}/a -o b no user", "-o FILE")
    refused(gdb, "ptmap check -what no user", "unknown option -what")
    refused(gdb, "ptmap check -tap /nonesuch/x null page unmapped", "No such file")
    text = gdb.run("help ptmap check")
    assert max(map(len, text.splitlines())) <= 80


def test_other_spaces(machine: BareMachine, gdb: GdbSession, pae: tuple[Tables, Registers]) -> None:
    other = Tables("pae", at=0x200000)
    other.map(0x1000, 0x5000, KIB4, USER_RO)
    other.write_to(machine)
    rule = f"ptmap check -root {other.root:#x} -json - 0x1000 user"
    assert json.loads(gdb.run(rule))["root"] == hex(other.root)
    refused(gdb, "ptmap check -root 0x7ffff000 no user", "is undecided", "0x7ffff000")
    refused(gdb, "ptmap check -root 0x123 no user", "cannot be a pae root")
    machine.set_registers(cr0=0x11)
    refused(gdb, "ptmap check no user", "paging is off")
    refused(gdb, "pte -expect user 0", "paging is off")


def test_json(gdb: GdbSession, damaged: tuple[Tables, Registers], tmp_path: Path) -> None:
    """What is missing of the map is what the map's own JSON says."""
    check(gdb, tmp_path, "count tables > 0")
    document = json.loads((tmp_path / "json").read_text())
    made = json.loads(gdb.run("ptmap -json -"))
    for key in ("mode", "root", "complete", "truncated", "unreadable", "malformed"):
        assert document[key] == made[key], key
    assert len(document["unreadable"]) == len(document["malformed"]) == 1
    assert document["counts"] == {"ok": 1, "failed": 0, "undecided": 0, "malformed": 0}
    assert document["file"] == f"{tmp_path}/rules"
    document = json.loads(gdb.run("ptmap check -json - 0xc0000000 supervisor"))
    assert document["complete"] is document["unreadable"] is document["file"] is None


# The grid


def test_grid(gdb: GdbSession, pae: Any, tmp_path: Path) -> None:
    """With what ptmap prints around it, with addresses alone, without them."""
    text = gdb.run("ptmap")
    rows = [line for line in text.splitlines() if re.match(r"0x\w{8} \S{64}$", line)]
    assert len(rows) == 32
    for name, content in (
        ("all", text),
        ("rows", "\n".join(rows)),
        ("cells", "\r\n".join(row[11:] for row in rows) + "\r\n"),
    ):
        (tmp_path / name).write_text(content)
    rules, error = check(gdb, tmp_path, "grid all", "grid rows", f"grid {tmp_path}/cells")
    assert error == "", rules
    before = gdb.run("pwd").split('"')[1] if '"' in gdb.run("pwd") else ""
    gdb.run(f"cd {tmp_path}")  # on the command line paths begin here
    try:
        assert "1 ok" in gdb.run("ptmap check grid rows")
    finally:
        gdb.run(f"cd {before or ROOT}")
    cells = "".join(row[11:] for row in rows)
    wrong = list(cells)
    wrong[0xC0000000 // MIB2], wrong[0x08000000 // MIB2], wrong[7] = "R", "x", "*"
    (tmp_path / "wrong").write_text("".join(wrong))
    (tmp_path / "short").write_text(cells[:-1])
    (tmp_path / "shifted").write_text("\n".join(rows[1:]))
    (tmp_path / "none").write_text("no rows\n")
    rules, _ = check(gdb, tmp_path, "grid wrong", "grid short", "grid shifted", "grid none")
    assert [rule["result"] for rule in rules] == ["failed"] + 3 * ["malformed"]
    assert rules[0]["why"] == (
        "0x00e00000 is . and not *, 0x08000000 is r and not x, " "0xc0000000 is X and not R"
    )
    assert (rules[0]["va"], rules[0]["found"]) == ("0xe00000", ".")
    assert rules[0]["entry"]["name"] == "PDPTE" or rules[0]["entry"]["index"] == 7


def test_grid_that_cannot_be_read(gdb: GdbSession, damaged: Any, tmp_path: Path) -> None:
    rows = [line for line in gdb.run("ptmap").splitlines() if re.match(r"0x\w{8} \S{64}$", line)]
    cells = "".join(row[11:] for row in rows)
    assert cells.count("?") == 1 and cells.count("!") == 1
    (tmp_path / "same").write_text(cells)
    (tmp_path / "unread").write_text(cells.replace("?", "."))
    (tmp_path / "both").write_text(cells.replace("?", ".").replace("!", "X"))
    rules, _ = check(gdb, tmp_path, "grid same", "grid unread", "grid both")
    # What nobody could read is no picture to expect.
    assert [rule["result"] for rule in rules] == ["malformed", "undecided", "failed"]
    assert f"{tmp_path}/same has a cell ?" in rules[0]["why"]
    assert (rules[1]["va"], rules[2]["va"]) == ("0x30000000", "0xc0600000")


# Random spaces and rules, against the naive walker


@pytest.mark.parametrize("mode", tables.MODES)
def test_random_rules(machine: BareMachine, gdb: GdbSession, mode: str, tmp_path: Path) -> None:
    report = compare.total("naive rules", mode, unit="rules")
    seen: Counter[str] = Counter()
    for space in tables.spaces(mode, 40, first=700):
        registers = registers_of(space)
        put(machine, space.tables, registers)
        gdb.run(f"set ptmap maxphyaddr {space.maxphyaddr}")
        seen += against_naive(
            gdb, tmp_path, machine.read_phys, registers, 60, space.seed, report, space.maxphyaddr
        )
        wipe(machine, space.tables)
    assert min(seen[result] for result in ("ok", "failed", "undecided")) >= 30, seen
    report.check()
    report.record()


@pytest.mark.parametrize(
    "name, cpu, count",
    [("lab32", "pentium3", 300), ("lab64", "max,-la57", 200), ("lab64", "max", 200)],
)
def test_random_rules_on_labs(tmp_path: Path, name: str, cpu: str, count: int) -> None:
    subprocess.run(["make", "-sC", ROOT / "examples" / name, f"OUT={tmp_path}"], check=True)
    wide = name == "lab64"
    kernel, elf = ("lab64.elf32", "lab64.elf") if wide else ("lab32-3g.elf", "lab32-3g.elf")
    with Qemu(
        ["-kernel", str(tmp_path / kernel), "-cpu", cpu],
        paused=False,
        ram_file=True,
        binary=f"qemu-system-{'x86_64' if wide else 'i386'}",
    ) as lab:
        lab.wait_line("ready")
        lab.qmp("stop")
        assert lab.ram_path is not None
        ram = lab.ram_path.read_bytes()
        with GdbSession(script=ptmap_script()) as gdb:
            gdb.run(f"file {tmp_path / elf}")
            gdb.attach(lab.gdb_target)
            registers = Registers(*(gdb.eval(f"${word}") for word in ("cr0", "cr3", "cr4", "efer")))
            report = compare.total("naive rules", f"{name} {cpu}", unit="rules")
            seen = against_naive(
                gdb,
                tmp_path,
                lambda pa, n: ram[pa : pa + n] if pa + n <= len(ram) else None,
                registers,
                count,
                name,
                report,
            )
            assert min(seen["ok"], seen["failed"]) > 10 and (seen["undecided"] > 0) == wide
            report.check()
            report.record()
            rules, _ = check(
                gdb,
                tmp_path,
                "sections",
                f"vdso {'present' if wide else 'absent'}",
                "section .text read-only supervisor",
                "section .data write",
                "section .bss read-only",
                "no write+exec",
            )
            assert [rule["result"] for rule in rules] == ["ok"] * 4 + ["failed"] * 2, rules
            if wide:  # whose .dynamic is to be written to, by its flags
                gdb.run("vdso -load")
                assert check(gdb, tmp_path, "sections")[1] == ""


# Sections


SECTIONS = """
.section .text, "ax"; .skip 0x1800
.section .rodata, "a"; .skip 0x700
.section .data, "aw"; .skip 0x2000
.section .both, "awx"; .skip 0x10
.section .bss, "aw", @nobits; .skip 0x800
.section .tbss, "awT", @nobits; .skip 0x4000
.section .note.GNU-stack, "", @progbits
"""
PLACES = {".text": 0x400000, ".rodata": 0x401800, ".data": 0x402000, ".both": 0x404000,
          ".bss": 0x404800, ".tbss": 0x405000}  # fmt: skip


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ELF file whose .text and .rodata share a page, and .both and .bss another."""
    folder = tmp_path_factory.mktemp("sections")
    (folder / "a.s").write_text(SECTIONS)
    places = [f"-Wl,--section-start={name}={at:#x}" for name, at in PLACES.items()]
    subprocess.run(
        [
            "gcc",
            "-nostdlib",
            "-static",
            "-no-pie",
            "-Wl,--build-id=none,-e,0x400000",
            *places,
            "-o",
            folder / "a.elf",
            folder / "a.s",
        ],
        check=True,
        capture_output=True,
    )
    return folder / "a.elf"


def asked(program: Path) -> dict[int, tuple[bool, bool]]:
    """By readelf: of each page, whether a section on it is to be written to, executed."""
    rows = subprocess.run(
        ["readelf", "-SW", program], check=True, capture_output=True, text=True
    ).stdout
    found: dict[int, tuple[bool, bool]] = {}
    for name, at, size, flags in re.findall(
        r"^ *\[ *\d+\] (\S+) +(?:PROGBITS|NOBITS) +(\w+) +\w+ +(\w+) +\w+ +([WAXT]+) ", rows, re.M
    ):
        if "A" in flags and "T" not in flags:
            start, end = int(at, 16), int(at, 16) + int(size, 16)
            for page in range(start & ~0xFFF, end, KIB4):
                write, exec_ = found.get(page, (False, False))
                found[page] = (write or "W" in flags, exec_ or "X" in flags)
    return found


@pytest.mark.parametrize("nxe", (True, False))
def test_sections(
    machine: BareMachine, gdb: GdbSession, program: Path, tmp_path: Path, nxe: bool
) -> None:
    """Each page of it right, then wrong in each way that there is."""
    pages = asked(program)
    assert len(pages) == 5 and pages[0x401000] == (False, True) and pages[0x404000] == (True, True)
    gdb.run(f"file {program}")
    try:
        for wrong in (None, *((page, right) for page in pages for right in ("write", "exec", P))):
            space = Tables("4-level")
            for page, (write, exec_) in pages.items():
                if wrong == (page, P):
                    continue
                write ^= wrong == (page, "write")
                exec_ ^= wrong == (page, "exec")
                space.map(
                    page,
                    0x1000000 + page,
                    KIB4,
                    P | (RW if write else 0) | (NX if not exec_ and nxe else 0),
                )
            space.write_to(machine)
            machine.set_mode("4-level", space.root, nxe=nxe)
            rules, _ = check(gdb, tmp_path, "sections")
            # Without NX nothing but a missing page or a wrong RW is to be seen.
            seen = wrong is not None and (nxe or wrong[1] != "exec")
            assert rules[0]["result"] == ("failed" if seen else "ok"), (wrong, rules)
            assert rules[0]["notes"] == (
                [] if nxe else ["NX is off (EFER.NXE=0): no-exec is not checked"]
            )
            if seen and wrong is not None:
                assert rules[0]["va"] == hex(wrong[0])
            wipe(machine, space)
        space.write_to(machine)
        rules, _ = check(
            gdb,
            tmp_path,
            "section .rodata read-only",
            "section .text exec",
            "section .nope user",
            "section .data user",
        )
        assert [rule["result"] for rule in rules] == ["ok", "ok", "malformed", "failed"]
        assert "there are .text .rodata .data .both .bss" in rules[2]["why"]
        assert rules[3]["why"].startswith(".data: 0x0000000000402000 - 0x0000000000404000 is super")
        # Another file, where GDB was told to have it.
        gdb.run(f"add-symbol-file {program} -o 0x10000000")
        rules, _ = check(gdb, tmp_path, "sections", "section .text exec")
        assert [(rule["result"], rule["va"]) for rule in rules] == 2 * [("failed", "0x10400000")]
    finally:
        gdb.run("symbol-file")
        gdb.run("file")


def test_section_files_that_are_gone(
    machine: BareMachine, gdb: GdbSession, program: Path, pae: Any, tmp_path: Path
) -> None:
    copy = tmp_path / "b.elf"
    content = program.read_bytes()
    copy.write_bytes(content)
    gdb.run(f"file {copy}")
    try:
        for damage in (content[:200], b"", b"\x7fELF" + bytes(60), None):
            if damage is None:
                copy.unlink()
            else:
                copy.write_bytes(damage)
            rules, _ = check(gdb, tmp_path, "sections")
            assert rules[0]["result"] == "malformed" and str(copy) in rules[0]["why"], rules
    finally:
        gdb.run("file")


# A million ranges


def test_a_million_ranges(gdb: GdbSession, machine: BareMachine, tmp_path: Path) -> None:
    """Each rule is one pass of native code."""
    space = Tables("4-level", at=0x100000)
    table = space.alloc()
    for index in range(512):  # no two are alike
        frame = 0x1000000 + (index * 7919 % 512 << 12)
        space.set(table, index, frame | (USER_RW, P | NX)[index % 2])
    for at in range(2048):
        space.set_entry(at * MIB2, 2, table | tables.USER)
    space.write_to(machine)
    machine.set_mode("4-level", space.root)
    rules = [
        "no user+no-exec+write",
        "only user,no-exec",
        "range 0 0x100000000 mapped",
        "pa 0x1000000 mapped 2048 times",
        "count ranges == 1048576",
    ] * 20
    begin = time.monotonic()
    results, error = check(gdb, tmp_path, *rules)
    took = time.monotonic() - begin
    assert error == "", [rule for rule in results if rule["result"] != "ok"]
    assert took < 20, f"{len(rules)} rules took {took:.1f} s"
    print(f"{len(rules)} rules about a million ranges: {took:.2f} s")


# The ends: TAP, statuses, Ctrl-C


def tap_of(path: Path) -> list[tuple[str, str, str]]:
    """By perl's TAP::Parser: (kind, whether it passed, description) of each line; it has no
    complaint."""
    program = r"""
        use TAP::Parser;
        my $parser = TAP::Parser->new({ source => $ARGV[0] });
        my $bailed = 0;
        while (my $r = $parser->next) {
            $bailed = 1 if $r->is_bailout;
            my $what = $r->is_test ? $r->description . ($r->directive ? "!" . $r->directive : "")
                     : $r->is_yaml ? $r->data : $r->is_bailout ? $r->explanation : "";
            $what =~ s/\n/\\n/g;
            print join("\t", $r->type, $r->is_test ? ($r->is_ok ? 1 : 0) : "", $what), "\n";
        }
        my @wrong = grep { !$bailed || !/^No plan found/ } $parser->parse_errors;
        die join("; ", @wrong) if @wrong;
    """
    made = path.with_suffix(".tap")
    made.write_bytes(path.read_bytes())
    run = subprocess.run(["perl", "-e", program, made], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    rows = [line.split("\t") for line in run.stdout.splitlines()]
    return [(kind, passed, what) for kind, passed, what in rows]


def test_tap(gdb: GdbSession, damaged: Any, tmp_path: Path) -> None:
    """Read by perl's TAP::Parser and by prove."""
    rules = [
        "null page unmapped",
        "no user",
        "0x30000000 mapped",
        "nonsense",
        "no#user x",
        "0x08048000 TODO",
        "'0 # SKIP it' mapped",
        "0 \\# SKIP",
        "0 \x1b[2J\u00e9 user",
        "1..2",
        "Bail out!",
        "only user,supervisor in 0xc0000000 0xc0200000",
    ]
    (tmp_path / "rules").write_text("\n".join(rules))
    with pytest.raises(GdbFailure, match="rules failed: line 2; 1 is undecided: line 3; 8 are "):
        gdb.run(f"ptmap check -file {tmp_path}/rules -tap {tmp_path}/tap")
    with pytest.raises(GdbFailure):
        gdb.run(f"ptmap check -file {tmp_path}/rules -tap - -o {tmp_path}/shown")
    assert (tmp_path / "shown").read_bytes() == (tmp_path / "tap").read_bytes()
    text = (tmp_path / "tap").read_text()
    assert text.startswith(f"TAP version 13\n1..{len(rules)}\n")
    read = tap_of(tmp_path / "tap")
    tests = [(passed, what) for kind, passed, what in read if kind == "test"]
    assert [passed for passed, _ in tests] == ["1"] + ["0"] * (len(rules) - 2) + ["1"]
    for (_, what), rule in zip(tests, rules):
        shown = "".join(
            chr(c) if 32 <= c < 127 and c != 92 else f"\\x{c:02x}" for c in rule.encode()
        )
        assert what == "- " + shown.replace("\\", "\\\\").replace("#", "\\#")
    assert not [row for row in read if row[0] in ("unknown", "bailout")]
    yaml = [what for kind, _, what in read if kind == "yaml"]
    assert len(yaml) == len(rules) - 2
    member = {
        key: json.loads(value)
        for key, value in re.findall(
            r"^  (\w+): (.*)$", text.split("not ok 2")[1].split("  ...")[0], re.M
        )
    }
    assert member == {
        "result": "failed",
        "message": "0x08048000 - 0x08049000 is user read exec, 4K, WB (the " "first of 3 ranges)",
        "line": 2,
        "address": "0x08048000",
        "found": "user read exec, 4K, WB at physical 0x1000000",
        "entry": member["entry"],
    }
    assert re.fullmatch(r"PTE 72 at 0x\w+ = 0x0000000001000005: maps the page", member["entry"])
    prove = subprocess.run(["prove", "-e", "cat", tmp_path / "tap"], capture_output=True, text=True)
    assert prove.returncode != 0 and f"Failed 10/{len(rules)} subtests" in prove.stdout
    gdb.run(f"ptmap check -tap {tmp_path}/tap null page unmapped")
    prove = subprocess.run(["prove", "-e", "cat", tmp_path / "tap"], capture_output=True, text=True)
    assert prove.returncode == 0 and "Result: PASS" in prove.stdout


def test_tap_bails_out(gdb: GdbSession, pae: Any, tmp_path: Path) -> None:
    """Where nothing could be checked an older file does not stay."""
    gdb.run(f"ptmap check -tap {tmp_path}/tap null page unmapped")
    refused(gdb, f"ptmap check -tap {tmp_path}/tap -file /nonesuch", "No such file")
    assert tap_of(tmp_path / "tap")[1:] == [
        ("bailout", "", "ptmap check: /nonesuch: No such file or directory")
    ]
    prove = subprocess.run(["prove", "-e", "cat", tmp_path / "tap"], capture_output=True, text=True)
    assert prove.returncode != 0 and "Bailout called" in prove.stderr + prove.stdout
    gdb.run(f"ptmap check -tap {tmp_path}/tap null page unmapped")
    refused(gdb, f"ptmap check -tap {tmp_path}/tap -mode 5-level -root 1 no user", "root")
    assert [row[0] for row in tap_of(tmp_path / "tap")] == ["version", "bailout"]


def test_interrupted(gdb: GdbSession, machine: BareMachine, pae: Any, tmp_path: Path) -> None:
    """Ctrl-C is no pass: an error, and no results."""
    (tmp_path / "rules").write_text("0 unmapped\n" * 60000)
    (tmp_path / "tap").write_text("ok")
    timer = threading.Timer(0.4, gdb.interrupt)
    timer.start()
    with pytest.raises(GdbFailure) as failure:
        gdb.run(f"ptmap check -file {tmp_path}/rules -tap {tmp_path}/tap")
    timer.join()
    assert failure.value.kind == "KeyboardInterrupt"
    assert tap_of(tmp_path / "tap")[1][0] == "bailout"
    assert "1 ok" in gdb.run("ptmap check null page unmapped")


@pytest.fixture(scope="module")
def elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("lab32")
    for target in ("one", "broken"):
        subprocess.run(["make", "-sC", ROOT / "examples/lab32", f"OUT={out}", target], check=True)
    return out / "lab32-3g.elf"


@pytest.fixture(scope="module")
def lab(elf: Path) -> Iterator[Qemu]:
    with Qemu(["-kernel", str(elf)], binary="qemu-system-i386", paused=False, ram_file=True) as lab:
        lab.wait_line("lab32: ready")
        lab.qmp("stop")
        yield lab


def batch(*commands: str, elf: Path | None = None) -> subprocess.CompletedProcess[str]:
    """GDB in batch mode with these commands as a script, that of ptmap before."""
    with tempfile.NamedTemporaryFile("w", suffix=".gdb") as script:
        script.write("\n".join(commands) + "\n")
        script.flush()
        return subprocess.run(
            [
                "gdb",
                "-nx",
                "-q",
                "-batch",
                "-x",
                ptmap_script(),
                "-x",
                script.name,
                *([elf] if elf else []),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )


def is_paused(lab: Qemu) -> bool:
    status = lab.qmp("query-status")
    return not status["running"] and status["status"] in ("paused", "debug")


HOLDS, BREAKS = "null page unmapped", "no user"


@pytest.mark.parametrize(
    "rules, status",
    [
        ([HOLDS], 0),
        ([HOLDS, BREAKS], 1),
        (["nonsense"], 2),
        ([BREAKS, "nonsense", HOLDS], 2),
        (["sections", "grid {root}/tests/data/seed-map.txt", "vdso absent"], 0),
        (["grid {root}/tests/data/lab32-2g.txt"], 1),
    ],
)
def test_quit_ends_gdb(lab: Qemu, elf: Path, tmp_path: Path, rules: list[str], status: int) -> None:
    """With the status, in a script whose other commands are not run; the guest stays paused."""
    (tmp_path / "rules").write_text("\n".join(rule.format(root=ROOT) for rule in rules))
    run = batch(
        f"target remote {lab.gdb_target}",
        f"ptmap check -file {tmp_path}/rules -quit",
        "echo AFTER",
        elf=elf,
    )
    assert run.returncode == status, run
    assert "AFTER" not in run.stdout and "Traceback" not in run.stderr
    assert f"{len(rules)} rule" in run.stdout
    assert ("ptmap check: " in run.stderr) == (status != 0)
    assert is_paused(lab)


@pytest.mark.parametrize(
    "arguments",
    [
        "-file /nonesuch",
        "",
        "-what no user",
        "-tap /nonesuch/tap null page unmapped",
        "-root 1 no user",
        "-cpu 7 no user",
        "-file",
    ],
)
def test_quit_for_what_cannot_be_asked(lab: Qemu, elf: Path, arguments: str) -> None:
    run = batch(
        f"target remote {lab.gdb_target}", f"ptmap check -quit {arguments}", "echo AFTER", elf=elf
    )
    assert run.returncode == 2, run
    assert "AFTER" not in run.stdout and "Traceback" not in run.stderr
    assert run.stderr.count("ptmap check: ") == 1
    assert is_paused(lab)


def test_quit_without_a_target(elf: Path, lab: Qemu, tmp_path: Path) -> None:
    """No target at all, a file of GDB's, a dump as ptmap's memory and as GDB's core."""
    for file in (None, elf):
        run = batch(f"ptmap check -quit {HOLDS}", elf=file)
        assert run.returncode == 2 and run.stderr.count("ptmap check: ") == 1, run
    lab.qmp("dump-guest-memory", paging=False, protocol=f"file:{tmp_path}/dump")
    for rule, status in ((HOLDS, 0), (BREAKS, 1), ("nonsense", 2)):
        for source in (f"set ptmap memory dump {tmp_path}/dump", f"core-file {tmp_path}/dump"):
            run = batch(source, f"ptmap check -quit {rule}", "echo AFTER")
            assert run.returncode == status and "AFTER" not in run.stdout, run


def test_a_failing_check_ends_a_script(lab: Qemu, elf: Path) -> None:
    """Without -quit, too; and only a script: status 1, what follows is not run."""
    run = batch(
        f"target remote {lab.gdb_target}",
        f"ptmap check {HOLDS}",
        "echo BETWEEN\\n",
        f"ptmap check {BREAKS}",
        "echo AFTER\\n",
        "disconnect",
        elf=elf,
    )
    assert "BETWEEN" in run.stdout and "AFTER" not in run.stdout
    assert run.returncode == 1 and "the rule failed: 0x08048000" in run.stderr
    lab.qmp("stop")  # GDB has let it go
    run = batch(f"target remote {lab.gdb_target}", f"ptmap check {HOLDS}", "disconnect", elf=elf)
    assert run.returncode == 0 and is_paused(lab)


def test_ctrl_c_and_quit(lab: Qemu, elf: Path, tmp_path: Path) -> None:
    """Ends GDB with 2 and leaves the guest paused, whenever it comes."""
    (tmp_path / "rules").write_text("0 unmapped\n" * 60000)
    for moment in (0.0, 0.5):
        gdb = subprocess.Popen(
            [
                "gdb",
                "-nx",
                "-q",
                "-batch",
                "-x",
                ptmap_script(),
                elf,
                "-ex",
                f"target remote {lab.gdb_target}",
                "-ex",
                "echo HERE\\n",
                "-ex",
                "python gdb.flush()",
                "-ex",
                f"ptmap check -file {tmp_path}/rules -quit -tap {tmp_path}/tap",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert gdb.stdout is not None
        while "HERE" not in gdb.stdout.readline():
            pass
        time.sleep(0.3 + moment)
        gdb.send_signal(signal.SIGINT)
        _, said = gdb.communicate(timeout=60)
        assert gdb.returncode == 2, said
        assert "interrupted: not all rules were checked" in said
        assert tap_of(tmp_path / "tap")[1][0] == "bailout"
        assert is_paused(lab)


# What is left of an earlier check


@pytest.mark.parametrize(
    "arguments",
    [
        "-tap {0}/tap -bogus no user",
        "-bogus -tap {0}/tap no user",
        "-json {0}/json -file /nonesuch",
        "-json {0}/json -root 1 no user",
        "-tap {0}/tap -json {0}/json -mode",
        "-o {0}/o -bogus x",
        "-tap - -o {0}/tap -file /nonesuch",
        "-tap {0}/tap -json /nonesuch/x null page unmapped",
        "-json {0}/json -tap /nonesuch/x null page unmapped",
    ],
)
def test_no_older_results(gdb: GdbSession, pae: Any, tmp_path: Path, arguments: str) -> None:
    """Whatever was wrong with the command."""
    for name, option in (("tap", "-tap"), ("json", "-json"), ("o", "-o")):
        gdb.run(f"ptmap check {option} {tmp_path}/{name} null page unmapped")
        assert "ok" in (tmp_path / name).read_text()
    words = arguments.format(tmp_path)
    log = len(gdb.log)
    refused(gdb, f"ptmap check {words}", "ptmap check: ")
    assert "Bail out!" not in gdb.log[log:]
    for name in ("tap", "json", "o"):
        content = (tmp_path / name).read_text()
        if f"{tmp_path}/{name}" not in words:
            assert "ok" in content
        elif name == "tap":
            assert [row[0] for row in tap_of(tmp_path / name)] == ["version", "bailout"]
        else:
            assert content == ""


def test_names_are_escaped_once(gdb: GdbSession, pae: Any, tmp_path: Path) -> None:
    (tmp_path / "rules").write_text("grid /nonesuch/\u00e9\nsection \u00e9 user\n\u00e9 user\n")
    with pytest.raises(GdbFailure):
        gdb.run(f"ptmap check -file {tmp_path}/rules -o {tmp_path}/o")
    shown = (tmp_path / "o").read_text("ascii")
    assert r"/nonesuch/\xc3\xa9: No such file" in shown and r"\x5c" not in shown
    refused(gdb, "ptmap check grid /nonesuch/\u00e9", r"malformed: /nonesuch/\xc3\xa9: No such")
    refused(gdb, f"ptmap check -tap {tmp_path}/tap -file /nonesuch/\u00e9", "No such file")
    assert tap_of(tmp_path / "tap")[1][2] == (
        r"ptmap check: /nonesuch/\xc3\xa9: No such file or directory"
    )


def test_files_are_read_once(gdb: GdbSession, pae: Any, program: Path, tmp_path: Path) -> None:
    """However many rules there are about sections."""
    gdb.run(f"file {program}")
    module = "import ptmap.context.elf_sections as e\n"
    gdb.python(
        module + "e.calls, e.real = [], e.files\n"
        "e.files = lambda: e.calls.append(1) or e.real()\nresult = 0"
    )
    try:
        check(gdb, tmp_path, *["sections", "section .text exec", "section .nope exec"] * 5)
        assert gdb.python(module + "result = len(e.calls)") == 1
        gdb.run("file")
        check(gdb, tmp_path, *["sections", "section .text exec"] * 5)
        assert gdb.python(module + "result = len(e.calls)") == 2
    finally:
        gdb.python(module + "e.files = e.real\nresult = 0")
        gdb.run("file")
