"""Frames and tables that lie in no RAM. In its physical mode QEMU's stub answers a read there with
zeros or with an error, by its version; with either, and by every road, ptmap says the same."""

from __future__ import annotations

from typing import Iterator

import pytest

from gdbsession import GdbFailure, memory_shown
from stub_proxy import Answer, ProxiedMachine, Rule
from tables import KIB4, Tables

BEYOND = 0x8000000  # of 64 MiB
DEVICE = 0xFEE00000

ZEROS = Rule("m8000|mfee0", Answer(b"00" * 8), physical=True)
ERROR = Rule("m8000|mfee0", Answer(b"E14"), physical=True)

COMMANDS = (
    "ptmap",
    "ptmap -ranges",
    "ptmap -json -",
    "pte 0x400000 0x401000 0x402000 0x600000",
    "pte -json - 0x600000",
    "ptmap find 0x8000000",
    "ptmap find 0xfee00000",
)
REFUSED = ("xp/2gx 0x8000000", "xp/2gx 0xfee00000", "xp/2gx 0x3fffff8")


@pytest.fixture(scope="module")
def machine() -> Iterator[ProxiedMachine]:
    with ProxiedMachine() as machine:
        space = Tables("4-level")
        space.map(0x400000, 0x1000000, KIB4)
        space.map(0x401000, BEYOND, KIB4)
        space.map(0x402000, DEVICE, KIB4)
        space.set_entry(0x600000, 2, BEYOND | 0x67)  # a page table there
        space.write_to(machine)
        machine.set_mode("4-level", space.root)
        yield machine


def said(machine: ProxiedMachine) -> list[str]:
    machine.session.run("set ptmap memory packets")
    texts = [machine.session.run(command) for command in COMMANDS]
    for command in REFUSED:
        with pytest.raises(GdbFailure, match="not RAM") as failure:
            machine.session.run(command)
        texts.append(str(failure.value))
    return texts


def test_what_this_qemu_answers(machine: ProxiedMachine) -> None:
    """Zeros (7.2, 10.0) or E14 (11.1)."""
    session = machine.session
    assert session.packet(b"Qqemu.PhyMemMode:1") == b"OK"
    try:
        answer = session.packet(b"m8000000,8")
    finally:
        assert session.packet(b"Qqemu.PhyMemMode:0") == b"OK"
    assert answer in (b"00" * 8, b"E14")


def test_it_is_told_as_what_it_is(machine: ProxiedMachine) -> None:
    whole, _, _, pages, _, found, _, *_ = said(machine)
    assert "2 not RAM" in whole and "could not be read" in whole
    assert "not RAM" in pages.rpartition("600000:")[2]
    assert "0x0000000000401000" in found


@pytest.mark.parametrize("rule", [ZEROS, ERROR], ids=["zeros", "error"])
def test_it_is_the_same_whatever_the_stub_answers(machine: ProxiedMachine, rule: Rule) -> None:
    as_it_is = said(machine)
    machine.proxy.play(rule)
    try:
        assert said(machine) == as_it_is
    finally:
        machine.proxy.play()


def test_it_is_the_same_by_the_process(machine: ProxiedMachine) -> None:
    by_packets = said(machine)
    session = machine.session
    session.disconnect()
    session.attach(machine.qemu.gdb_target)  # not through the proxy, which is no QEMU
    session.run("set ptmap memory process")
    assert [session.run(command) for command in COMMANDS] == by_packets[: len(COMMANDS)]
    assert "process" in memory_shown(session)
