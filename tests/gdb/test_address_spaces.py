"""Which space: KPTI's halves, a CPU's, a kernel pointer's; the trampoline; a map for each root."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Iterator

import pytest

import compare
import naive
from gdbsession import GdbFailure, GdbSession, ptmap_script
from guests import GUESTS, Where, boot
from kernels import fetch
from machine import BareMachine
from qemu import Qemu
from tables import P, RW, US, Tables

linux = pytest.mark.linux
USER_BIT = 0x1000

KPTI: list[tuple[str, Where]] = [
    (name, where)
    for name in ("4-level-pti", "kgdb-64-5level", "686-pae-pti", "kgdb-pae")
    for where in ("ready", "kernel")
]
NO_KPTI = ("686", "686-pae-nopti", "4-level", "5-level")


@dataclass
class Stopped:
    name: str
    guest: Qemu
    gdb: GdbSession

    def document(self, options: str = "") -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.gdb.run(f"ptmap -phys -json - {options}"))
        return document

    def refused(self, command: str) -> str:
        with pytest.raises(GdbFailure) as failure:
            self.gdb.run(command)
        text = str(failure.value)
        assert failure.value.kind == "error" and "\n" not in text and "Traceback" not in text
        return text

    def naive(self, root: int) -> naive.Walk:
        """The naive walker on this root, reading the machine's RAM."""
        assert self.guest.ram_path

        def read(pa: int, length: int) -> bytes | None:
            ram.seek(pa)  # these guests have no RAM above 4 GiB
            data = ram.read(length)
            return data if len(data) == length else None

        with self.guest.ram_path.open("rb") as ram:
            return naive.walk(read, root, self.gdb.eval("$cr4"), self.gdb.eval("$efer"))


@contextmanager
def stopped(name: str, where: Where) -> Iterator[Stopped]:
    with boot(name, paused_at=where, ram_file=True) as guest:
        with GdbSession(script=ptmap_script()) as gdb:
            gdb.attach(guest.gdb_target)
            yield Stopped(name, guest, gdb)


@pytest.fixture(scope="module", params=KPTI, ids="-".join)
def kpti(request: pytest.FixtureRequest) -> Iterator[Stopped]:
    with stopped(*request.param) as kpti:
        yield kpti


def root_of(kpti: Stopped) -> int:
    mask = 0xFFFFFFE0 if GUESTS[kpti.name].width == 32 else 0xFFFFFFFFFF000
    return kpti.gdb.eval("$cr3") & mask


@linux
def test_both_halves_from_either(kpti: Stopped) -> None:
    """Each against the naive walker on that root; both from the current one, whichever it is."""
    current = root_of(kpti)
    is_user = kpti.gdb.eval("$cs") & 3 == 3
    assert bool(current & USER_BIT) == is_user
    assert kpti.document()["root"] == hex(current)
    assert kpti.document()["kpti"]["half"] == ("user" if is_user else "kernel")
    for half, root in (("kernel", current & ~USER_BIT), ("user", current | USER_BIT)):
        document = kpti.document(f"-half {half}")
        assert document["root"] == hex(root)
        assert document["kpti"]["half"] == half
        again = kpti.document(f"-half {half} -root {hex(current ^ USER_BIT)}")
        assert again["ranges"] == document["ranges"]
        title = f"{kpti.name} {'user' if is_user else 'kernel'} mode, {half} root"
        report = compare.with_naive(document, kpti.naive(root), guest=title)
        report.check()
        report.record()


@linux
def test_the_trampoline(kpti: Stopped) -> None:
    """All that the user root has above the user's part; it is in the kernel root too."""
    pages = {p.va: p for p in kpti.naive(root_of(kpti) | USER_BIT).pages}
    kernel = {p.va: p for p in kpti.naive(root_of(kpti) & ~USER_BIT).pages}
    kept = {va: p for va, p in pages.items() if not p.user}
    document = kpti.document("-trampoline")
    assert sum(document["pages"].values()) == len(kept)
    assert {int(r["va"], 16) for r in document["ranges"]} <= set(kept)
    size = sum(p.size for p in kept.values())
    assert sum(int(r["size"], 16) for r in document["ranges"]) == size
    # The kernel root may map the same frames by larger pages.
    for page in kept.values():
        over = next(p for p in (kernel.get(page.va & ~mask) for mask in (0xFFF, 0x1FFFFF)) if p)
        assert over.pa + page.va - over.va == page.pa
    numbers = kpti.document()["kpti"]
    assert int(numbers["in_user_root"], 16) == size
    frames = {pa for p in kept.values() for pa in range(p.pa, p.pa + p.size, 4096)}
    assert int(numbers["frames_in_user_root"], 16) == 4096 * len(frames)
    assert int(numbers["kernel_bytes"], 16) == sum(p.size for p in kernel.values() if not p.user)
    text = kpti.gdb.run("ptmap -trampoline")
    assert "cpu_entry_area" in text and len(text.splitlines()[0]) <= 80
    assert len(text.splitlines()) < 40  # espfix, one frame 65536 times, is folded
    assert "cpu_entry_area" in kpti.gdb.run("ptmap -all-cpus -trampoline")
    assert "cannot go with -half kernel" in kpti.refused("ptmap -trampoline -half kernel")
    assert "cannot go with -at" in kpti.refused("ptmap -trampoline -at 0")
    assert "cannot go with START END" in kpti.refused("ptmap -trampoline 0 0x1000")


@linux
def test_pte_of_both_halves(kpti: Stopped) -> None:
    """A kernel data page is there from the kernel root only."""
    kernel = kpti.document("-half kernel")
    label = "kernel rodata"
    va = next(int(r["va"], 16) for r in kernel["regions"] if r["label"] == label)
    assert "physical" in kpti.gdb.run(f"pte -half kernel {va:#x}")
    user = json.loads(kpti.gdb.run(f"pte -half user -json - {va:#x}"))["addresses"][0]
    assert user["outcome"] == "not-present"


@linux
@pytest.mark.parametrize("name", NO_KPTI)
def test_without_kpti_there_is_no_half(name: str) -> None:
    with stopped(name, "ready") as guest:
        for command in (
            "ptmap -half user",
            "ptmap -half kernel",
            "pte -half user 0",
            "ptmap -trampoline",
        ):
            assert "no KPTI here" in guest.refused(command)
        assert "kpti" not in guest.document()
        assert "KPTI" not in guest.gdb.run("ptmap")


@linux
@pytest.mark.parametrize("name, where", [("kgdb-64-nokaslr", "ready"), ("kgdb-pae", "kernel")])
def test_a_kernel_pointer_as_root(name: str, where: Where) -> None:
    with stopped(name, where) as guest:
        vmlinux = fetch(GUESTS[name].kernel).with_name("vmlinux")
        guest.gdb.run(f"ptmap kaslr {vmlinux}")
        symbol = "init_top_pgt" if GUESTS[name].width == 64 else "swapper_pg_dir"
        by_pointer = guest.document(f"-root '&{symbol}'")
        va = guest.gdb.eval(f"(unsigned long)&{symbol}")
        by_number = guest.document(f"-root {va:#x}")
        pa = json.loads(guest.gdb.run(f"pte -half kernel -json - {va:#x}"))["addresses"][0]["pa"]
        assert by_pointer["root"] == by_number["root"] == pa
        by_frame = guest.document(f"-root {pa}")
        assert by_pointer["ranges"] == by_number["ranges"] == by_frame["ranges"]
        assert not any(r["user"] for r in by_pointer["ranges"])
        # In user mode the user root has no init_mm: GDB itself cannot read it.
        by_variable = guest.document("-root init_mm.pgd")
        assert (by_variable["root"], by_variable["ranges"]) == (pa, by_frame["ranges"])
        text = guest.refused("ptmap -root '(long *)16'")
        assert "neither a physical address nor mapped" in text


@pytest.mark.linux("smp")
def test_two_cpus() -> None:
    with stopped("smp", "ready") as smp:
        roots = []
        for cpu in range(2):
            said = smp.guest.hmp("info registers -a").split(f"CPU#{cpu}")[1]
            found = re.search(r"CR3=([0-9a-f]+)", said)
            assert found
            roots.append(int(found[1], 16))
        assert roots[0] != roots[1]
        before = smp.gdb.run("info threads")
        ranges = {}
        for cpu, root in enumerate(roots):
            document = smp.document(f"-cpu {cpu}")
            assert document["root"] == hex(root)
            report = compare.with_naive(document, smp.naive(root), guest=f"smp, CPU {cpu}")
            report.check()
            report.record()
            ranges[cpu] = document["ranges"]
            assert f"root {root:#x}" in smp.gdb.run(f"pte -cpu {cpu} $pc")
            assert "physical" in smp.gdb.run(f"pte -cpu {cpu} $pc")  # that CPU's own $pc
            assert smp.gdb.run("info threads") == before
        everything = json.loads(smp.gdb.run("ptmap -phys -all-cpus -json -"))
        assert everything["kind"] == "maps"
        assert [m["cpus"] for m in everything["maps"]] == [[0], [1]]
        assert [m["ranges"] for m in everything["maps"]] == [ranges[0], ranges[1]]
        assert smp.gdb.run("ptmap -all-cpus").count("CPU ") == 2
        assert smp.gdb.run("info threads") == before
        assert "CPU 0 to 1" in smp.refused("ptmap -cpu 2")
        smp.refused("ptmap -cpu -1")
        smp.refused("ptmap -all-cpus -cpu 0")
        smp.refused("ptmap -all-cpus -root 0x1000")


# On bare machines


def test_cpus_that_share_a_root() -> None:
    space = Tables("4-level")
    space.map(0x1000, 0x300000, 4096, P | RW | US)
    with BareMachine(script=ptmap_script(), args=["-smp", "3"]) as machine:
        space.write_to(machine)
        for thread in (1, 2):
            machine.session.run(f"thread {thread}")
            machine.session.eval("$cr3")
            machine.session.packet(f"Hgp1.{thread}".encode())
            machine.set_mode("4-level", space.root)
        machine.session.run("maintenance flush register-cache")
        text = machine.session.run("ptmap -all-cpus")
        assert "CPU 0, 1: 4-level paging" in text and "CPU 2: paging is off" in text
        document = json.loads(machine.session.run("ptmap -all-cpus -json -"))
        assert [m["cpus"] for m in document["maps"]] == [[0, 1]]
        assert document["paging_off"] == [2]
        with pytest.raises(GdbFailure, match="CPU 0: -half user: no KPTI here"):
            machine.session.run("ptmap -all-cpus -half user")


def test_two_pages_that_are_no_pair() -> None:
    """KPTI is not taken for granted: the neighbour must be the other half."""
    space = Tables("4-level")
    space.map(0x1000, 0x300000, 4096, P | RW | US)
    space.map(0xFFFF888000000000, 0, 4096, P | RW)
    with BareMachine(script=ptmap_script()) as machine:
        space.write_to(machine)
        machine.set_mode("4-level", space.root)
        with pytest.raises(GdbFailure, match="no KPTI here"):
            machine.session.run("ptmap -half user")
        assert "KPTI" not in machine.session.run("ptmap")


def test_a_damaged_pair_is_a_pair() -> None:
    """One slot of the kernel root overwritten: the user root is there all the same."""
    space = Tables("4-level")
    kernel, user = space.alloc(0x100000), space.alloc(0x101000)
    for slot in range(8):
        space.set(kernel, slot, 0x200000 + slot * 0x1000 | P | RW | US | 1 << 63)
        space.set(user, slot, 0x200000 + slot * 0x1000 | P | RW | US)
    for slot in (273, 508, 511):
        space.set(kernel, slot, 0x300000 + slot * 0x1000 | P | RW)
    space.set(user, 508, 0x300000 + 508 * 0x1000 | P | RW)
    space.set(user, 511, 0x400000 | P | RW)
    with BareMachine(script=ptmap_script()) as machine:
        for changed, is_pair in ((None, True), (1, True), (3, False)):
            for slot in range(changed or 0):
                space.set(kernel, slot, 0x500000 | P | RW | US)
            space.write_to(machine)
            machine.set_mode("4-level", kernel)
            assert ("KPTI" in machine.session.run("ptmap")) == is_pair


def test_an_empty_pml5_has_no_pair() -> None:
    """A kernel without KPTI keeps its root's PML4 behind the root: one entry, the last one."""
    space = Tables("5-level")
    kernel, other = space.alloc(0x100000), space.alloc(0x101000)
    for slot in (273, 402, 511):
        space.set(kernel, slot, 0x300000 + slot * 0x1000 | P | RW)
    space.set(other, 511, 0x400000 | P | RW)
    with BareMachine(script=ptmap_script()) as machine:
        space.write_to(machine)
        machine.set_mode("5-level", kernel)
        assert "KPTI" not in machine.session.run("ptmap")
