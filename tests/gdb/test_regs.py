"""ptmap regs: descriptor tables, handlers and stacks, and whether they are mapped."""

from __future__ import annotations

import json
import re
import struct
import subprocess
from pathlib import Path
from typing import Any, Iterator

import pytest

import judges
from gdbsession import GdbFailure, GdbSession, ptmap_script
from guests import boot
from kernels import fetch
from machine import BareMachine
from qemu import Qemu
from tables import KIB4, NX, P, RW, US, Tables

ROOT = Path(__file__).resolve().parents[2]
PAGE = 4096
RESET_LIMIT = 0xFFFF  # of GDTR and IDTR; both begin at 0

GATE = 0x8E00  # present, interrupt gate, DPL 0
TASK_GATE = 0x8500


def regs(gdb: GdbSession, options: str = "") -> dict[str, Any]:
    document: dict[str, Any] = json.loads(gdb.run(f"ptmap regs -json - {options}"))
    return document


def pieces(gdb: GdbSession, name: str = "") -> list[dict[str, Any]]:
    return [one for one in regs(gdb)["descriptors"]["pieces"] if name in ("", one["name"])]


def gate64(handler: int, *, ist: int = 0, kind: int = GATE, selector: int = 8) -> bytes:
    return struct.pack(
        "<HHHHII",
        handler & 0xFFFF,
        selector,
        kind | ist,
        handler >> 16 & 0xFFFF,
        handler >> 32 & 0xFFFFFFFF,
        0,
    )


def gate32(handler: int, *, kind: int = GATE, selector: int = 8) -> bytes:
    return struct.pack("<HHHH", handler & 0xFFFF, selector, kind, handler >> 16)


# A bare machine: GDTR and IDTR are as after reset, both at linear 0, and TR is null.


@pytest.fixture(scope="module")
def machine() -> Iterator[BareMachine]:
    with BareMachine(script=ptmap_script()) as machine:
        yield machine


def lay_out(machine: BareMachine, mode: str, gates: bytes, *more: tuple[int, int]) -> None:
    """The tables' page, a handler page at 0x10000, one that is NX at 0x20000, and `more`."""
    space = Tables(mode, at=0x100000)
    no_exec = NX if mode != "32-bit" else 0
    for va, pa, flags in (
        (0, 0x300000, P),
        (0x10000, 0x301000, P),
        (0x20000, 0x302000, P | no_exec),
    ):
        space.map(va, pa, KIB4, flags)
    for va, flags in more:
        space.map(va, 0x303000, KIB4, flags)
    space.write_to(machine)
    machine.write_phys(0x300000, gates.ljust(PAGE, b"\0"))
    machine.set_mode(space.mode, space.root)


def test_handlers(machine: BareMachine) -> None:
    gates = gate64(0x10000) + gate64(0x10FFF) + gate64(0x20000) + gate64(0x30000) + bytes(16)
    gates += gate64(0xDEAD000000000123) + gate64(0xFFFFFFFFFFFFFFFF) + gate64(0x10000, kind=0)
    gates += gate64(0x40000, kind=GATE & ~0x8000)  # not present
    lay_out(machine, "4-level", gates)
    found = {int(one["va"], 16): one for one in pieces(machine.session, "handlers")}
    assert {va: one["vectors"] for va, one in found.items()} == {
        0x10000: [0, 1],
        0x20000: [2],
        0x30000: [3],
        0xDEAD000000000000: [5],
        0xFFFFFFFFFFFFF000: [6],
    }
    assert [va for va, one in found.items() if one["ok"]] == [0x10000]
    assert found[0x10000]["frame"] == "0x301000" and found[0x30000]["frame"] is None
    assert "no-execute" in found[0x20000]["verdict"] and found[0x20000]["mapped"] == 1
    text = machine.session.run("ptmap regs")
    assert "NOT as needed: GDT, 4 handler pages." in text.replace("\n", " ")
    assert "SYSCALL is off (EFER.SCE=0)" in text
    assert "TR is null" in text and max(map(len, text.splitlines())) <= 80
    assert re.search(r"GDT +0x0+ +64K +0x300000 +ONLY 1 of 16 pages", text)
    assert re.search(r"IDT +0x0+ +4K +0x300000 +supervisor read", text)


def test_every_gate_its_own_page(machine: BareMachine) -> None:
    lay_out(machine, "4-level", b"".join(gate64(i << 13, ist=i & 7) for i in range(256)))
    assert len(pieces(machine.session, "handlers")) == 256
    text = machine.session.run("ptmap regs")
    assert max(map(len, text.splitlines())) <= 80


def test_rare_vectors(machine: BareMachine) -> None:
    """A handler that only #MC needs counts once CR4.MCE is on, and one that INT n may use."""
    gates = [gate64(0x10000) for _ in range(256)]
    gates[18] = gate64(0x30000)
    gates[29] = gate64(0x31000)
    lay_out(machine, "4-level", b"".join(gates))

    def needed() -> list[int]:
        missing = (one for one in pieces(machine.session, "handlers") if not one["ok"])
        return [one["vectors"][0] for one in missing if not one["rare"]]

    assert needed() == []
    assert "never raises (18, 29): 2 handler pages" in machine.session.run("ptmap regs").replace(
        "\n", " "
    )
    machine.session.run("set ptmap cr4 $cr4 | 0x40")
    try:
        assert needed() == [18]
        text = machine.session.run("ptmap regs")
        assert re.search(r"^CR4 .*\(set by `set ptmap cr4`\)$", text, re.M)
        assert regs(machine.session)["registers"]["cr4"]["set"] is True
    finally:
        machine.session.run("set ptmap cr4 auto")
    assert "set by" not in machine.session.run("ptmap regs")
    gates[29] = gate64(0x31000, kind=GATE | 0x6000)
    lay_out(machine, "4-level", b"".join(gates))
    assert needed() == [29]


@pytest.mark.parametrize("mode", ["32-bit", "pae"])
def test_32_bit_gates(machine: BareMachine, mode: str) -> None:
    """GDT and IDT share the page: selector 8 is gate 1, so its bits must make both sense."""
    gates = gate32(0x10000) + bytes(8) + gate32(0x10010) + gate32(0, kind=TASK_GATE, selector=0x28)
    gates += gate32(0x12345678, kind=0x8600)  # 16-bit: the offset is 0x5678
    gates += struct.pack("<HHBBBB", 103, 0x4FF0, 0x01, 0x89, 0, 0)  # 0x28: a TSS at 0x14ff0
    lay_out(machine, mode, gates, (0x14000, P | RW))
    handlers = {int(one["va"], 16): one["vectors"] for one in pieces(machine.session, "handlers")}
    assert handlers == {0x5000: [4], 0x10000: [0, 2]}
    (task,) = pieces(machine.session, "#BP TSS")
    assert (task["va"], task["pages"], task["mapped"]) == ("0x14ff0", 2, 1)
    assert "ONLY 1 of 2 pages" in machine.session.run("ptmap regs")


def test_tables_that_are_not_mapped(machine: BareMachine) -> None:
    space = Tables("4-level", at=0x100000)
    space.map(0x10000, 0x301000, KIB4, P | US)
    space.write_to(machine)
    machine.set_mode("4-level", space.root)
    found = regs(machine.session)["descriptors"]
    assert {one["name"]: one["mapped"] for one in found["pieces"]} == {"GDT": 0, "IDT": 0}
    assert "not all of the IDT can be read" in found["notes"]
    assert "NOT as needed: GDT, IDT" in found["answer"]


def test_paging_off(machine: BareMachine) -> None:
    machine.set_registers(cr0=0x11)
    text = machine.session.run("ptmap regs")
    assert "GDTR  base 0x00000000 limit 0xffff\n" in text and "Entering" not in text
    found = regs(machine.session)["descriptors"]
    assert (found["pieces"], found["answer"]) == ([], None)
    assert found["gdtr"] == {"base": "0x0", "limit": RESET_LIMIT}


def test_cr2(machine: BareMachine) -> None:
    lay_out(machine, "4-level", b"", (0x40000, P | RW | US))
    for va, words in (
        (0x40123, "user read write exec at physical 0x303123"),
        (0x41000, "not present: the walk ends at the PTE"),
        (1 << 40, "not present: the walk ends at the PML4E"),
        (0x8000_0000_0000, "not canonical"),
    ):
        machine.set_registers(cr2=va)
        assert f"now {words}\n" in machine.session.run("ptmap regs")
        assert words.split(" at ")[0].split(":")[0] in (
            machine.session.run(f"pte {va:#x}").replace("rights   ", "")
        )


def test_arguments(machine: BareMachine) -> None:
    for command, words in (
        ("ptmap regs 1", "no argument"),
        ("ptmap regs -cpu 1", "no CPU 1"),
        ("ptmap regs -cpu", "CPU"),
    ):
        with pytest.raises(GdbFailure, match=words):
            machine.session.run(command)


# QEMU's monitor says what is in the registers here, whatever the machine has.

ENTRY = """
from ptmap.machine.sources import choose
choose.new_command()  # what was read before is good no more
from ptmap.entry import kernel_entry
from ptmap.context import selection
from ptmap.spaces.registers import Segment, SystemRegisters
gdt_limit, tr = {gdt_limit}, Segment(*{tr})
registers = SystemRegisters(Segment(0x800, gdt_limit), Segment(0, 0x2F), Segment(0, 0, 0), tr)
entry = kernel_entry.entry_of(selection.resolve({{}}), registers, 0)
result = dict(
    tr=entry.registers.tr.base,
    pieces={{row.piece.name: [row.piece.address, row.piece.pages[0]] for row in entry.rows}},
    verdicts={{row.piece.name: row.here.text for row in entry.rows}},
)
"""
# In the GDT: a code segment of DPL 0, one of DPL 2 and the TSS's 16 bytes.
CODE_0, CODE_2, TSS = 8, 0x10, 0x18
TSS_AT, STACKS_TOP = 0xFFFFFE0000003000, 0x41000
IST1_ENDS = 36 + 8


def entry(
    machine: BareMachine, gdt_limit: int = 0x27, tr_base: int = TSS_AT, tr_limit: int = 103
) -> dict[str, Any]:
    """With RSP0 on a read-only page, RSP2 and IST1 on a good one."""
    tables = gate64(0x10000, selector=CODE_0) + gate64(0x10000, selector=CODE_2)
    tables = (tables + gate64(0x10000, selector=CODE_0, ist=1)).ljust(0x800, b"\0")
    tables += struct.pack(
        "<QQQHHBBBBQ",
        0,
        0x00AF9B000000FFFF,
        0x00AFDB000000FFFF,
        103,
        TSS_AT & 0xFFFF,
        TSS_AT >> 16 & 0xFF,
        0x8B,
        0,
        TSS_AT >> 24 & 0xFF,
        TSS_AT >> 32,
    )
    lay_out(machine, "4-level", tables, (TSS_AT, P | RW), (0x40000, P | RW), (0x50000, P))
    tss = struct.pack("<IQQQQQ", 0, 0x51000, 0, STACKS_TOP, 0, STACKS_TOP + 8)
    machine.write_phys(0x303000, tss.ljust(104, b"\0"))
    code = ENTRY.format(gdt_limit=gdt_limit, tr=(tr_base, tr_limit, TSS, 0x8B00))
    found: dict[str, Any] = machine.session.python(code)
    return found


def stacks(found: dict[str, Any]) -> list[str]:
    return [name.removesuffix(" stack") for name in found["pieces"] if name.endswith("stack")]


def test_stacks(machine: BareMachine) -> None:
    found = entry(machine)
    assert stacks(found) == ["RSP0", "RSP2", "IST1"]
    # A push is a write, and the processor aligns the pointer first.
    assert found["verdicts"]["RSP0 stack"].startswith("FAULTS: ")
    assert found["pieces"]["RSP0 stack"] == [0x51000, 0x50000]
    assert found["pieces"]["IST1 stack"] == [STACKS_TOP, 0x40000]
    assert found["verdicts"]["IST1 stack"] == "supervisor read write exec"


def test_limits(machine: BareMachine) -> None:
    """What lies behind a table's limit is not in it."""
    assert stacks(entry(machine, tr_limit=IST1_ENDS - 1)) == ["RSP0", "RSP2", "IST1"]
    assert stacks(entry(machine, tr_limit=IST1_ENDS - 2)) == ["RSP0", "RSP2"]
    assert stacks(entry(machine, tr_limit=26)) == ["RSP0"]
    # The gate to DPL 2 leads nowhere.
    assert stacks(entry(machine, gdt_limit=CODE_2 + 7)) == ["RSP0", "RSP2", "IST1"]
    assert stacks(entry(machine, gdt_limit=CODE_2 + 6)) == ["RSP0", "IST1"]


def test_a_base_that_qemu_cut(machine: BareMachine) -> None:
    """In 32-bit code QEMU shows 32 bits of TR's base; the GDT has all of it, if it is that TSS."""
    found = entry(machine, tr_base=TSS_AT & 0xFFFFFFFF)
    assert found["tr"] == TSS_AT
    assert found["pieces"]["TSS"] == [TSS_AT, TSS_AT]
    assert stacks(found) == ["RSP0", "RSP2", "IST1"]
    found = entry(machine, tr_base=0x14000)
    assert (found["tr"], stacks(found)) == (0x14000, [])
    assert found["verdicts"]["TSS"] == "NOT MAPPED"
    assert entry(machine, tr_base=1 << 32)["tr"] == 1 << 32  # not cut


MONITOR = """CPU#{cpu}
LDT=0000 00000000 0000ffff 00008200 DPL=0 LDT
TR ={cpu:04x} 00000000 0000ffff 00008b00 DPL=0 TSS64-busy
GDT=     0000000{cpu:x} 00000000
IDT=     000000{cpu:x}0 00000000
"""


def test_eleven_cpus(machine: BareMachine) -> None:
    text = "".join(MONITOR.format(cpu=cpu) for cpu in range(11))
    found = machine.session.python(
        f"""
from ptmap.machine.qemu_monitor import parse
all_of_them = [parse({text!r}, cpu) for cpu in range(11)]
result = [[one.gdtr.base, one.idtr.base, one.tr.selector] for one in all_of_them if one]
result.append(parse({text!r}, 11))
"""
    )
    assert found == [*([cpu, cpu << 4, cpu] for cpu in range(11)), None]


@pytest.mark.parametrize("offset", [0, 0x20])
def test_pae_roots_of_a_pair_are_aligned(machine: BareMachine, offset: int) -> None:
    """Two neighbouring pages with the same user part; without KPTI roots share a page."""
    kernel = Tables("pae", at=0x100000, root_offset=offset)
    user_root = kernel.alloc() + offset
    assert user_root == kernel.root + 0x1000
    kernel.map(0x10000, 0x300000, KIB4, P | US)
    kernel.map(0xC0000000, 0x301000, KIB4, P)
    kernel.set(user_root, 0, kernel.get(kernel.root, 0))
    kernel.set(user_root, 3, kernel.alloc() | P)
    kernel.write_to(machine)
    machine.set_mode("pae", kernel.root)
    if offset == 0:
        assert regs(machine.session)["descriptors"]["user_root"] == hex(user_root)
        return
    with pytest.raises(GdbFailure, match="no KPTI here"):
        machine.session.run("ptmap -half user")
    assert regs(machine.session)["descriptors"]["user_root"] is None


# The teaching kernels


def monitor(text: str, name: str, width: int = 2) -> list[int]:
    """Base and limit (LDT and TR: with a selector before them) out of `info registers`."""
    found = re.search(rf"^{name} *= *((?:[0-9a-f]+ +){{{width - 1}}}[0-9a-f]+)", text, re.M)
    assert found is not None
    return [int(word, 16) for word in found[1].split()]


def same_as_monitor(found: dict[str, Any], text: str) -> None:
    for name in ("GDT", "IDT"):
        table = found[f"{name.lower()}r"]
        assert [int(table["base"], 16), table["limit"]] == monitor(text, name)
    assert [found["tr"]["selector"], int(found["tr"]["base"], 16), found["tr"]["limit"]] == monitor(
        text, "TR", 3
    )


@pytest.mark.parametrize(
    "lab, binary, suffix",
    [("lab32", "qemu-system-i386", "-3g.elf"), ("lab64", "qemu-system-x86_64", ".elf32")],
)
def test_labs(tmp_path: Path, lab: str, binary: str, suffix: str) -> None:
    subprocess.run(["make", "-sC", ROOT / "examples" / lab, f"OUT={tmp_path}"], check=True)
    elf = tmp_path / f"{lab}{suffix}"
    with Qemu(["-kernel", str(elf)], binary=binary, paused=False) as qemu:
        qemu.wait_line(f"{lab}: ready")
        qemu.qmp("stop")
        with GdbSession(script=ptmap_script()) as gdb:
            gdb.attach(qemu.gdb_target)
            found = regs(gdb)["descriptors"]
            same_as_monitor(found, qemu.hmp("info registers"))
            assert pieces(gdb, "GDT")[0]["ok"]
            assert max(map(len, gdb.run("ptmap regs").splitlines())) <= 80


# Linux


class Ram:
    """Guest memory by the file behind it, addresses translated by QEMU's monitor: nothing of
    ptmap's."""

    def __init__(self, qemu: Qemu) -> None:
        self.qemu = qemu
        self.regions = judges.parse_mtree(qemu.hmp("info mtree -f"))

    def frame(self, va: int) -> int | None:
        found = re.match(r"gpa: 0x([0-9a-f]+)", self.qemu.hmp(f"gva2gpa {va:#x}"))
        return int(found[1], 16) if found else None

    def read(self, va: int, length: int) -> bytes:
        """Inside a page."""
        pa = self.frame(va)
        assert pa is not None
        assert self.qemu.ram_path is not None
        for r in self.regions:
            if r.kind == "ram" and r.name in ("ram", "pc.ram") and r.start <= pa < r.start + r.size:
                with self.qemu.ram_path.open("rb") as file:
                    file.seek(pa - r.start + r.offset)
                    return file.read(length)
        raise AssertionError(f"{pa:#x} is not RAM")

    def handlers(self, idt: int, long_mode: bool) -> dict[int, list[int]]:
        """Vectors by page."""
        size = 16 if long_mode else 8
        table = self.read(idt, 256 * size)
        found: dict[int, list[int]] = {}
        for vector in range(256):
            words = struct.unpack_from("<HHHH", table, vector * size)
            if words[2] >> 15 and words[2] >> 8 & 0xF in (0xE, 0xF):
                high = struct.unpack_from("<I", table, vector * size + 8)[0] if long_mode else 0
                offset = high << 32 | words[3] << 16 | words[0]
                found.setdefault(offset & -PAGE, []).append(vector)
        return found


GUESTS = ("686", "686-pae-pti", "4-level", "4-level-pti", "max")


@pytest.fixture(scope="module", params=GUESTS)
def guest(request: pytest.FixtureRequest) -> Iterator[tuple[str, Qemu, GdbSession]]:
    with boot(request.param, ram_file=True) as qemu, GdbSession(script=ptmap_script()) as gdb:
        gdb.attach(qemu.gdb_target)
        yield request.param, qemu, gdb


@pytest.mark.linux
def test_linux(guest: tuple[str, Qemu, GdbSession]) -> None:
    name, qemu, gdb = guest
    text, found, ram = qemu.hmp("info registers"), regs(gdb)["descriptors"], Ram(qemu)
    long_mode = "686" not in name
    same_as_monitor(found, text)
    handlers = {int(one["va"], 16): one for one in found["pieces"] if one["name"] == "handlers"}
    expected = ram.handlers(monitor(text, "IDT")[0], long_mode)
    assert {va: one["vectors"] for va, one in handlers.items()} == expected
    assert len(expected) >= 2
    for one in found["pieces"]:
        va = int(one["va"], 16)
        touched = va - 8 if one["name"].endswith("stack") else va
        frame = ram.frame(touched & -PAGE)
        assert one["frame"] == (None if frame is None else f"{frame:#x}"), one
        assert one["ok"] or one["rare"], one
    stacks = {one["name"]: int(one["va"], 16) for one in found["pieces"] if "stack" in one["name"]}
    base = monitor(text, "TR", 3)[1]
    if long_mode:
        tss = struct.unpack("<I10Q", ram.read(base, 84))
        assert stacks["RSP0 stack"] == tss[1]
        assert {
            f"IST{i} stack": tss[4 + i] for i in range(1, 7) if tss[4 + i]
        }.items() <= stacks.items()
    else:
        assert stacks == {"ESP0 stack": struct.unpack("<II", ram.read(base, 8))[1]}
        assert [one["va"] for one in found["pieces"] if one["name"] == "#DF TSS"]


@pytest.mark.linux
def test_what_user_space_needs(guest: tuple[str, Qemu, GdbSession]) -> None:
    """Under KPTI's user root all that is needed is mapped, and the rest of the kernel is not."""
    name, qemu, gdb = guest
    found = regs(gdb)["descriptors"]
    text = gdb.run("ptmap regs")
    assert max(map(len, text.splitlines())) <= 80
    if "pti" not in name:
        assert found["user_root"] is None and "No KPTI here: the kernel stays mapped" in text
        assert "NOT as needed" not in text
        return
    assert found["user_root"] == f"{gdb.eval('$cr3') & -PAGE:#x}"
    assert found["answer"].startswith(
        f"While user space runs (user root {found['user_root']}), "
        "all that it needs is mapped: GDT, IDT, "
    )
    # One that Linux freed: in the kernel root too, so not KPTI's doing.
    assert [one["vectors"] for one in found["pieces"] if not one["ok"]]
    # The kernel's text ahead of the entry code.
    entry = min(int(one["va"], 16) for one in found["pieces"] if one["name"] == "handlers")
    far = entry - (1 << 20)
    assert "not present" in gdb.run(f"pte {far:#x}")
    assert "physical" in gdb.run(f"pte -half kernel {far:#x}")


@pytest.mark.linux
def test_cr2_is_what_pte_says(guest: tuple[str, Qemu, GdbSession]) -> None:
    _, _, gdb = guest
    one = json.loads(gdb.run("pte -json - $cr2"))["addresses"][0]
    now = regs(gdb)["registers"]["cr2"]["now"]
    assert one["outcome"] == "mapped" and now.endswith(f" at physical {one['pa']}")
    rights = one["rights"]
    assert now.split(" at ")[0].split() == [
        "user" if rights["user"] else "supervisor",
        "read",
        *["write"] * rights["write"],
        *["exec"] * rights["exec"],
    ]


@pytest.mark.linux("4-level-pti")
def test_from_the_kernel_root() -> None:
    """Each piece says of the user root what it says itself there."""
    with boot("4-level-pti", paused_at="kernel") as qemu, GdbSession(script=ptmap_script()) as gdb:
        gdb.attach(qemu.gdb_target)
        found = regs(gdb)["descriptors"]
        assert found["kernel_root"] == f"{gdb.eval('$cr3') & -PAGE:#x}"
        text = gdb.run("ptmap regs")
        gdb.run("set ptmap cr3 $cr3 | 0x1000")
        under_user = regs(gdb)["descriptors"]
        assert under_user["answer"] == found["answer"]
        for here, user in zip(found["pieces"], under_user["pieces"]):
            assert here["user"] == {key: user[key] for key in here["user"]}
        assert re.search(r"^  GDT .* supervisor read +yes$", text, re.M)
        assert re.search(r"^  IST5.* NOT MAPPED \(29\) +NO$", text, re.M)


@pytest.mark.linux("kgdb-64")
def test_system_call() -> None:
    """With vmlinux loaded, wherever KASLR put the kernel."""
    with boot("kgdb-64", paused_at="kernel") as qemu, GdbSession(script=ptmap_script()) as gdb:
        gdb.run(f"file {fetch('kgdb-64').parent / 'vmlinux'}")
        gdb.attach(qemu.gdb_target)
        found = {one["name"]: one for one in regs(gdb)["descriptors"]["pieces"]}
        entry, stack = found["SYSCALL entry"], found["SYSCALL stack"]
        assert int(entry["va"], 16) & 0xFFFFF == gdb.eval("(long)&entry_SYSCALL_64") & 0xFFFFF
        assert entry["ok"] and entry["user"]["ok"]
        top = int(stack["va"], 16)
        assert top % (16 << 10) == 0 and top - (16 << 10) <= gdb.eval("$sp") % (1 << 64) < top
        assert stack["ok"] and not stack["before_switch"]
        gdb.run("set ptmap cr3 $cr3 | 0x1000")
        text = gdb.run("ptmap regs")
        assert re.search(r"^   stack .* supervisor read write \(kernel's\)$", text, re.M)
        assert "SYSCALL entry." in text.replace("\n", " ")
        assert max(map(len, text.splitlines())) <= 80


@pytest.mark.linux("4-level")
def test_cpus() -> None:
    """Each has its own TSS and GDT; the monitor's CPU and GDB's thread stay as they were."""
    with (
        boot("4-level", paused_at="running", extra_args=("-smp", "2")) as qemu,
        GdbSession(script=ptmap_script()) as gdb,
    ):
        qemu.stop_cpus()  # the process may be on either
        gdb.attach(qemu.gdb_target)
        of_cpu = re.split(r"^CPU#\d+$", qemu.hmp("info registers -a"), flags=re.M)[1:]
        gdb.run("monitor cpu 1")
        before = gdb.run("monitor info cpus"), gdb.run("info threads"), gdb.run("frame")
        for cpu in (0, 1):
            same_as_monitor(regs(gdb, f"-cpu {cpu}")["descriptors"], of_cpu[cpu])
        bases = [regs(gdb, f"-cpu {cpu}")["descriptors"]["tr"]["base"] for cpu in (0, 1)]
        assert bases[0] != bases[1]
        assert regs(gdb)["descriptors"]["tr"]["base"] == bases[0]
        assert before == (gdb.run("monitor info cpus"), gdb.run("info threads"), gdb.run("frame"))
        gdb.run("thread 2")
        assert regs(gdb)["descriptors"]["tr"]["base"] == bases[1]
        with pytest.raises(GdbFailure, match="no CPU 2"):
            gdb.run("ptmap regs -cpu 2")


@pytest.mark.linux("compat")
def test_compatibility_mode() -> None:
    """A 32-bit process: QEMU cuts TR's base, which is cpu_entry_area's (CPU_ENTRY_AREA_TSS)."""
    with boot("compat") as qemu, GdbSession(script=ptmap_script()) as gdb:
        gdb.attach(qemu.gdb_target)
        assert monitor(qemu.hmp("info registers"), "TR", 3)[1] == TSS_AT & 0xFFFFFFFF
        found = regs(gdb)["descriptors"]
        assert found["tr"]["base"] == hex(TSS_AT)
        needed = {one["name"]: one["ok"] for one in found["pieces"] if not one["rare"]}
        assert needed["TSS"] and needed["RSP0 stack"] and all(needed.values())
        text = gdb.run("ptmap regs")
        assert re.search(r"^ +TSS +0xfffffe0000003000 ", text, re.M)
        assert "NOT as needed" not in text
