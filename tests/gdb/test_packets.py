"""What ptmap costs: the packets that pass between GDB and the stub, counted by a proxy."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections import Counter
from typing import Iterator

import pytest

import tables
from gdbsession import GdbFailure, GdbSession, ptmap_script
from guests import boot
from stub_proxy import (
    Answer,
    Cut,
    Delay,
    Garble,
    Hold,
    Lose,
    Packet,
    ProxiedMachine,
    Replace,
    Rule,
    StubProxy,
    only_m_packets,
)
from tables import GIB1, MIB2, P, RW, US, Tables

# Packets of one command that read no tables: the stub asked what it is and in which mode; GDB's own
# look at code and stack for its frame, before and after; the RAM map; the mode on, off and asked.
OVERHEAD = 24


def physical_reads(proxy: StubProxy) -> Counter[tuple[int, int]]:
    """(page, bytes of it) of all reads; no byte is read twice."""
    reads = sorted(proxy.reads())
    for (address, length), (following, _) in zip(reads, reads[1:]):
        assert address + length <= following, f"{following:#x} was read twice"
    pages: Counter[int] = Counter()
    for address, length in reads:
        pages[address & ~0xFFF] += length
    return Counter(pages.items())


def whole_tables(proxy: StubProxy) -> set[int]:
    """The tables that were read; each whole and once, in the two packets that QEMU needs."""
    pages = physical_reads(proxy)
    assert {length for _, length in pages} <= {4096}
    assert len(proxy.reads()) == 2 * len(pages)
    return {page for page, _ in pages}


def check_overhead(proxy: StubProxy) -> None:
    """The packets that are no physical read: few, whatever the number of tables and levels."""
    others = [
        p.payload for p in proxy.packets if p.direction == "to stub" and not (p.physical and p.read)
    ]
    assert len(others) <= OVERHEAD, b" ".join(others)
    assert proxy.count("qRcmd,") == 1
    assert proxy.count("Qqemu.PhyMemMode:1") == proxy.count("Qqemu.PhyMemMode:0") == 1


def entries(session: GdbSession, address: str) -> list[int]:
    """The entries' physical addresses that `pte` names."""
    document = json.loads(session.run(f"pte -json - {address}"))
    return [int(step["entry_pa"], 16) for step in document["addresses"][0]["steps"]]


# Bare tables


@pytest.fixture(scope="module")
def machine() -> Iterator[ProxiedMachine]:
    with ProxiedMachine() as machine:
        yield machine


def warm(machine: ProxiedMachine, space: Tables) -> None:
    """The tables are in use, GDB knows the registers as at any stop, and counting starts."""
    space.write_to(machine)
    machine.set_mode(space.mode, space.root)
    machine.session.run("info frame")
    machine.proxy.reset()


def crowded(mode: str, count: int) -> Tables:
    """At least `count` page tables."""
    space = Tables(mode)
    span = 1 << tables.shift_of(mode, 2)
    for i in range(count):
        space.map(i * span, 0x1000000 + 4096 * i)
    return space


def tangled(mode: str) -> Tables:
    """The root maps itself; a PT, a PD and (where there is one) a PDPT have several parents; a PT
    is its own grandparent's child; large pages."""
    space = crowded(mode, 3)
    top, span = tables.TOP[mode], 1 << tables.shift_of(mode, 2)
    space.set(space.table_for(0, 2), 7, space.entry(0, 2))  # a PT twice
    if mode != "32-bit":
        space.map(MIB2 * 9, MIB2 * 3, MIB2)
    if mode in ("4-level", "5-level"):
        space.map(GIB1 * 9, GIB1, GIB1)
        space.set(space.root, 200, space.entry(0, top))  # half of everything twice
        space.set(space.table_for(0, 3), 77, space.entry(0, 3))  # a PD twice
        space.set(space.table_for(0, 2), 300, space.table_for(0, 3) | P | RW | US)  # a loop
        space.set(space.root, 510, space.root | P | RW)
    elif mode == "32-bit":
        space.set(space.root, 1023, space.root | P | RW)
    else:
        space.set(space.table_for(0, 2), 511, space.table_for(0, 2) | P | RW)
    assert space.entry(span, 1) & P
    return space


@pytest.mark.parametrize("mode", tables.MODES)
@pytest.mark.parametrize(
    "command",
    [
        "ptmap",
        "ptmap -json -",
        "ptmap -ranges",
        "ptmap -phys",
        "ptmap -filter write+user",
        "ptmap -as user",
    ],
)
def test_each_table_once(machine: ProxiedMachine, mode: str, command: str) -> None:
    space = tangled(mode)
    warm(machine, space)
    text = machine.session.run(command)
    expected = set(space.pages)
    if mode == "pae":  # its root is 32 bytes
        assert (space.root, 32) in machine.proxy.reads()
        expected.remove(space.root)
        machine.proxy.packets[:] = [p for p in machine.proxy.packets if p.read != (space.root, 32)]
    assert whole_tables(machine.proxy) == expected
    check_overhead(machine.proxy)
    if command.endswith("-json -"):
        assert json.loads(text)["tables"] == len(space.pages)
        assert json.loads(text)["complete"]


@pytest.mark.parametrize("mode", tables.MODES)
def test_overhead_is_the_same_for_many_tables(machine: ProxiedMachine, mode: str) -> None:
    warm(machine, crowded(mode, 2))
    machine.session.run("ptmap")  # the first in a session asks what the stub is
    overhead = []
    for count in (2, 600):
        warm(machine, crowded(mode, count))
        assert json.loads(machine.session.run("ptmap -json -"))["tables"] > count
        check_overhead(machine.proxy)
        overhead.append(machine.proxy.count() - len(machine.proxy.reads()))
    assert overhead[0] == overhead[1]


@pytest.mark.parametrize(
    "options",
    [
        "-at 0x1234000",
        "-at 0x1234000 -level PT",
        "-at 0x1234000 -level 3",
        "-at 0x1234000 -ranges",
        "-at 0x1234000 -json -",
        "0x200000 0x300000",
    ],
)
def test_part_of_the_space(machine: ProxiedMachine, options: str) -> None:
    """A zoom reads only what lies below it, and the way there, once."""
    space = tangled("4-level")
    warm(machine, space)
    machine.session.run(f"ptmap {options}")
    read = whole_tables(machine.proxy)
    assert {space.root, space.table_for(0, 3), space.table_for(0, 2)} <= read
    assert read <= set(space.pages)
    check_overhead(machine.proxy)


def test_a_zoom_reads_less(machine: ProxiedMachine) -> None:
    space = crowded("4-level", 20)
    warm(machine, space)
    machine.session.run(f"ptmap -at {MIB2 * 5:#x} -level PT")
    path = {space.root, *(space.table_for(MIB2 * 5, level) for level in (3, 2, 1))}
    assert whole_tables(machine.proxy) == path


@pytest.mark.parametrize("mode", tables.MODES)
def test_pte_reads_one_entry_a_level(machine: ProxiedMachine, mode: str) -> None:
    space = tangled(mode)
    size = tables.entry_size(mode)
    va = 1 << tables.shift_of(mode, 2)
    path = [
        space.table_for(va, level) + size * space.index(va, level)
        for level in range(tables.TOP[mode], 0, -1)
    ]
    warm(machine, space)
    machine.session.run("show ptmap memory")  # the first in a session chooses a source
    machine.proxy.reset()
    assert entries(machine.session, hex(va)) == path
    assert machine.proxy.reads() == [(address, size) for address in path]
    check_overhead(machine.proxy)
    # Not where all memory is, but whether this is still where it was.
    assert machine.proxy.count(f"qRcmd,{b'gpa2hva'.hex()}") == 1


def test_pte_asks_where_memory_is_if_it_needs_to_know(machine: ProxiedMachine) -> None:
    """A table that is no RAM; a script in an expression that reads all tables."""
    space = tangled("4-level")
    space.set(space.root, 9, 0xFEE0_0000 | P | RW | US)
    warm(machine, space)
    mtree = f"qRcmd,{b'info mtree'.hex()}"
    assert "not RAM" in machine.session.run(f"pte {9 << 39:#x}")
    assert machine.proxy.count(mtree) == 1
    machine.session.python(
        """
import ptmap
class Tables(gdb.Function):
    def invoke(self):
        return 0x1000 * (len(ptmap.space().tables()) > 1)
Tables("tables_for_a_test")
"""
    )
    machine.proxy.reset()
    assert entries(machine.session, "$tables_for_a_test()") == entries(machine.session, "0x1000")
    assert machine.proxy.count(mtree) == 1


def test_pte_stops_where_the_walk_ends(machine: ProxiedMachine) -> None:
    space = tangled("4-level")
    warm(machine, space)
    # The recursive slot's own address: one entry four times over, and read once.
    for va, levels, reads in (
        (GIB1 * 9, 2, 2),
        (MIB2 * 9, 3, 3),
        (0x1000, 4, 4),
        (1 << 46, 1, 1),
        (0xFFFF_FF7F_BFDF_E000, 4, 1),
        (0x8000_0000_0000, 0, 0),
    ):
        machine.proxy.reset()
        assert len(entries(machine.session, f"{va:#x}")) == levels
        assert [length for _, length in machine.proxy.reads()] == [8] * reads
        assert machine.proxy.count("Qqemu.PhyMemMode:1") <= 1


def test_regs_reads_what_it_names_once(machine: ProxiedMachine) -> None:
    """A bare machine's descriptor tables are no more than what the reset left."""
    warm(machine, tangled("4-level"))
    machine.session.run("ptmap regs")
    physical_reads(machine.proxy)
    assert machine.proxy.count("qRcmd,") <= 2
    assert machine.proxy.count() <= 60, machine.proxy.sent()


# A real Linux


@pytest.mark.linux("686")
def test_linux() -> None:
    with (
        boot("686") as qemu,
        StubProxy(qemu.gdb_target) as proxy,
        GdbSession(script=ptmap_script()) as session,
    ):
        session.attach(proxy.gdb_target)
        only_m_packets(session)
        session.run("show ptmap memory")  # which is asked but once
        proxy.reset()
        document = json.loads(session.run("ptmap -json -"))
        read = whole_tables(proxy)
        assert document["complete"] and document["tables"] > 10
        assert len(read) == document["tables"] and int(document["root"], 16) in read
        check_overhead(proxy)
        print(
            f"{document['tables']} tables: {proxy.count('m', physical=True)} m packets of"
            f" {sum(length for _, length in proxy.reads())} bytes,"
            f" {proxy.count() - len(proxy.reads())} others"
        )
        for address, levels in (("$eip", 2), ("$esp", 2), ("0", 1)):
            proxy.reset()
            walked = entries(session, address)
            assert proxy.reads() == [(entry, 4) for entry in walked]
            assert len(walked) == levels
            check_overhead(proxy)


# The proxy itself


class TinyStub:
    """A stub that is not QEMU's: an i386 of zeros without control registers, no physical mode."""

    FIXED = {
        b"?": b"S05",
        b"g": b"00000000" * 16,
        b"qC": b"QC1",
        b"qfThreadInfo": b"m1",
        b"qsThreadInfo": b"l",
        b"Hg0": b"OK",
        b"vMustReplyEmpty": b"",
        b"qAttached": b"1",
    }

    def __init__(self, *, no_ack: bool) -> None:
        self.fixed = self.FIXED | {
            b"qSupported": b"PacketSize=400;QStartNoAckMode+" if no_ack else b"PacketSize=400"
        }
        self.no_ack = no_ack
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.target = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def __enter__(self) -> TinyStub:
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.close()

    def serve(self) -> None:
        gdb, _ = self.listener.accept()
        gdb.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        acks, unread, last = True, b"", b""
        with gdb:
            while data := gdb.recv(4096):
                if acks and b"-" == data[:1]:
                    gdb.sendall(last)
                unread += data
                while found := re.search(rb"\$([^#]*)#..", unread, re.S):
                    unread = unread[found.end() :]
                    last = self.packet(self.reply(found[1]))
                    gdb.sendall(b"+" * acks + last)
                    acks = acks and not (self.no_ack and found[1] == b"QStartNoAckMode")

    def reply(self, packet: bytes) -> bytes:
        if packet == b"QStartNoAckMode" and self.no_ack:
            return b"OK"
        if packet[:1] == b"m":
            length = int(packet.partition(b",")[2], 16)
            return b"0*}" + b"0" * (2 * length - 97) if length > 60 else b"00" * length  # a run
        return self.fixed.get(
            packet, self.fixed[b"qSupported"] if packet.startswith(b"qSupported") else b""
        )

    @staticmethod
    def packet(payload: bytes) -> bytes:
        return b"$%b#%02x" % (payload, sum(payload) % 256)


@pytest.fixture(params=[False, True], ids=["acks", "no-ack"])
def stub(request: pytest.FixtureRequest) -> Iterator[TinyStub]:
    with TinyStub(no_ack=request.param) as stub:
        yield stub


def test_another_stub(stub: TinyStub) -> None:
    """Bytes go through as they are; ptmap has one clear sentence for a stub without registers."""
    with StubProxy(stub.target, tcp=True) as proxy, GdbSession(script=ptmap_script()) as session:
        session.attach(proxy.gdb_target)
        session.python("gdb.selected_inferior().read_memory(0x1000, 256)")
        assert (0x1000, 0x100) in proxy.reads(physical=False)
        runs = [p for p in proxy.packets if p.payload == b"00" * 0x100]
        assert runs and runs[0].size < 0x200
        assert proxy.count("QStartNoAckMode") == stub.no_ack
        assert proxy.count("qqemu.PhyMemMode") == 1
        for command in ("ptmap", "pte 0", "ptmap regs"):
            with pytest.raises(GdbFailure, match="physical memory|control registers") as failure:
                session.run(command)
            assert failure.value.kind == "error" and "\n" not in str(failure.value)
        with pytest.raises(GdbFailure, match="physical memory"):
            session.run("ptmap -root 0x1000 -mode 32-bit")
        assert proxy.count("Qqemu") == proxy.count("qRcmd") == 0


def test_hold() -> None:
    """The stub does not see the packet before the test lets it go."""
    with ProxiedMachine() as machine:
        passed, answers = threading.Event(), []
        machine.proxy.play(Rule("m1000,", Hold(passed)))
        thread = threading.Thread(target=lambda: answers.append(machine.session.packet(b"m1000,4")))
        thread.start()
        thread.join(0.3)
        assert answers == [] and machine.proxy.fired == [1]
        passed.set()
        thread.join()
        assert answers == [b"00000000"]


def test_rules(stub: TinyStub) -> None:
    with StubProxy(stub.target) as proxy, GdbSession() as session:
        session.attach(proxy.gdb_target)

        def ask(*rules: Rule) -> bytes | None:
            proxy.play(*rules)
            return session.packet(b"m100,4")

        assert ask() == b"00000000"
        assert ask(Rule("m", Answer(b"E14"))) == b"E14"
        assert ask(Rule("m", Answer(b""))) is None
        assert ask(Rule("m", Answer(b"E14"), nth=2)) == b"00000000" and proxy.fired == [0]
        assert session.packet(b"m100,4") == b"E14" and proxy.fired == [1]
        assert session.packet(b"m100,4") == b"00000000" and proxy.fired == [1]
        assert ask(Rule("q", Answer(b"E14"))) == b"00000000"
        assert ask(Rule("m", Answer(b"E14"), physical=True)) == b"00000000"
        assert ask(Rule("m", Replace(b"E01"))) == b"E01"
        assert ask(Rule("m", Garble("content"))) == b"ffffffff"
        assert ask(Rule("m", Garble("short"))) == b"0000"
        # Without acks GDB does not look at a checksum; with them it asks again.
        assert ask(Rule("m", Garble("checksum"))) == b"00000000" and proxy.fired == [1]
        ask(Rule("m", Delay(0.2)), Rule("m", Answer(b"E14")))
        asked, answered = proxy.packets[-2:]
        assert answered.payload == b"E14" and answered.time - asked.time > 0.2
        assert session.packet(b"x}\x03}\x04}]*,") is None  # escapes, both ways
        assert proxy.sent()[-1] == b"x#$}*,"
        proxy.play(Rule("x", Answer(b"#$}*")))
        assert session.packet(b"x") == b"}\x03}\x04}]}\n"
        proxy.play()
        assert session.packet(b"m100,4") == b"00000000"


@pytest.mark.parametrize(
    "action, seen", [(Cut("before"), False), (Cut("after"), True), (Cut("middle"), True)]
)
def test_cuts(action: Cut, seen: bool) -> None:
    with ProxiedMachine() as machine:
        machine.proxy.play(Rule("Qqemu.PhyMemMode:1", action))
        with pytest.raises(GdbFailure):
            machine.session.packet(b"Qqemu.PhyMemMode:1")
        machine.proxy.play()
        said = machine.session.attach(machine.proxy.gdb_target)
        assert ("physical-memory mode" in said) == seen  # ptmap tells


def test_losing_and_a_second_connection() -> None:
    with ProxiedMachine() as machine:
        session, proxy = machine.session, machine.proxy
        session.run("set remotetimeout 1")
        proxy.play(Rule("m", Lose(), nth=1))
        with pytest.raises(GdbFailure):
            session.packet(b"m1000,4")
        assert session.packet(b"m1000,4") == b"00000000"
        session.disconnect()
        proxy.reset()
        session.attach(proxy.gdb_target)
        assert session.packet(b"m1000,4") == b"00000000"
        first: Packet = proxy.packets[0]
        assert first.direction == "to stub" and first.payload.startswith(b"qSupported")
        assert [p.direction for p in proxy.packets[:2]] == ["to stub", "to gdb"]
