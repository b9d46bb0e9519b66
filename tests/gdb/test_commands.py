"""The options of ptmap, pte and ptmap regs, and the settings, on tables that a test lays out."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Iterator

import pytest

from gdbsession import GdbFailure, GdbSession, ptmap_script
from machine import BareMachine
from qemu import Qemu
from tables import KIB4, MIB2, MIB4, NX, P, RW, US, G, PCD, PWT, Tables

USER_RO, USER_RW, KERNEL = P | US, P | US | RW, P | RW


@pytest.fixture(scope="module")
def machine() -> Iterator[BareMachine]:
    with BareMachine(script=ptmap_script()) as machine:
        yield machine


@pytest.fixture()
def gdb(machine: BareMachine) -> GdbSession:
    return machine.session


@pytest.fixture()
def pae(machine: BareMachine) -> Tables:
    """User text and data, a kernel of large pages with W+X and without, a device."""
    space = Tables("pae")
    space.map(0x08048000, 0x1000000, KIB4, USER_RO)
    space.map(0x08049000, 0x1001000, KIB4, USER_RW | NX)
    space.map(0x0804A000, 0x1003000, KIB4, USER_RW | NX)
    space.map(0xC0000000, 0x0000000, MIB2, KERNEL | G)
    space.map(0xC0200000, 0x0200000, MIB2, KERNEL | G | NX)
    space.map(0xC0400000, 0x0400000, KIB4, KERNEL | G | NX)
    space.map(0xFFFFF000, 0xFEC00000, KIB4, KERNEL | NX | PCD | PWT)
    space.write_to(machine)
    machine.set_mode("pae", space.root)
    return space


@pytest.fixture()
def long(machine: BareMachine) -> Tables:
    """The last page of the lower half and the first of the upper, alike and neighbours."""
    space = Tables("4-level")
    space.map(0x00007FFFFFFFF000, 0x1000000, KIB4, USER_RW)
    space.map(0xFFFF800000000000, 0x1001000, KIB4, USER_RW)
    space.map(0xFFFFFFFFFFFFF000, 0x1002000, KIB4, KERNEL)
    space.write_to(machine)
    machine.set_mode("4-level", space.root)
    return space


def ranges(gdb: GdbSession, options: str) -> list[tuple[int, int]]:
    """(start, end) of each."""
    document = json.loads(gdb.run(f"ptmap -json - {options}"))
    return [(int(r["va"], 16), int(r["va"], 16) + int(r["size"], 16)) for r in document["ranges"]]


def refused(gdb: GdbSession, command: str, *words: str) -> str:
    with pytest.raises(GdbFailure) as failure:
        gdb.run(command)
    assert failure.value.kind == "error"
    text = str(failure.value)
    assert "\n" not in text and "Traceback" not in text and all(word in text for word in words)
    return text


# Ranges


def test_ranges(gdb: GdbSession, pae: Tables) -> None:
    text = gdb.run("ptmap -ranges").splitlines()
    assert text[1].split() == ["start", "end", "size", "rights", "type", "pages", "physical"]
    assert [line.split() for line in text[2:7]] == [
        ["0x08048000", "0x08049000", "4K", "ur-x-", "WB", "4K", "0x1000000"],
        ["0x08049000", "0x0804b000", "8K", "urw--", "WB", "4K", "-"],
        ["0xc0000000", "0xc0200000", "2M", "srwxg", "WB", "2M", "0x0"],
        ["0xc0200000", "0xc0401000", "2052K", "srw-g", "WB", "4K,2M", "0x200000"],
        ["0xfffff000", "0x00000000", "4K", "srw--", "UC", "4K", "0xfec00000"],
    ]
    assert text[7:] == [
        "split 3G/1G: the supervisor's part begins at 0xc0000000",
        "6 tables; pages: 5 of 4K, 2 of 2M, 1 not RAM; complete",
    ]


def test_phys_splits_and_nothing_else(gdb: GdbSession, pae: Tables) -> None:
    whole, split = ranges(gdb, ""), ranges(gdb, "-phys")
    assert set(split) - set(whole) == {(0x08049000, 0x0804A000), (0x0804A000, 0x0804B000)}
    assert set(whole) - set(split) == {(0x08049000, 0x0804B000)}


def test_halves_are_two(gdb: GdbSession, long: Tables) -> None:
    assert ranges(gdb, "") == [
        (0x00007FFFFFFFF000, 0x0000800000000000),
        (0xFFFF800000000000, 0xFFFF800000001000),
        (0xFFFFFFFFFFFFF000, 1 << 64),
    ]


@pytest.mark.parametrize(
    "expression, count",
    [
        ("user", 2),
        ("supervisor", 3),
        ("no-user", 3),
        ("write", 4),
        ("read-only", 1),
        ("no-write", 1),
        ("exec", 2),
        ("no-exec", 3),
        ("write+exec", 1),
        ("user+exec", 1),
        ("user,exec", 3),
        ("global", 2),
        ("no-global+supervisor", 1),
        ("large", 2),  # each page size alone
        ("no-large", 4),
        ("2M", 2),
        ("4K", 4),
        ("4K+2M", 0),
        ("4K,2M", 6),
        ("no-2M", 4),
        ("write+no-4M", 5),
        ("4M", 0),
        ("1G", 0),
        ("UC", 1),
        ("WB", 4),
        ("no-WB", 1),
        ("UC-", 0),
        ("PAT1", 0),
        ("no-read-only", 4),
        ("no-no-exec", 2),
    ],
)
def test_filter(gdb: GdbSession, pae: Tables, expression: str, count: int) -> None:
    assert len(ranges(gdb, f"-filter {expression}")) == count
    lines = gdb.run(f"ptmap -filter {expression}").splitlines()
    assert len([line for line in lines if line.startswith("0x")]) == count


@pytest.mark.parametrize(
    "expression", ["usr", "user+", "", "user write", "write+no-write", "global+no-global", "no-"]
)
def test_bad_filter(gdb: GdbSession, pae: Tables, expression: str) -> None:
    refused(gdb, f"ptmap -filter '{expression}'")


# Windows


@pytest.mark.parametrize(
    "window, found",
    [
        ("0x08049000 0x0804a000", [(0x08049000, 0x0804A000)]),
        ("0x08048000 0x08049000", [(0x08048000, 0x08049000)]),  # END is exclusive
        ("0xc0001000 0xc0003000", [(0xC0001000, 0xC0003000)]),  # cuts a large page
        ("0xfffff000 0", [(0xFFFFF000, 1 << 32)]),
        ("0xfffff000 0x100000000", [(0xFFFFF000, 1 << 32)]),
        ("0x10000000 0x20000000", []),
        ("-4096 0", [(0xFFFFF000, 1 << 32)]),
    ],
)
def test_window(gdb: GdbSession, pae: Tables, window: str, found: list[tuple[int, int]]) -> None:
    assert ranges(gdb, f"-- {window}") == found


def test_window_across_the_hole(gdb: GdbSession, long: Tables) -> None:
    assert len(ranges(gdb, "0x7ffffffff000 0xffff800000001000")) == 2
    assert len(ranges(gdb, "0x800000000000 0xffff800000001000")) == 1  # not canonical: rounded
    assert len(ranges(gdb, "0x7ffffffff000 0xffff000000000000")) == 1
    assert len(ranges(gdb, "0 0x1000000000000")) == 1  # 2^48 is in the hole, not the top
    assert ranges(gdb, "0xffff800000000000 0") == ranges(gdb, "")[1:]


def test_window_reads_only_its_tables(gdb: GdbSession, pae: Tables) -> None:
    everything = json.loads(gdb.run("ptmap -json -"))
    part = json.loads(gdb.run("ptmap -json - 0x08048000 0x08049000"))
    assert (everything["tables"], part["tables"]) == (6, 3)
    assert part["pages"]["4K"] == 1


def test_window_grid(gdb: GdbSession, pae: Tables) -> None:
    rows = [
        line
        for line in gdb.run("ptmap 0xc0200000 0xc0600000").splitlines()
        if line.startswith("0x")
    ]
    assert rows == ["0xc0000000  Xx"]


def test_negative_expressions(gdb: GdbSession, long: Tables) -> None:
    """GDB's general registers are signed: a kernel address in one is negative."""
    assert "PT at 0x" in gdb.run("ptmap -at -4096 -level PT")
    assert ranges(gdb, "-- -4096 0") == [(0xFFFFFFFFFFFFF000, 1 << 64)]
    refused(gdb, "ptmap -root -1", "cannot be a 4-level root")
    refused(gdb, "pte -root -8192 0", "neither a physical address nor mapped")


def test_bad_windows(gdb: GdbSession, pae: Tables) -> None:
    refused(gdb, "ptmap 0x2000", "START END")
    refused(gdb, "ptmap 1 2 3", "START END")
    refused(gdb, "ptmap 0x2000 0x1000", "empty")
    refused(gdb, "ptmap 0x2000 0x2000", "empty")
    refused(gdb, "ptmap 0x100000000 0x200000000", "32-bit")
    refused(gdb, "ptmap -at 0 0 0x1000", "START END")
    refused(gdb, "ptmap nosuch 0x1000", "nosuch")


# Views


def test_as(machine: BareMachine, gdb: GdbSession, pae: Tables) -> None:
    def rights(mode: str) -> dict[str, str]:
        rows = [line.split() for line in gdb.run(f"ptmap -as {mode}").splitlines()]
        return {row[0]: row[3] for row in rows if row[0].startswith("0x")}

    machine.set_mode("pae", pae.root, wp=True)
    assert rights("user")["0x08048000"] == "ur-x-"
    assert rights("user")["0xc0000000"] == "s---g"
    assert rights("kernel")["0x08048000"] == "ur-x-"
    machine.set_mode("pae", pae.root, wp=False)
    assert rights("kernel")["0x08048000"] == "urwx-"
    machine.set_mode("pae", pae.root, smep=True, smap=True)
    assert rights("kernel")["0x08048000"] == "u----"
    assert rights("kernel")["0xc0200000"] == "srw-g"
    document = json.loads(gdb.run("ptmap -as kernel -json -"))
    assert document["as"] == "kernel" and document["ranges"][0]["read"] is False


def test_at(gdb: GdbSession, pae: Tables) -> None:
    table = gdb.run("ptmap -at 0x08049000").splitlines()
    assert table[1].startswith("PT at 0x") and table[2] == "a cell is 4 KiB"
    assert table[3].startswith("0x08000000 ") and table[4].startswith("0x08040000 ........r++")
    directory = gdb.run("ptmap -at 0x08049000 -level PD").splitlines()
    assert directory[2] == "a cell is 2 MiB" and directory[4] == f"0x08000000 r{63 * '.'}"
    root = gdb.run("ptmap -at 0 -level 3").splitlines()
    assert root[3] == "0x00000000 r..x"
    assert "maps a page of 2 MiB" in gdb.run("ptmap -at 0xc0000000 -level 1")
    assert "is not present" in gdb.run("ptmap -at 0x40000000 -level PT")
    refused(gdb, "ptmap -at 0 -level PML4", "no level PML4", "PDPT, PD, PT")
    refused(gdb, "ptmap -level 1", "-at")
    refused(gdb, "ptmap -at 0 -level 7", "-level")


@pytest.mark.parametrize(
    "command", ["ptmap -root {}", "pte -root {} 0", "ptmap diff root={} current", "vdso -root {}"]
)
def test_a_root_read_from_an_int(gdb: GdbSession, long: Tables, command: str) -> None:
    """What `&(*0x1000)` gives has no type to point to. There is no page at 0."""
    refused(gdb, command.format("*0"), "Cannot access memory")
    assert f"root {long.root:#x}" in gdb.run("ptmap")


def test_root_and_mode(machine: BareMachine, gdb: GdbSession, long: Tables) -> None:
    other = Tables("32-bit", at=0x2000000)
    other.map(0x400000, 0x400000, MIB4, KERNEL)
    other.write_to(machine)
    document = json.loads(gdb.run(f"ptmap -root {other.root:#x} -mode 32-bit -json -"))
    assert (document["mode"], int(document["root"], 16)) == ("32-bit", other.root)
    assert [r["page_sizes"] for r in document["ranges"]] == [["4M"]]
    assert "0x00400000: 32-bit paging" in gdb.run(
        f"pte -root {other.root:#x} -mode 32-bit 0x400000"
    )
    refused(gdb, "ptmap -root 0x1001", "4096-byte aligned")
    refused(gdb, "ptmap -root 0x1010 -mode pae", "32-byte aligned")
    refused(gdb, "ptmap -root nosuch", "nosuch")
    refused(gdb, "ptmap -mode 3-level", "32-bit, pae, 4-level, 5-level")
    assert "paging, root 0x1000\n" in gdb.run("ptmap -root 0x1000")


def test_json_to_a_file(gdb: GdbSession, pae: Tables, tmp_path: Path) -> None:
    file = tmp_path / "map.json"
    assert gdb.run(f"ptmap -json {file}") == ""
    assert file.read_text() == gdb.run("ptmap -json -")
    assert json.loads(file.read_text())["schema"] == "ptmap/1"
    refused(gdb, f"ptmap -json {tmp_path}/none/map.json", "No such file")


# Paging off, settings


def test_paging_off(machine: BareMachine, gdb: GdbSession, pae: Tables) -> None:
    machine.set_registers(cr0=0x11)
    refused(gdb, "ptmap", "paging is off")
    assert "paging is off (CR0.PG=0), physical 0x1234\n" in gdb.run("pte 0x1234")
    refused(gdb, "pte 0x100000000", "32-bit")
    document = json.loads(gdb.run("pte -json - 0x1234"))
    assert (document["mode"], document["addresses"][0]["outcome"]) == ("off", "paging-off")
    assert "paging is off" in gdb.run("ptmap regs")
    assert len(ranges(gdb, f"-root {pae.root:#x} -mode pae")) == 5


def test_settings(gdb: GdbSession, pae: Tables) -> None:
    try:
        gdb.run("set ptmap pat 0x0407050600070106")
        gdb.run("set ptmap cr4 $cr4 & ~0x80")
        assert not ranges(gdb, "-filter global")
        gdb.run("set ptmap efer 0")
        assert json.loads(gdb.run("ptmap -json -"))["malformed"]
        gdb.run("set ptmap maxphyaddr 36")
        assert "is 36" in gdb.run("show ptmap maxphyaddr")
        assert "assuming" not in gdb.run("pte 0x08048000")
        gdb.run("set ptmap max-ranges 2")
        document = json.loads(gdb.run("ptmap -json -"))
        assert document["truncated"] and not document["complete"]
        assert "cut short" in gdb.run("ptmap")
        gdb.run("set ptmap max-ranges auto")
        gdb.run("set ptmap max-tables 2")
        document = json.loads(gdb.run("ptmap -json -"))
        assert document["tables"] == 2 and document["truncated"]
    finally:
        for name in ("pat", "cr4", "efer", "maxphyaddr", "max-ranges", "max-tables"):
            gdb.run(f"set ptmap {name} auto")
    assert len(ranges(gdb, "-filter global")) == 2
    refused(gdb, "set ptmap maxphyaddr 53", "32", "52")
    refused(gdb, "set ptmap cr3 nosuch")
    assert "auto" in gdb.run("show ptmap cr3")
    refused(gdb, "set ptmap nosuch 1", "nosuch")
    refused(gdb, "show ptmap nosuch", "nosuch")


def test_memory_types(gdb: GdbSession, machine: BareMachine) -> None:
    space = Tables("4-level")
    for slot in range(8):
        space.map(
            0x1000 * slot,
            0x10000 + 0x2000 * slot,
            KIB4,
            KERNEL | (slot & 3) << 3 | (slot >> 2) << 7,
        )
    space.write_to(machine)
    machine.set_mode("4-level", space.root)

    def types() -> list[str]:
        return [r["cache"] for r in json.loads(gdb.run("ptmap -phys -json -"))["ranges"]]

    assert types() == ["WB", "PAT1", "UC-", "UC", "WB", "PAT5", "UC-", "PAT7"]
    gdb.run("set ptmap pat 0x0407050600070106")
    try:
        assert types() == ["WB", "WC", "UC-", "UC", "WB", "WP", "UC-", "WT"]
        assert "WC (PAT slot 1)" in gdb.run("pte 0x1000")
        gdb.run("set ptmap pat 0x0407050600070206")  # 2 is no memory type
        assert types() == ["WB", "invalid", "UC-", "UC", "WB", "WP", "UC-", "WT"]
        assert "invalid (PAT slot 1)" in gdb.run("pte 0x1000")
        assert json.loads(gdb.run("pte -json - 0x1000"))["addresses"][0]["cache"] == "invalid"
    finally:
        gdb.run("set ptmap pat auto")


# Arguments, help


def test_arguments(gdb: GdbSession, pae: Tables) -> None:
    refused(gdb, "pte", "which address")
    refused(gdb, "pte nosuch", "nosuch")
    refused(gdb, "pte (void)0", "no value")
    refused(gdb, "pte 0x100000000", "32-bit")
    refused(gdb, "pte -foo 0", "-foo", "-json")
    refused(gdb, "pte -root", "PA")
    refused(gdb, "ptmap regs 1", "no argument")
    refused(gdb, "ptmap -r", "ambiguous")
    assert gdb.run("ptmap -ran") == gdb.run("ptmap -ranges")
    assert gdb.run('pte "0x08048000 + 0x1000"') == gdb.run("pte 0x08049000")
    assert gdb.run("pte -4096").startswith("0xfffff000:")
    assert gdb.run("ptmap pte 0x08048000") == gdb.run("pte 0x08048000")
    assert gdb.run("pte 0x08048000 0x08049000").count("pae paging") == 2


def test_regs(gdb: GdbSession, pae: Tables) -> None:
    text = gdb.run("ptmap regs")
    rows = [row.partition(" ") for row in text.splitlines()]
    lines = {name: rest.strip() for name, _, rest in rows}
    assert lines["CR0"].endswith("PE ET WP PG")
    assert lines["CR3"].endswith(f"root={pae.root:#x}")
    assert lines["CR4"].endswith("PSE PAE PGE") and lines["EFER"].endswith("NXE")
    assert lines["mode"] == "pae paging: PDPT, PD, PT; 32-bit linear addresses"
    document = json.loads(gdb.run("ptmap regs -json -"))
    assert document["kind"] == "regs" and document["mode"] == "pae"
    assert document["registers"]["efer"]["bits"] == ["NXE"]


@pytest.mark.parametrize("command", ["ptmap", "pte", "vdso", "ptmap regs"])
def test_help(gdb: GdbSession, command: str) -> None:
    text = gdb.run(f"help {command}")
    assert "Examples:" in text and max(map(len, text.splitlines())) <= 80
    options: dict[str, Any] = gdb.python(
        f"""
import importlib
module = importlib.import_module("ptmap.commands." + {command.split()[-1]!r})
kind = next(c for c in vars(module).values() if isinstance(c, type) and "Command" in c.__name__
            and c.__module__ == module.__name__)
result = {{o.name: [list(o.choices), o.value] for o in kind.options}}
"""
    )
    for name in options:
        assert re.search(rf"^ +-{name}\b", text, re.M), name


def test_completion(gdb: GdbSession) -> None:
    def complete(line: str) -> set[str]:
        return set(gdb.run(f"complete {line}").splitlines())

    assert complete("ptmap -ra") == {"ptmap -ranges"}
    assert "ptmap -filter" in complete("ptmap -")
    assert complete("ptmap -mode 4") == {"ptmap -mode 4-level"}
    assert complete("pte -j") == {"pte -json"}
    assert complete("ptmap re") == {"ptmap regs"}
    assert "set ptmap maxphyaddr" in complete("set ptmap max")
    assert complete("ptmap -filter user+no-e") == {"ptmap -filter user+no-exec"}
    assert complete("ptmap diff half=k") == {"ptmap diff half=kernel"}
    assert complete("ptmap check 0x1000 unm") == {"ptmap check 0x1000 unmapped"}


@pytest.mark.parametrize("line", ["ptmap save", "ptmap diff", "ptmap kaslr"])
def test_completion_of_file_names(gdb: GdbSession, tmp_path: Path, line: str) -> None:
    """Whole paths: neither / nor - begins another word."""
    (tmp_path / "a-file").touch()
    assert f"{line} {tmp_path}/a-file" in gdb.run(f"complete {line} {tmp_path}/a-f").splitlines()


# text, the word that GDB makes of it, the kind of word or the words
COMPLETIONS = {
    "ptmap": [
        ("", "", "EXPRESSION"),
        ("-ra", "ra", ["ranges"]),
        ("-mode 4-l", "l", ["level"]),
        ("-root $c", "$c", "EXPRESSION"),
        ("-json ", "", "FILENAME"),
        ("-json '/tmp/a b", "a b", "FILENAME"),
    ],
    "pte": [("$p", "$p", "EXPRESSION"), ("-expect user,unm", "unm", ["unmapped"])],
    "vdso": [("-dump a", "a", "FILENAME"), ("-lo", "lo", ["load"])],
    "regs": [("-j", "j", ["json"])],
    "ps": [("-a", "a", ["all"])],
    "find": [("$p", "$p", "EXPRESSION")],
    "save": [("a", "a", "FILENAME"), ("-half u", "u", ["user"])],
    "diff": [("cur", "cur", ["current"]), ("half=u", "u", ["user"]), ("/t", "/t", "FILENAME")],
    "check": [
        ("onl", "onl", ["only"]),
        ("0 unm", "unm", ["unmapped"]),
        ("$pc $p", "$p", "EXPRESSION"),
        ("-tap x", "x", "FILENAME"),
    ],
    "kaslr": [("vm", "vm", "FILENAME")],
    "xp": [("/4gx $s", "$s", "EXPRESSION")],
}


def test_completion_asks_without_a_word_first(gdb: GdbSession) -> None:
    """It wants to know where the word begins. GDB 16 and later print what complete() raises."""
    answers = gdb.python(
        f"""
import importlib, inspect, sys
from ptmap.commands.command import Command
kinds = {{}}
for name in {list(COMPLETIONS)!r}:
    module = importlib.import_module("ptmap.commands." + name)
    kinds[name], = (c for c in vars(module).values() if inspect.isclass(c)
                    and issubclass(c, Command) and c.__module__ == module.__name__)
assert set(kinds.values()) == set(Command.__subclasses__())
names = {{getattr(gdb, "COMPLETE_" + n): n for n in ("FILENAME", "EXPRESSION")}}
result = {{}}
for name, cases in {COMPLETIONS!r}.items():
    command = kinds[name].__new__(kinds[name])
    for text, word, _ in cases:
        first, second = (command.complete(text, w) for w in (None, word))
        result[f"{{name}} {{text}}"] = [names.get(a) if isinstance(a, int) else a
                                      for a in (first, second)]
"""
    )
    for name, cases in COMPLETIONS.items():
        for text, _, expected in cases:
            first, second = answers[f"{name} {text}"]
            assert second == expected
            assert first == expected if isinstance(expected, str) else isinstance(first, list)


def test_completion_never_fails() -> None:
    """Of -pid and -comm: without a target, without a Linux, and while the target runs."""
    words = "from ptmap.context import selection; result = [o.words() for o in selection.OPTIONS]"
    with Qemu() as qemu, GdbSession(script=ptmap_script()) as session:
        assert not any(session.python(words))
        session.attach(qemu.gdb_target)
        assert not any(session.python(words))
        session.run("continue &")
        assert not any(session.python(words))
        assert session.run("complete ptmap -comm x") == ""


def test_text_fits_80_columns(gdb: GdbSession, pae: Tables) -> None:
    for command in (
        "ptmap",
        "ptmap -ranges",
        "ptmap regs",
        "pte 0x08048000 0xfffff000 0",
        "ptmap -at 0x08048000",
    ):
        assert max(map(len, gdb.run(command).splitlines())) <= 80
        assert gdb.run(command).isascii()


def test_cr2_is_unsigned(machine: BareMachine, gdb: GdbSession, long: Tables) -> None:
    """GDB's registers are signed."""
    gdb.run("set $cr2 = 0xffffc90000001234")
    assert "CR2   0xffffc90000001234" in gdb.run("ptmap regs")
    registers = json.loads(gdb.run("ptmap regs -json -"))["registers"]
    assert registers["cr2"]["value"] == "0xffffc90000001234"


def test_a_filter_is_said(gdb: GdbSession, pae: Tables) -> None:
    """The pages are those of the whole window."""
    assert "before -filter: 6 tables" in gdb.run("ptmap -filter user")
    assert json.loads(gdb.run("ptmap -filter user -json -"))["filter"] == "user"
    assert "filter" not in json.loads(gdb.run("ptmap -json -"))


# What asks for a Linux, where there is none


@pytest.mark.parametrize("option", ["-pid 1", "-comm init"])
def test_another_system(gdb: GdbSession, long: Tables, option: str) -> None:
    name = option.split()[0]
    with pytest.raises(GdbFailure, match=f"^ptmap: {name}: no Linux recognised here$"):
        gdb.run(f"ptmap {option}")


def test_kaslr_without_linux(gdb: GdbSession, long: Tables) -> None:
    with pytest.raises(GdbFailure, match="these tables have no Linux kernel"):
        gdb.run("ptmap kaslr")
