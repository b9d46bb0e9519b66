"""xp on a bare machine with paging off, where GDB's x on the same address prints the same text."""

from __future__ import annotations

import struct
import subprocess
from typing import Iterator

import pytest

import json_schema
from gdbsession import GdbFailure, GdbSession, ptmap_script
from machine import BareMachine
from tables import KIB4, P, RW, Tables

DATA = 0x1000
TEXT = DATA + 64  # "hello\n\xff", then 300 times "a"
WIDE = TEXT + 8 + 301 + 64
FLOATS = WIDE + 10
END = 64 << 20  # of RAM
DEVICE = 0xFEE00000  # the local APIC

PATTERN = (
    bytes(range(64))
    + b"hello\n\xff\0"
    + b"a" * 300
    + b"\0"
    + bytes(64)
    + "hé\0ü".encode("utf-16-le")
    + b"\0\0"
    + struct.pack("<dfdf", 1.5, -2.25, float("nan"), 1e30)
    + bytes(range(255, 100, -1))
)


@pytest.fixture(scope="module")
def machine() -> Iterator[BareMachine]:
    with BareMachine(script=ptmap_script()) as machine:
        machine.set_registers(cr0=0x11)
        machine.write_phys(DATA, PATTERN)
        machine.flush()
        yield machine


@pytest.fixture()
def gdb(machine: BareMachine) -> GdbSession:
    machine.set_registers(cr0=0x11)
    return machine.session


def alike(gdb: GdbSession, *arguments: str) -> list[str]:
    """The same sequence of x and of xp; what both print."""
    shown = [gdb.run(f"x{argument}") for argument in arguments]
    assert [gdb.run(f"xp{argument}") for argument in arguments] == shown
    return shown


def refused(gdb: GdbSession, command: str, *words: str) -> None:
    with pytest.raises(GdbFailure) as failure:
        gdb.run(command)
    text = str(failure.value)
    assert failure.value.kind == "error" and "\n" not in text
    assert all(word in text for word in words), text


@pytest.mark.parametrize("letter", "xduotacfz")
@pytest.mark.parametrize("count", ["", "3", "17", "-5", "0"])
def test_values(gdb: GdbSession, letter: str, count: str) -> None:
    for size in ("b", "h", "w", "g", ""):
        for address in (DATA, TEXT + 3, FLOATS):
            alike(gdb, f"/{count}{letter}{size} {address:#x}", "", "/2")
            alike(gdb, f"/{size}{letter}{count} {address:#x}" if not count else f"/{count}x")


@pytest.mark.parametrize("format", ["s", "3s", "hs", "2hs", "ws", "i", "7i"])
def test_strings_and_instructions(gdb: GdbSession, format: str) -> None:
    for address in (DATA, TEXT, TEXT + 8, WIDE, DATA + 3):
        shown = alike(gdb, f"/{format} {address:#x}", "", "/2", "/2x", "")
        assert shown[0].startswith(f"{address:#x}:") or "i" in format


def test_long_strings(gdb: GdbSession) -> None:
    (shown,) = alike(gdb, f"/2s {TEXT + 8:#x}")
    assert shown.count("repeats") == 2 and "..." in shown
    try:
        gdb.run("set print elements 7")
        alike(gdb, f"/3s {DATA + 1:#x}", "")
    finally:
        gdb.run("set print elements 200")


@pytest.mark.parametrize(
    "format, text, shown, values",
    [
        ("s", "hé", '"hé"', ['"h\\xc3\\xa9"']),
        ("s", "€\\", '"€\\\\"', ['"\\xe2\\x82\\xac\\\\"']),
        ("hs", "hé", 'u"hé"', ['u"h\\xc3\\xa9"']),
        ("ws", "h😀", 'U"h😀"', ['U"h\\xf0\\x9f\\x98\\x80"']),
        ("xb", "é", "0xc3", ["0xc3"]),
    ],
)
def test_json_of_other_characters(
    machine: BareMachine, gdb: GdbSession, format: str, text: str, shown: str, values: list[str]
) -> None:
    """GDB shows them as they are, if its charset has them; JSON is ASCII, escapes undone too."""
    encoding = {"hs": "utf-16-le", "ws": "utf-32-le"}.get(format, "utf-8")
    machine.write_phys(0x3000, text.encode(encoding) + bytes(4))
    machine.flush()
    assert alike(gdb, f"/{format} 0x3000") == [f"0x3000:\t{shown}\n"]
    document = json_schema.check(gdb.run(f"xp/{format} -json - 0x3000"))
    assert document["lines"] == [{"pa": "0x3000", "values": values}]


@pytest.mark.parametrize(
    "command, count", [("xp/-4gx 0x10", 2), ("xp/-2gx 8", 1), ("xp/-1wx 8", 1)]
)
def test_backwards_ends_at_0(gdb: GdbSession, command: str, count: int) -> None:
    """What lies before an address, and nothing behind it."""
    values = [word for word in gdb.run(command).split() if not word.endswith(":")]
    assert len(values) == count
    refused(gdb, "xp/-1gx 7", "there is nothing before 0x7")


def test_it_goes_on(gdb: GdbSession) -> None:
    gdb.run(f"xp/2xb {DATA:#x}")
    assert gdb.run("ptmap xp") == f"{DATA + 2:#x}:\t0x02\t0x03\n"
    assert gdb.run("xp/xh") == f"{DATA + 4:#x}:\t0x0504\n"
    assert gdb.run(f"ptmap xp/1xg {DATA:#x}") == f"{DATA:#x}:\t0x0706050403020100\n"
    assert gdb.run(f"xp {DATA:#x} + 8") == f"{DATA + 8:#x}:\t0x0f0e0d0c0b0a0908\n"


def test_it_is_physical(machine: BareMachine, gdb: GdbSession) -> None:
    """Paging that maps another frame at that address changes nothing."""
    shown = gdb.run(f"xp/8xg {DATA:#x}"), gdb.run(f"xp/s {TEXT:#x}"), gdb.run(f"xp/3i {DATA:#x}")
    space = Tables("32-bit", at=0x100000)
    space.map(DATA, 0x300000, KIB4, P | RW)
    space.write_to(machine)
    machine.set_mode("32-bit", space.root)
    assert "0x0706050403020100" not in gdb.run(f"x/8xg {DATA:#x}")
    assert shown == (
        gdb.run(f"xp/8xg {DATA:#x}"),
        gdb.run(f"xp/s {TEXT:#x}"),
        gdb.run(f"xp/3i {DATA:#x}"),
    )
    # Nothing of it stays in GDB's cache.
    assert "0x0706050403020100" not in gdb.run(f"x/8xg {DATA:#x}")
    assert gdb.packet(b"qqemu.PhyMemMode") == b"0"


def test_the_users_disassembler_stays(gdb: GdbSession) -> None:
    if not gdb.python(
        """
try:
    import gdb.disassembler
    result = True
except ImportError:
    pass
"""
    ):
        refused(gdb, f"xp/i {DATA:#x}", "GDB 13")
        return
    names = gdb.python(
        """
import gdb.disassembler
class Nop(gdb.disassembler.Disassembler):
    def __call__(self, info):
        return gdb.disassembler.DisassemblerResult(1, "mine")
name = gdb.selected_frame().architecture().name()
gdb.disassembler.register_disassembler(Nop("nop"), name)
result = [gdb.execute(f"{c}/i 0x1000", to_string=True) for c in ("x", "xp", "x")]
gdb.disassembler.register_disassembler(None, name)
"""
    )
    assert "mine" in names[0] and "mine" not in names[1] and "mine" in names[2]


@pytest.mark.parametrize(
    "command, address",
    [
        (f"xp {END:#x}", END),
        (f"xp/4xg {END - 8:#x}", END),
        (f"xp/xg {END - 3:#x}", END),
        (f"xp/i {END:#x}", END),
        (f"xp/s {END:#x}", END),
        (f"xp/100000xb {END - 70000:#x}", END),
        (f"xp {DEVICE:#x}", DEVICE),
        (f"xp/i {DEVICE:#x}", DEVICE),
        (f"xp/s {DEVICE:#x}", DEVICE),
    ],
)
def test_not_ram(gdb: GdbSession, command: str, address: int) -> None:
    refused(gdb, command, f"{address:#x}: not RAM")
    assert gdb.packet(b"qqemu.PhyMemMode") == b"0"


def test_what_comes_before_is_shown() -> None:
    """As x does: the values that are there, then the error."""
    with BareMachine() as other:  # an agent's session shows no output of what failed
        other.session.disconnect()
        other.write_phys(END - 8, b"ab\0last!")
        run = subprocess.run(
            [
                "gdb",
                "-nx",
                "-q",
                "-batch",
                "-x",
                str(ptmap_script()),
                "-ex",
                f"target remote {other.qemu.gdb_target}",
                "-ex",
                f"xp/6xh {END - 8:#x}",
                "-ex",
                f"xp/3s {END - 8:#x}",
                "-ex",
                "disconnect",
            ],
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert f"{END - 8:#x}:\t0x6261\t0x6c00\t0x7361\t0x2174\n" in run.stdout
    assert f'{END - 8:#x}:\t"ab"\n{END - 5:#x}:\t"last!"...\n' in run.stdout
    assert run.stderr.count(f"{END:#x}: not RAM") == 2


@pytest.mark.parametrize(
    "command, words",
    [
        ("xp/4q 0", ["'q'", "xduotacfsiz", "bhwg"]),
        ("xp/1$ 0", ["/1$"]),
        ("xp/gs 0", ["strings"]),
        ("xp/-2s 0x1000", ["negative count"]),
        ("xp/-2i 0x1000", ["negative count"]),
        ("xp -1", ["52 bits"]),
        ("xp 0x10000000000000", ["52 bits"]),
        ("xp nosuchsymbol", ["nosuchsymbol"]),
    ],
)
def test_refusals(gdb: GdbSession, command: str, words: list[str]) -> None:
    refused(gdb, command, *words)


def test_nothing_to_go_on_from() -> None:
    with BareMachine(script=ptmap_script()) as machine:
        refused(machine.session, "xp", "which physical address")
        machine.session.disconnect()
        refused(machine.session, "xp 0", "no target")


def test_help(gdb: GdbSession) -> None:
    for name in ("xp", "ptmap xp"):
        text = gdb.run(f"help {name}")
        assert "Examples:" in text and max(map(len, text.splitlines())) <= 80
