"""The harness itself: what must not hang, hide or guess."""

from __future__ import annotations

import pytest

import compare
import judges
import naive
from compare import Exception_, Report, Run
from gdbsession import GdbDied, GdbFailure, GdbSession
from machine import BareMachine


def test_gdb_refuses_dies_or_hangs() -> None:
    with GdbSession() as gdb:
        assert gdb.run("print 6 * 7") == "$1 = 42\n"
        assert gdb.eval("1ULL << 63") == 1 << 63
        assert gdb.python("result = [1, None, 'x']") == [1, None, "x"]
        with pytest.raises(GdbFailure, match="Undefined command"):
            gdb.run("no-such-command")
        with pytest.raises(GdbFailure, match="not connected"):
            gdb.packet(b"?")
        with pytest.raises(GdbDied, match="status 3"):
            gdb.run("python import os; os._exit(3)")
    with GdbSession(timeout=2) as gdb, pytest.raises(GdbDied, match="no answer"):
        gdb.run("python import time; time.sleep(60)")


@pytest.mark.parametrize("ram_file", (True, False))
def test_a_bare_machine_takes_memory_and_registers(ram_file: bool) -> None:
    with BareMachine(ram_file=ram_file) as machine:
        machine.write_phys(0x1FFF, b"across two pages")
        assert machine.read_phys(0x1FFF, 16) == b"across two pages"
        assert machine.session.packet(b"qqemu.PhyMemMode") == b"0"
        assert machine.read_phys(64 << 20, 1) is None
        assert machine.read_phys(0xFFFFFFF0, 1) == b"\xea"  # the jump at the reset vector
        for mode, root in (
            ("5-level", 0x123456789000),
            ("32-bit", 0xFFFFF000),
            ("pae", 0xFFFFFFE0),
            ("4-level", 0x1000),
        ):
            registers = machine.set_mode(mode, root, smep=True, smap=True, pke=True)
            assert registers.mode == mode
            assert machine.session.eval("$cr3") == root
            assert machine.session.eval("$cr4") == registers.cr4


def test_judges_are_read_as_they_print() -> None:
    tlb = (
        "0000000000000000: 0000000040000000 X-PDA--UW\n"  # 1 GiB or 2 MiB
        "0000000080000000: 0000000040000000 --P------\n"  # 2 MiB: the next is near
        "0000000080200000: 0000000000001000 -G---CT-W\n"
    )
    pages = judges.parse_info_tlb(tlb, "4-level", lambda va: va == 0x200000)
    assert [(page.va, page.size) for page in pages] == [
        (0, 1 << 30),
        (0x80000000, 2 << 20),
        (0x80200000, 4096),
    ]
    assert pages[0].bits == naive.XD | 0xE6
    assert pages[2].bits == naive.G | naive.PCD | naive.PWT | naive.RW
    assert (
        judges.parse_info_tlb(
            "0000000000001000: 8000000000005000 X------UW", "pae", lambda va: False
        )[0].pa
        == 0x5000
    )
    with pytest.raises(ValueError, match="PG disabled"):
        judges.parse_info_tlb("PG disabled", "pae", lambda va: False)
    ranges = judges.parse_info_mem(  # one range for QEMU, but the hole is between
        "00007ffffffff000-ffff800000001000 0000000000002000 ur-", "4-level"
    )
    assert ranges == [(0x7FFFFFFFF000, 4096, True, False), (0xFFFF800000000000, 4096, True, False)]
    assert judges.parse_gva2gpa("gpa: 0x5123\n") == 0x5123
    assert judges.parse_gva2gpa("Unmapped\n") is None


def test_comparing_runs() -> None:
    left = [Run(0, 0x4000, 0x10000, "a"), Run(0x8000, 0x1000, 0, "b")]
    right = [Run(0x1000, 0x8000, 0x11000, "a")]
    cut = [(a and (a.va, a.size), b and (b.va, b.size)) for a, b in compare.overlay(left, right)]
    assert cut == [
        ((0, 0x1000), None),
        ((0x1000, 0x3000), (0x1000, 0x3000)),
        (None, (0x4000, 0x4000)),
        ((0x8000, 0x1000), (0x8000, 0x1000)),
    ]
    holes = [Exception_(0x1000, 0x1000, "no-pse36"), Exception_(0x3000, 0x9000, "no-pse36")]
    assert [(r.va, r.size, r.pa) for r in compare.without(left, holes)] == [
        (0, 0x1000, 0x10000),
        (0x2000, 0x1000, 0x12000),
    ]


def test_a_report_does_not_pass_by_silence() -> None:
    with pytest.raises(AssertionError, match="no pages"):
        Report("info tlb").check()
    report = Report("info tlb", 12, 11, guest="686 user")
    report.excepted["I felt like it"] += 1
    with pytest.raises(AssertionError, match="without a named defect"):
        report.check()
    report.excepted.clear()
    report.check()
    assert str(report) == "686 user: info tlb 12 pages, ptmap 11, 0 differ, 0 excepted"
    report.note(1, "page 7")
    with pytest.raises(AssertionError, match="1 differ"):
        report.check()
