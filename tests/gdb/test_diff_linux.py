"""ptmap diff of real Linux: before and after mmap and munmap, KPTI's two roots, two processes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator

import pytest

import judges
import naive
from gdbsession import GdbSession, ptmap_script
from guests import GUESTS, boot
from kernels import fetch
from qemu import Qemu
from spaces import State, agree, expected, root_entries, tables_by_level

pytestmark = pytest.mark.linux


@dataclass
class Linux:
    name: str
    guest: Qemu
    gdb: GdbSession

    def read(self, pa: int, length: int) -> bytes | None:
        for r in self.regions:
            if (
                r.kind == "ram"
                and r.name in ("ram", "pc.ram")
                and (r.start <= pa and pa + length <= r.start + r.size)
            ):
                assert self.guest.ram_path
                with self.guest.ram_path.open("rb") as ram:
                    ram.seek(pa - r.start + r.offset)
                    return ram.read(length)
        return None

    @property
    def regions(self) -> list[Any]:
        if not hasattr(self, "_regions"):
            self._regions = judges.parse_mtree(self.guest.hmp("info mtree -f"))
        return self._regions

    def registers(self) -> tuple[int, int]:
        return self.gdb.eval("$cr4"), self.gdb.eval("$efer")

    def state(self, root: int | None = None) -> State:
        cr3 = self.gdb.eval("$cr3") if root is None else root
        return State(naive.walk(self.read, cr3, *self.registers()))

    def area(self, kind: str) -> tuple[int, int]:
        found = re.findall(
            rf"^init: (?:child )?map {kind} (0x\S+) (0x\S+)$", self.guest.console(), re.M
        )
        return int(found[-1][0], 16), int(found[-1][1], 16)

    def number(self, what: str) -> int:
        found = re.search(rf"^init: {what} (0x\S+)", self.guest.console(), re.M)
        assert found, what
        return int(found[1], 16)

    def diff(self, operands: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.gdb.run(f"ptmap diff -json - {operands}"))
        assert document["complete"]
        return document


def started(name: str, append: str) -> Iterator[Linux]:
    with boot(name, append=append, ram_file=True) as guest, GdbSession(
        script=ptmap_script()
    ) as gdb:
        gdb.attach(guest.gdb_target)
        yield Linux(name, guest, gdb)


@pytest.fixture(scope="module", params=["686", "686-pae-pti", "4-level", "4-level-pti", "5-level"])
def linux(request: pytest.FixtureRequest) -> Iterator[Linux]:
    yield from started(request.param, "vdso_sum=later remap=1")


def pages_of(document: dict[str, Any], what: str, **after: Any) -> set[int]:
    """The pages of the differences of a kind."""
    side = "before" if what == "gone" else "after"
    return {
        va
        for d in document["differences"]
        if d["what"] == what
        if all(d[side][key] == value for key, value in after.items())
        for va in range(int(d["va"], 16), int(d["va"], 16) + int(d["size"], 16), 4096)
    }


def test_the_two_roots(linux: Linux) -> None:
    """KPTI: which root entries are shared, which tables, against the roots' own bytes."""
    if "pti" not in linux.name:
        return
    document = linux.diff("half=kernel half=user")
    roots = [int(document[side]["root"], 16) for side in ("before", "after")]
    mode = document["mode"]
    assert agree(document, expected(*map(linux.state, roots))) > 50
    kernel, user = (root_entries(linux.read, root, mode) for root in roots)
    parts = {part["part"]: part for part in document["shared"]["parts"]}
    if mode == "4-level":
        lower = {i: e for i, e in kernel.items() if i < 256}
        # The user's part of the kernel root has XD: the same tables, other rights.
        assert parts["lower part"]["other_rights"] == len(lower) > 0
        assert parts["lower part"]["shared"] == 0
    upper = {i for i in {*kernel} | {*user} if i >= (256 if mode == "4-level" else 3)}
    same = sum(kernel.get(i) == user.get(i) for i in upper)
    assert parts["upper part"]["shared"] == same
    assert parts["upper part"]["either"] == len(upper)
    common = set.intersection(
        *(tables_by_level(linux.read, root, *linux.registers()) for root in roots)
    )
    assert document["shared"]["tables"] == len({table for _, table in common}) > 5
    assert sum(document["shared"]["levels"].values()) == len(common)
    text = linux.gdb.run("ptmap diff half=kernel half=user")
    assert max(map(len, text.splitlines())) <= 80
    assert "KPTI's user root, Linux" in text and "in common, of" in text
    assert "no differences" in linux.gdb.run("ptmap diff half=user current")


def test_a_dump_is_the_same_space(linux: Linux, tmp_path: Path) -> None:
    linux.gdb.run(f"ptmap save {tmp_path}/live")
    dump = tmp_path / "dump"
    linux.guest.hmp(f"dump-guest-memory {dump}")
    linux.gdb.run(f"set ptmap memory dump {dump}")
    try:
        document = linux.diff(f"{tmp_path}/live")
        linux.gdb.run(f"ptmap save {tmp_path}/dumped")
    finally:
        linux.gdb.run("set ptmap memory auto")
        dump.unlink()
    assert document["differences"] == [] and document["before"]["ranges"] > 20
    assert linux.diff(f"{tmp_path}/live {tmp_path}/dumped")["differences"] == []


def test_mmap_and_munmap(linux: Linux, tmp_path: Path) -> None:
    """`ptmap diff` alone across a continue, and a snapshot of before: every page."""
    gdb = linux.gdb
    before = linux.state()
    size = gdb.run(f"ptmap save {tmp_path}/before")
    gdb.run("ptmap")
    gdb.run(f"set {{int}}{linux.number('vdso flag'):#x} = 1")
    gdb.run(f"thbreak *{linux.number('spin'):#x}")
    gdb.run("continue")
    assert "went on" in linux.guest.console()
    wanted = expected(before, linux.state())
    document = linux.diff("")
    compared = agree(document, wanted) + agree(linux.diff(f"{tmp_path}/before"), wanted)
    assert compared > 20 and "complete" in size
    ro, rw, late = (linux.area(kind) for kind in ("ro", "rw", "late"))
    assert {*range(ro[0], sum(ro), 4096)} <= pages_of(document, "gone", user=True, write=False)
    assert {*range(late[0], sum(late), 4096)} <= pages_of(
        document, "added", user=True, write=True, exec=True
    )
    assert {*range(rw[0], sum(rw), 4096)} <= pages_of(document, "changed", write=False)
    rights = [d for d in document["differences"] if int(d["va"], 16) == rw[0]]
    assert [d["changed"] for d in rights] == [["rights"]] and rights[0]["before"]["write"]
    vdso = linux.number("vdso")
    assert vdso in pages_of(document, "added", user=True)
    text = gdb.run(f"ptmap diff {tmp_path}/before")
    assert max(map(len, text.splitlines())) <= 80
    print(linux.name, size.splitlines()[0].replace(str(tmp_path), ""), compared, "stretches")


@pytest.mark.linux("kgdb-64")
def test_two_processes_by_name() -> None:
    """A parent and its child, with the kernel's symbols; either half of the parent."""
    for linux in started("kgdb-64", "child=1"):
        vmlinux = fetch(GUESTS["kgdb-64"].kernel).with_name("vmlinux")
        linux.gdb.run(f"ptmap kaslr {vmlinux}")
        found = re.search(r"^init: child PID (\d+)$", linux.guest.console(), re.M)
        assert found
        document = linux.diff(f"comm=init pid={found[1]}")
        roots = [int(document[side]["root"], 16) for side in ("before", "after")]
        assert agree(document, expected(*map(linux.state, roots))) > 50
        assert "pid 1 (init)" in " ".join(document["before"]["words"])
        rw, child = (linux.area(kind) for kind in ("rw", "child"))
        gone = [d for d in document["differences"] if int(d["va"], 16) == rw[0]]
        assert gone[0]["what"] in ("gone", "changed")  # forked before the areas were there
        assert {*range(child[0], sum(child), 4096)} <= pages_of(document, "added")
        upper = document["shared"]["parts"][1]
        assert upper["shared"] == upper["either"] > 3
        user = linux.diff("root=init_mm.pgd half=user")
        assert user["shared"]["parts"][1]["shared"] < upper["shared"]


@pytest.mark.linux("smp")
def test_two_processes() -> None:
    """One on each CPU: their own lower part, one kernel."""
    for linux in started("smp", ""):
        document = linux.diff("cpu=0 cpu=1")
        roots = [int(document[side]["root"], 16) for side in ("before", "after")]
        assert roots[0] != roots[1]
        assert agree(document, expected(*map(linux.state, roots))) > 50
        one, two = (root_entries(linux.read, root, "4-level") for root in roots)
        lower, upper = document["shared"]["parts"]
        kernel = {i for i in one if i >= 256}
        assert kernel == {i for i in two if i >= 256}
        assert upper["shared"] == upper["either"] == len(kernel) > 3
        assert lower["shared"] == 0 < lower["either"]
        common = set.intersection(
            *(tables_by_level(linux.read, root, *linux.registers()) for root in roots)
        )
        assert document["shared"]["tables"] == len({table for _, table in common})
        text = linux.gdb.run("ptmap diff cpu=0 cpu=1")
        assert f"upper part: {len(kernel)} of {len(kernel)} root entries shared\n" in text
        assert {d["va"] for d in document["differences"] if int(d["va"], 16) >> 63} == set()
