"""pte names the mapping that covers an address of a process, or says that none does. The judge is
/proc/self/maps, as the guest's init prints it."""

from __future__ import annotations

import json
import re
from typing import Any, Iterator, NamedTuple

import pytest

from gdbsession import GdbSession, ptmap_script
from guests import GUESTS, boot
from kernels import KERNELS, fetch

pytestmark = pytest.mark.linux

NAMES = ["4-level-pti-6.12-dbg", "smp-sid-dbg", "kgdb-64", "kgdb-pae"]
_LINE = re.compile(
    r"^([0-9a-f]{8,16})-([0-9a-f]{8,16}) ([r-][w-][x-][ps]) ([0-9a-f]+) \S+ (\d+) *(.*)$", re.M
)
_PAGE = 0x1000


class Line(NamedTuple):
    start: int
    end: int
    rights: str
    offset: int
    is_file: bool
    name: str


class Asked(NamedTuple):
    name: str
    gdb: GdbSession
    maps: list[Line]
    console: str

    def pte(self, addresses: list[int]) -> list[dict[str, Any]]:
        words = " ".join(map(hex, addresses))
        found: list[dict[str, Any]] = json.loads(self.gdb.run(f"pte -json - {words}"))["addresses"]
        return found

    def area(self, kind: str) -> int:
        found = re.search(rf"^init: map {kind} 0x(\S+) ", self.console, re.M)
        assert found
        return int(found[1], 16)


@pytest.fixture(scope="module", params=NAMES)
def asked(request: pytest.FixtureRequest) -> Iterator[Asked]:
    name = request.param
    kernel = GUESTS[name].kernel
    vmlinux = fetch(kernel).with_name("vmlinux")
    with boot(name, append="files=1") as guest, GdbSession(script=ptmap_script()) as gdb:
        if KERNELS[kernel].built:
            gdb.run(f"symbol-file {vmlinux}")
        gdb.attach(guest.gdb_target)
        if not KERNELS[kernel].built:
            gdb.run(f"ptmap kaslr {vmlinux}")
        maps = [
            Line(int(start, 16), int(end, 16), rights, int(offset, 16), inode != "0", label)
            for start, end, rights, offset, inode, label in _LINE.findall(guest.console())
            if not int(start, 16) >> 63
        ]
        yield Asked(name, gdb, maps, guest.console())


def test_against_maps(asked: Asked) -> None:
    """Pages of every mapping, and of every hole between two."""
    wanted = set()
    for line, after in zip(asked.maps, [*asked.maps[1:], None]):
        hole = after.start if after else line.end + 0x10000
        for first, end in ((line.start, line.end), (line.end, hole)):
            step = max((end - first) // 24 & -_PAGE, _PAGE)
            wanted |= {*range(first, end, step), end - _PAGE} if first < end else set()
    wanted |= {0, asked.maps[0].start - _PAGE, asked.maps[0].start // 2 & -_PAGE}
    compared = silent = 0
    for one in asked.pte(sorted(wanted)):
        va = int(one["va"], 16)
        line = next((line for line in asked.maps if line.start <= va < line.end), None)
        if one["outcome"] == "mapped" and (one["rights"]["write"] or not one["rights"]["user"]):
            silent += 1
            assert "vma" not in one and line
            continue
        vma = one["vma"]
        compared += 1
        assert vma["covered"] == (line is not None), one
        if line is None:
            assert set(vma) == {"covered", "says"}
            continue
        assert (vma["va"], vma["size"]) == (hex(line.start), hex(line.end - line.start))
        assert vma["rights"] == line.rights
        if line.is_file:
            assert vma["name"] == line.name
            assert vma["offset"] == hex(line.offset + va - line.start)
        else:
            assert vma["name"] == (line.name or "[anon]") and "offset" not in vma
    assert compared > 300 and silent > 10
    print(f"{asked.name}: {len(asked.maps)} mappings, {compared} addresses, 0 differ")


def test_what_it_says(asked: Asked) -> None:
    for kind, says in (
        ("untouched", "comes at first touch"),
        ("none", "no access is allowed (PROT_NONE)"),
        ("zero", "read-only: a write copies"),
        ("ro", ""),
    ):
        (one,) = asked.pte([asked.area(kind)])
        assert one["vma"]["says"] == says, kind
        text = asked.gdb.run(f"pte {asked.area(kind):#x}")
        assert all(len(line) <= 80 for line in text.splitlines()) and "[anon]" in text
    stack = next(line for line in asked.maps if line.name == "[stack]")
    below, far = asked.pte([stack.start - _PAGE, stack.end - (9 << 20)])
    assert below["vma"]["says"] == f"[stack] at {stack.start:#x} grows down to it at first touch"
    assert far["vma"]["says"].endswith("whose limit is 0x800000 bytes")
    (top,) = asked.pte([asked.area("rw") + (8 << 12)])
    assert top["vma"]["says"].startswith("the next one is [anon] at 0x")


DAMAGED = """
from ptmap.linux import vmas
real = vmas._Vmas._slots
vmas._Vmas._slots = lambda self, node, structure, last: [*{real}, ({slot}, last)]
try:
    result = gdb.execute({command!r}, to_string=True)
finally:
    vmas._Vmas._slots = real
"""


def test_a_damaged_tree_is_no_hole(asked: Asked) -> None:
    """A loop behind the mappings, a loop, and a tree without any mapping."""
    command = f"pte {asked.maps[-1].end + 0x10000:#x}"
    assert "no VMA covers it: there is none above it" in asked.gdb.run(command)
    for real, slot in (
        ("real(self, node, structure, last)", "node | 3 << 3 | 2"),
        ("()", "node | 3 << 3 | 2"),
        ("()", "0"),
    ):
        said = asked.gdb.python(DAMAGED.format(command=command, slot=slot, real=real))
        assert "not present" in said and "VMA" not in said


def test_the_kernels_addresses_have_none(asked: Asked) -> None:
    va = 0xFFFF_F000 if asked.name == "kgdb-pae" else 0xFFFF_FFFF_FFFF_F000
    assert "vma" not in asked.pte([va])[0]
