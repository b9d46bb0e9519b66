"""The convenience functions: their answers, and that in conditions each is of this very stop."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Iterator

import pytest

from gdbsession import GdbFailure, GdbSession, ptmap_script, refused
from looping import KINDS, Looping
from qemu import Qemu

NAMES = ("ptmap_pa", "ptmap_entry", "ptmap_rights", "ptmap_mapped")


@pytest.fixture(scope="module", params=KINDS)
def loop(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Looping]:
    with Looping(request.param, tmp_path_factory.mktemp("lab")) as loop:
        yield loop


@pytest.fixture(params=["process", "packets"])
def source(request: pytest.FixtureRequest, loop: Looping) -> Iterator[str]:
    loop.gdb.run(f"set ptmap memory {request.param}")
    yield request.param
    loop.gdb.run("delete")
    assert loop.gdb.packet(b"qqemu.PhyMemMode") == b"0"


def text(loop: Looping, expression: str) -> str:
    return loop.gdb.run(f"output {expression}")


# Answers


def test_answers_are_what_pte_says(loop: Looping, source: str) -> None:
    """Every function of many addresses, against `pte -json`."""
    compared = 0
    places = [
        loop.kind.text,
        loop.kind.hole,
        loop.head,
        0,
        0xFFFFF000,
        loop.kind.direct_map,
        0x40000000,
        0xC0400000,
        0xF8809000,
        0x7FFFF7FC1000,
    ]
    if loop.kind.lab == "lab64":
        places += [slot << 39 for slot in range(1, 15)] + [0x123456789ABCDEF0]
    else:
        places.remove(0x7FFFF7FC1000)
    for va in places:
        (one,) = json.loads(loop.gdb.run(f"pte -json - {va:#x}"))["addresses"]
        ask = f"({va:#x}ul)" if va >> 32 else f"({va:#x})"
        if one["outcome"] == "unreadable":
            for name in NAMES:
                refused(loop.gdb, f"print ${name}{ask}", "cannot be read")
            continue
        assert loop.gdb.eval(f"$ptmap_mapped{ask}") == (one["outcome"] == "mapped")
        if one["outcome"] == "mapped":
            assert loop.gdb.eval(f"$ptmap_pa{ask}") == int(one["pa"], 16)
            rights = one["rights"]
            letters = [
                "u" if rights["user"] else "s",
                "r",
                *(
                    letter if rights[name] else "-"
                    for letter, name in (("w", "write"), ("x", "exec"), ("g", "global"))
                ),
            ]
            assert text(loop, f"$ptmap_rights{ask}") == f'"{"".join(letters)}"'
        else:
            refused(loop.gdb, f"print $ptmap_pa{ask}", "is not mapped")
            assert text(loop, f"$ptmap_rights{ask}") == '""'
        if one["steps"]:
            assert loop.gdb.eval(f"$ptmap_entry{ask}") == int(one["steps"][-1]["raw"], 16)
        else:
            refused(loop.gdb, f"print $ptmap_entry{ask}", "not canonical")
        for step in one["steps"]:
            with_level = f"{ask[:-1]}, {step['level']})"
            assert loop.gdb.eval(f"$ptmap_entry{with_level}") == int(step["raw"], 16)
            compared += 1
    assert compared > 12


def test_rights_are_those_of_the_ranges(loop: Looping) -> None:
    for line in loop.gdb.run("ptmap -ranges").splitlines():
        if line.startswith("0x"):
            start, _, _, rights = line.split()[:4]
            suffix = "ul" if len(start) > 10 else ""
            assert text(loop, f"$ptmap_rights({start}{suffix})") == f'"{rights}"'


def test_types(loop: Looping) -> None:
    """Unsigned and 64 bits wide, small or not; a C string with its end."""
    for expression in ("$ptmap_pa($pc)", f"$ptmap_entry({loop.kind.text:#x})"):
        assert loop.gdb.python(
            f"kind = gdb.parse_and_eval('{expression}').type\n"
            "result = [kind.sizeof, kind.is_signed]"
        ) == [8, False]
    rights = text(loop, "$ptmap_rights($pc)").strip('"')
    assert loop.gdb.eval(f'$_streq($ptmap_rights($pc), "{rights}")') == 1
    assert loop.gdb.eval(f'$_streq($ptmap_rights({loop.kind.hole:#x}), "")') == 1
    assert loop.gdb.eval('$_regex($ptmap_rights($pc), "..-x.")') == (rights[2:4] == "-x")


def test_arguments(loop: Looping) -> None:
    """Integers, pointers, arrays, functions; in 32 bits a negative one as in commands."""
    at = loop.gdb.eval("$ptmap_pa(layout)")
    assert at == loop.gdb.eval("$ptmap_pa(&layout[0])") == loop.gdb.eval("$ptmap_pa(layout[0])")
    assert loop.gdb.eval("$ptmap_pa(lab_wait)") == loop.gdb.eval("$ptmap_pa(&lab_wait)")
    assert loop.gdb.eval("$ptmap_pa((long)&lab_wait)") == loop.gdb.eval("$ptmap_pa(lab_wait)")
    for name, level in (("PT", 1), ("pd", 2)):
        assert loop.gdb.eval(f'$ptmap_entry({loop.kind.text}, "{name}")') == loop.gdb.eval(
            f"$ptmap_entry({loop.kind.text}, {level})"
        )


@pytest.mark.parametrize(
    "expression, words",
    [
        ("$ptmap_pa()", "takes VA or VA, HALF"),
        ("$ptmap_pa(1, 2)", 'HALF is "kernel" or "user"'),
        ("$ptmap_pa(1, 2, 3)", "takes VA or VA, HALF"),
        ("$ptmap_entry(1, 2, 3)", "takes VA or VA, LEVEL"),
        ("$ptmap_pa(1.5)", "not an integer"),
        ("$ptmap_pa($never_set)", "no value"),
        ('$ptmap_entry(0, "PX")', "has no level PX"),
        ("$ptmap_entry(0, 7)", "has no level 7"),
        ("$ptmap_entry(0, 0)", "has no level 0"),
    ],
)
def test_refusals(loop: Looping, expression: str, words: str) -> None:
    refused(loop.gdb, f"print {expression}", words)


def test_a_level_that_the_walk_does_not_reach(loop: Looping) -> None:
    large = loop.kind.direct_map + (0x1400000 if loop.kind.lab == "lab64" else 0x1000000)
    refused(loop.gdb, f"print $ptmap_entry({large:#x}, 1)", "has no PTE: PDE", "maps a page of")
    assert loop.gdb.eval(f"$ptmap_entry({large:#x}, 2)") & 0x81 == 0x81


def test_help(loop: Looping) -> None:
    for name in NAMES:
        lines = loop.gdb.run(f"help function {name}").splitlines()
        assert any(f"Usage: ${name} (VA" in line for line in lines)
        assert all(len(line) <= 80 for line in lines)


def test_settings_count(loop: Looping) -> None:
    pages = loop.ram
    pages[0x1E00000:0x1E01000] = bytes(0x1000)
    loop.gdb.run("set ptmap cr3 0x1e00000")
    try:
        assert loop.gdb.eval("$ptmap_mapped($pc)") == 0
    finally:
        loop.gdb.run("set ptmap cr3 auto")
    assert loop.gdb.eval("$ptmap_mapped($pc)") == 1


def test_inside_a_command(loop: Looping, source: str) -> None:
    """The command's memory, root and CPU are its own."""
    assert loop.gdb.run(f"pte $ptmap_pa({loop.kind.text:#x})+0") == loop.gdb.run(
        f"pte {loop.gdb.eval(f'$ptmap_pa({loop.kind.text:#x})'):#x}"
    )
    loop.gdb.python(
        """
from ptmap.machine.memory import Memory
Memory.times, Memory.kept = [], (Memory.begin, Memory.begin_piecemeal)
Memory.begin = lambda self: (Memory.times.append(1), Memory.kept[0](self))[1]
Memory.begin_piecemeal = lambda self: (Memory.times.append(1), Memory.kept[1](self))[1]
"""
    )
    try:
        loop.gdb.run("pte $ptmap_pa($pc) $ptmap_mapped($pc) $ptmap_pa($sp)")
        assert (
            loop.gdb.python(
                "from ptmap.machine.memory import Memory\n" "result = len(Memory.times)"
            )
            == 1
        )
    finally:
        loop.gdb.python(
            "from ptmap.machine.memory import Memory\n"
            "Memory.begin, Memory.begin_piecemeal = Memory.kept"
        )
    with pytest.raises(GdbFailure) as failure:
        loop.gdb.run("pte $ptmap_pa(0x40000001)+$ptmap_entry(1,2,3)")
    assert "\n" not in str(failure.value)
    assert "->" not in loop.gdb.run("xp/1gx $ptmap_pa($pc)")


def test_frames_stay(loop: Looping) -> None:
    """An upper frame that is selected, and those of a loop over frames."""
    if loop.kind is KINDS["lab32-64"]:
        pytest.skip("GDB finds no callers of 32-bit code in a 64-bit CPU")
    loop.gdb.run(f"set $pc = {loop.head:#x}")
    loop.gdb.run("up")
    pc = loop.gdb.eval("$pc")
    assert loop.gdb.eval("$ptmap_pa($pc) & 0xfff") == pc & 0xFFF
    assert loop.gdb.python("result = gdb.selected_frame().level()") == 1
    loop.gdb.run("down")
    said = loop.gdb.run("frame apply 2 -q output/x $ptmap_pa($pc) & 0xfff")
    assert said == f"{loop.head & 0xFFF:#x}{pc & 0xFFF:#x}"


# Conditions


def counting(loop: Looping, at: int, start: int = 0) -> None:
    """Each round adds 1 to the number at a physical address."""
    loop.load(loop.kind.count)
    loop.register("eax", loop.kind.direct_map + at)
    loop.ram[at : at + 4] = start.to_bytes(4, "little")


def when(loop: Looping, condition: str) -> str:
    """A condition that is true in the end, whatever becomes of ours."""
    loop.gdb.run("set $rounds = 0")
    return f"if $rounds++ > 1000 || ({condition})"


def hits(loop: Looping) -> int:
    found = re.search(r"already hit (\d+) time", loop.gdb.run("info breakpoints"))
    return int(found[1]) if found else 0


def test_an_entry_that_changes_at_every_stop(loop: Looping, source: str) -> None:
    entry = loop.entry_of(loop.kind.hole)
    counting(loop, entry)
    loop.gdb.run(
        f"break *{loop.head:#x} " + when(loop, f"$ptmap_entry({loop.kind.hole:#x}, 1) == 60")
    )
    loop.gdb.run("continue")
    assert loop.number(entry) == 60 == loop.gdb.eval(f"$ptmap_entry({loop.kind.hole:#x})")
    assert loop.gdb.packet(b"qqemu.PhyMemMode") == b"0"
    loop.gdb.run("delete")
    loop.ram[entry : entry + 4] = bytes(4)


def test_a_source_that_keeps_what_it_read(loop: Looping) -> None:
    """As a slow line does (kgdb), for as long as the target stands still. After a condition that
    did not hold the machine ran on, and no event told so."""
    entry, hole = loop.entry_of(loop.kind.hole), loop.kind.hole
    counting(loop, entry)
    after = loop.head + len(loop.kind.count) - 2  # the jump
    loop.gdb.python(
        """
from ptmap.machine.sources import choose
source = choose.choice().memory.source
source.keeps, source.begin_piecemeal = True, lambda: False"""
    )
    try:
        loop.gdb.run(f"break *{loop.head:#x} " + when(loop, f"$ptmap_entry({hole:#x}, 1) == 77"))
        loop.gdb.run(f"tbreak *{after:#x}")
        loop.gdb.run("ignore $bpnum 3")  # conditions come in between
        loop.gdb.run("continue")
        (one,) = json.loads(loop.gdb.run(f"pte {hole:#x} -json -"))["addresses"]
        assert int(one["steps"][-1]["raw"], 16) == loop.number(entry) == 4
    finally:
        loop.gdb.python(
            """
from ptmap.machine.sources import choose
source = choose.choice().memory.source
del source.keeps, source.begin_piecemeal"""
        )
        loop.gdb.run("delete")
    loop.ram[entry : entry + 4] = bytes(4)


def test_mapped_from_the_nth_stop_on(loop: Looping, source: str) -> None:
    """The carry of the byte before the entry is its P bit. Two functions in one condition."""
    hole = loop.kind.hole
    entry = loop.entry_of(hole)
    counting(loop, entry - 1)
    loop.ram[entry - 1 : entry + 3] = bytes([256 - 40, 0, 0, 0])
    condition = (
        f"$ptmap_mapped({hole:#x}) " f"&& $ptmap_pa({hole:#x}) == $ptmap_entry({hole:#x}) - 1"
    )
    loop.gdb.run(f"tbreak *{loop.head:#x} {when(loop, condition)}")
    loop.gdb.run("continue")
    assert loop.ram[entry - 1 : entry + 1] == b"\0\1"
    assert "No breakpoints" in loop.gdb.run("info breakpoints")
    loop.ram[entry - 1 : entry + 3] = bytes(4)


def test_watch_with_a_condition(loop: Looping, source: str) -> None:
    entry = loop.entry_of(loop.kind.hole)
    counting(loop, entry)
    loop.gdb.run(
        f"watch *(unsigned *){loop.kind.direct_map + entry:#x} "
        + when(loop, f"$ptmap_entry({loop.kind.hole:#x}, 1) >= 20")
    )
    loop.gdb.run("continue")
    assert loop.number(entry) == 20
    loop.ram[entry : entry + 4] = bytes(4)


def test_cr3_that_changes_at_every_stop(loop: Looping, source: str) -> None:
    """Registers are this stop's too: the second root lacks the user's part."""
    loop.load(loop.kind.switch)
    other = 0x1F00000
    loop.ram[other : other + 4096] = loop.ram[loop.root : loop.root + 4096]
    if loop.kind.lab == "lab64":
        loop.ram[other : other + 8] = bytes(8)
    else:
        loop.ram[other : other + 0x300 * 4] = bytes(0x300 * 4)
    loop.register("eax", other)
    loop.register("ebx", loop.root)
    loop.gdb.run(f"break *{loop.head:#x} " + when(loop, f"!$ptmap_mapped({loop.kind.text:#x})"))
    for _ in range(5):
        loop.gdb.run("continue")
        assert loop.gdb.eval("$cr3") & ~0xFFF == other
    assert hits(loop) == 5
    loop.gdb.run("delete")
    loop.gdb.run(f"break *{loop.head:#x} " + when(loop, f"$ptmap_mapped({loop.kind.text:#x})"))
    loop.gdb.run("continue")
    assert loop.gdb.eval("$cr3") & ~0xFFF == loop.root


def test_the_first_question_of_all_in_a_condition(loop: Looping, source: str) -> None:
    """The source is chosen and proved while GDB handles the stop."""
    entry = loop.entry_of(loop.kind.hole)
    counting(loop, entry)
    loop.gdb.run(f"set ptmap memory {source}")
    loop.gdb.run(f"break *{loop.head:#x} " + when(loop, f"$ptmap_entry({loop.kind.hole:#x}) == 7"))
    loop.gdb.run("continue")
    assert loop.number(entry) == 7
    loop.ram[entry : entry + 4] = bytes(4)


def test_an_error_in_a_condition_stops(loop: Looping, source: str) -> None:
    counting(loop, 0x1F00000)
    loop.gdb.run(f"break *{loop.head:#x} if $ptmap_pa({loop.kind.hole:#x}) == 0")
    said = loop.gdb.run("continue")
    assert "Error in testing condition" in said or "Error in testing breakpoint" in said
    assert "is not mapped: PTE" in said and "Traceback" not in said


def test_display_and_commands(loop: Looping, source: str) -> None:
    entry = loop.entry_of(loop.kind.hole)
    counting(loop, entry)
    hole = f"{loop.kind.hole:#x}"
    loop.gdb.run(f"display $ptmap_entry({hole})")
    loop.gdb.run(f"break *{loop.head:#x} if $ptmap_entry({hole}) % 4 == 2")
    loop.gdb.python(
        "gdb.breakpoints()[-1].commands = "
        f"'set $seen = $ptmap_entry({hole})\\nset $at = $ptmap_pa($pc)'"
    )
    try:
        for value in (2, 6, 10):
            said = loop.gdb.run("continue")
            assert f"$ptmap_entry({hole}) = {value}" in said
            assert loop.gdb.eval("$seen") == value == loop.number(entry)
            assert loop.gdb.eval("$at") == loop.gdb.eval("$ptmap_pa(lab_wait)")
            assert loop.gdb.run("pte $pc").count("physical") == 1  # commands work as ever
    finally:
        loop.gdb.run("undisplay")
        loop.ram[entry : entry + 4] = bytes(4)


_IN_STOP = """
import ptmap
from ptmap.machine.sources import choose

class Here(gdb.Breakpoint):
    said = []

    def stop(self):
        try:
            self.look()
        except Exception as error:
            self.said.append(repr(error))
        return len(self.said) > 4

Here.said.clear()
"""


def test_a_script_at_a_stop(loop: Looping, source: str) -> None:
    """gdb.Breakpoint.stop() comes while GDB handles the stop, as a condition does: spaces, walks
    and maps are this stop's there too."""
    entry = loop.entry_of(loop.kind.hole)
    counting(loop, entry)
    loop.gdb.python(
        _IN_STOP
        + f"""
def look(self):
    space = ptmap.space()
    walk = space.walk({loop.kind.hole:#x})
    pages = {{va: raw for va, _, _, _, raw in space.pages()}}
    self.said.append([walk.steps[-1].raw, pages.get({loop.kind.hole:#x}), len(space.map()) > 5])
Here.look = look
Here("*{loop.head:#x}")
"""
    )
    loop.gdb.run("continue")
    found = loop.gdb.python("result = gdb.breakpoints()[0].said")
    # GDB steps over the place where it is before it looks for breakpoints.
    assert found == [[n, n if n & 1 else None, True] for n in range(1, 6)]
    assert loop.gdb.packet(b"qqemu.PhyMemMode") == b"0"
    refusing = (
        _IN_STOP
        + f"""
def look(self):
    try:
        ptmap.space(cpu=0)
    except ptmap.Error as error:
        self.said += [str(error)] * 5
Here.look = look
Here("*{loop.head:#x}")
"""
    )
    loop.gdb.run("delete")
    loop.gdb.python(refusing)
    loop.gdb.run("continue")
    assert "no other CPU can be selected in a breakpoint's stop()" in loop.gdb.python(
        "result = gdb.breakpoints()[0].said[0]"
    )
    loop.ram[entry : entry + 4] = bytes(4)


def test_commands_at_a_stop(loop: Looping, source: str, tmp_path: Path) -> None:
    """They answer in gdb.Breakpoint.stop(), about this very stop. What would select a thread, set a
    breakpoint or load symbols refuses, in one sentence."""
    entry = loop.entry_of(loop.kind.hole)
    counting(loop, entry, start=0x100)
    hole, text = f"{loop.kind.hole:#x}", f"{loop.kind.text:#x}"
    answers = {
        "ptmap": "pages: ", f"ptmap -at {text}": "translates", "ptmap -json -": '"kind": "map"',
        f"pte $pc {hole}": "PTE", "ptmap regs": "CR3", "xp/1wx $ptmap_pa($pc)": ":",
        f"xp/1wx -va {text}": ":", "ptmap find $ptmap_pa($pc)": "COMPLETE",
        "ptmap find -aliases": "COMPLETE", "ptmap check count tables > 1": "ok",
        f"ptmap save {tmp_path}/map": "COMPLETE", f"ptmap diff {tmp_path}/map": "after  current",
        "ptmap diff": "after  current", "vdso": "vDSO",
    }  # fmt: skip
    refusals = {
        "ptmap -cpu 0": "no other CPU", "ptmap -all-cpus": "no other CPU",
        "ptmap diff current cpu=0": "no other CPU", f"pte -watch {hole}": "no watchpoint",
        "vdso -load": "no symbols", "ptmap kaslr /dev/null": "no symbols",
    }  # fmt: skip
    loop.gdb.python(
        _IN_STOP
        + f"""
def look(self):
    self.said.append({{}})
    # After an error of gdb.execute() GDB does not wait for the stop any more: only in the last one.
    for command in {[*answers]} + {[*refusals]} * (len(self.said) > 4):
        try:
            self.said[-1][command] = gdb.execute(command, to_string=True)
        except gdb.error as error:
            self.said[-1][command] = "refused: " + str(error)
Here.look = look
Here("*{loop.head:#x}")
"""
    )
    loop.gdb.run("continue")
    rounds = loop.gdb.python("result = gdb.breakpoints()[0].said")
    assert len(rounds) == 5
    for number, said in enumerate(rounds, 0x101):
        assert f"{number:#x}"[2:] in said[f"pte $pc {hole}"]
        for command, words in answers.items():
            assert words.lower() in said[command].lower() and "refused" not in said[command], said[
                command
            ]
    for command, words in refusals.items():
        assert words in said[command] and said[command].endswith(": GDB has not stopped yet")
    assert loop.gdb.python("result = len(gdb.breakpoints())") == 1
    assert loop.gdb.packet(b"qqemu.PhyMemMode") == b"0"
    loop.ram[entry : entry + 4] = bytes(4)


def test_memory_that_was_not_known(loop: Looping, source: str) -> None:
    """Where the short way to memory is not sure, QEMU is asked what is RAM; so of a table where
    there is none."""
    counting(loop, 0x1F00000)
    loop.gdb.python(
        _IN_STOP
        + """
def look(self):
    source = choose.memory().source
    packets = getattr(source, "_packets", source)
    packets.blocks, packets.ram_text = [], None
    self.said.append(int(gdb.parse_and_eval("$ptmap_pa($pc)")))
Here.look = look
"""
        + f"Here('*{loop.head:#x}')"
    )
    loop.gdb.run("continue")
    pa = loop.gdb.eval("$ptmap_pa($pc)")
    assert loop.gdb.python("result = gdb.breakpoints()[0].said") == [pa] * 5
    if loop.kind.lab == "lab64":
        loop.gdb.run("delete")
        loop.gdb.run(f"break *{loop.head:#x} if $ptmap_mapped({11 << 39:#x})")
        assert "cannot be read: not RAM" in loop.gdb.run("continue")


def test_a_dump(loop: Looping, tmp_path: Path) -> None:
    """Without any target: the dump's registers."""
    va = loop.kind.text
    expected = [loop.gdb.eval(f"$ptmap_pa({va})"), loop.gdb.eval(f"$ptmap_entry({va})")]
    loop.qemu.hmp(f"dump-guest-memory {tmp_path / 'dump'}")
    with GdbSession(script=ptmap_script()) as session:
        session.run(f"set ptmap memory dump {tmp_path / 'dump'}")
        assert [session.eval(f"$ptmap_pa({va})"), session.eval(f"$ptmap_entry({va})")] == expected
        assert session.eval(f"$ptmap_mapped({loop.kind.hole})") == 0


def test_many_stops_leave_gdb_whole(loop: Looping) -> None:
    entry = loop.entry_of(loop.kind.hole)
    counting(loop, entry)
    loop.gdb.run("set ptmap memory auto")
    condition = (
        "$ptmap_mapped($sp) && $_streq($ptmap_rights($pc), $ptmap_rights(lab_wait)) "
        f"&& $ptmap_entry({loop.kind.hole:#x}) == 400"
    )
    loop.gdb.run(f"break *{loop.head:#x} {when(loop, condition)}")
    loop.gdb.run("continue")
    assert loop.number(entry) == 400
    assert loop.gdb.run("backtrace").startswith("#0")
    loop.gdb.run("delete")
    loop.ram[entry : entry + 4] = bytes(4)
    assert "Traceback" not in loop.gdb.log


def test_refused_while_it_runs() -> None:
    with Qemu() as qemu, GdbSession(script=ptmap_script()) as session:
        session.attach(qemu.gdb_target)
        session.run("continue &")
        for name in NAMES:
            refused(session, f"print ${name}(0x1000)", "the target is running")


def test_without_a_target() -> None:
    with GdbSession(script=ptmap_script()) as session:
        for name in NAMES:
            refused(session, f"print ${name}(0x1000)", "no target")
