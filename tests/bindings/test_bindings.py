"""The module ptmap._core by itself, outside GDB: every vector, and how it treats a bad memory."""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import json
import sys
import time
from typing import Any, Callable

import pytest

import vectors
from gdbsession import ptmap_script
from vectors import Case


def _load() -> Any:
    """The built module, without the package around it (which needs GDB)."""
    (path,) = (ptmap_script().parent / "ptmap").glob("_core.*.so")
    spec = importlib.util.spec_from_file_location("ptmap._core", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["ptmap._core"] = module
    spec.loader.exec_module(module)
    return module


core = _load()
Memory = Callable[[list[tuple[int, int]]], list[Any]]


def memory_of(case: Case, log: list[list[tuple[int, int]]] | None = None) -> Memory:
    pages = case.pages()

    def fetch(wanted: list[tuple[int, int]]) -> list[Any]:
        if log is not None:
            log.append(wanted)
        return [
            bytes(pages.get(pa & ~0xFFF, bytearray(4096))[pa & 0xFFF : (pa & 0xFFF) + length])
            if pa + length <= vectors.RAM
            else "not RAM"
            for pa, length in wanted
        ]

    return fetch


def paging_of(case: Case) -> Any:
    return core.Paging(*(case.register(r) for r in ("cr0", "cr3", "cr4", "efer", "maxphyaddr")))


def numbers(names: list[str]) -> list[int]:
    """The bits of an entry that the JSON names."""
    named = {"PS": [7], "XD": [63]}
    return [
        bit for name in names for bit in named.get(name) or map(int, name.split(" ")[1].split(","))
    ]


class Walked:
    """The vectors' words for what core.walk() returns."""

    def __init__(self, case: Case, va: int) -> None:
        self.case, self.paging = case, paging_of(case)
        root = self.paging.root_of(case.register("cr3"))
        self.walk = core.walk(self.paging, root, va, memory_of(case))
        self.explained = self._explain(root)

    def _explain(self, root: int) -> Any:
        """As in pte's JSON."""
        case = self.case
        address = core.explain(
            self.walk,
            self.paging,
            ac=bool(case.register("ac")),
            pkru=case.registers.get("pkru"),
            pat=case.registers.get("pat"),
        )
        space = core.ExplainedSpace(
            mode=case.mode,
            root=root,
            notes=[],
            assumed=[],
            maxphyaddr=case.register("maxphyaddr"),
            maxphyaddr_is_assumed=False,
            pat_hint="",
            pkru_hint="",
        )
        (explained,) = json.loads("".join(core.explanations_json(space, [address])))["addresses"]
        return explained

    def answer(self) -> str:
        walk = self.walk
        if walk.outcome == "not-canonical":
            return "not-canonical"
        if walk.outcome == "mapped":
            size = {1 << 12: "4K", 1 << 21: "2M", 1 << 22: "4M", 1 << 30: "1G"}[walk.page_size]
            words = [
                f"pa={walk.pa:#x}",
                f"size={size}",
                "user" if walk.user else "supervisor",
                "write" if walk.write else "read-only",
                "exec" if walk.exec else "no-exec",
                *["global"] * walk.global_,
                "cache=" + core.memory_types(self.case.registers.get("pat"))[walk.cache_slot],
                *[f"key={walk.key}"] * (walk.key != 0 and walk.user),
            ]
            return "mapped " + " ".join(words)
        end = walk.steps[-1]
        if walk.outcome == "unreadable":
            return f"unreadable {end.entry_name[:-1]} {end.table:#x}"
        if walk.outcome == "reserved-bit":
            reserved = numbers(self.explained["steps"][-1]["reserved"])
            return f"reserved-bit {end.entry_name} {vectors.bits(reserved)}"
        return f"{walk.outcome} {end.entry_name}"

    def path(self) -> str:
        return " ".join(f"{step.table:#x}[{step.index}]" for step in self.walk.steps)

    def notes(self) -> set[str]:
        return {
            f"{step['name']} {vectors.bits(numbers(step['load']))}"
            for step in self.explained["steps"]
            if "load" in step
        }

    def access(self, question: str) -> str:
        privilege, access = question.split()
        verdict = self.explained["access"][privilege][access]
        if verdict["ok"] is None:
            return "unknown"
        if verdict["ok"]:
            return "ok"
        code = f" {verdict['error_code']}" if verdict["fault"] == "#PF" else ""
        return verdict["fault"] + code


@pytest.mark.parametrize("case", vectors.cases(), ids=str)
def test_vectors(case: Case) -> None:
    assert core.paging_mode(*(case.register(r) for r in ("cr0", "cr4", "efer"))) == case.mode
    wrong = [d for q in case.questions for d in vectors.differences(case, q, Walked(case, q.va))]
    assert not wrong, "\n".join(wrong)


def test_masks_by_name() -> None:
    assert core.register_mask("CR0", "PG", "PE") == 0x80000001
    assert core.register_mask("CR4", "PSE") == 0x10
    assert core.register_mask("EFER", "SCE", "LME", "LMA", "NXE") == 0xD01
    assert core.register_mask("EFER") == 0
    for wrong in (("CR4", "NXE"), ("CR3", "PCD"), ("EFER", "")):
        with pytest.raises(ValueError, match="no such bit"):
            core.register_mask(*wrong)


@pytest.mark.parametrize(
    "mode, expected",
    [
        ("32-bit", (0x80010001, 0x90, 0x800)),
        ("pae", (0x80010001, 0xB0, 0x800)),
        ("4-level", (0x80010001, 0xB0, 0xC00)),
        ("5-level", (0x80010001, 0x10B0, 0xC00)),
    ],
)
def test_registers_for_a_mode(mode: str, expected: tuple[int, int, int]) -> None:
    """PE, WP, PG; PSE, PAE, PGE, LA57; LMA, NXE."""
    assert core.registers_for(mode, None, None, None) == expected
    assert core.paging_mode(*core.registers_for(mode, 0, 0, 0)) == mode
    for wrong in ("off", "", "PAE"):
        with pytest.raises(ValueError):
            core.registers_for(wrong, 0, 0, 0)


CASE = next(case for case in vectors.cases() if str(case) == "4-level.txt: a 4 KiB page")


def test_scan_asks_once_a_level() -> None:
    log: list[list[tuple[int, int]]] = []
    paging = paging_of(CASE)
    space = core.scan(paging, paging.root_of(CASE.register("cr3")), memory_of(CASE, log))
    assert len(log) == 4 and all(length == 4096 for wanted in log for _, length in wanted)
    assert space.tables == len({address for wanted in log for address, _ in wanted})


def test_scans_and_flattenings_are_counted() -> None:
    before = core.counts()
    paging = paging_of(CASE)
    space = core.scan(paging, paging.root_of(CASE.register("cr3")), memory_of(CASE))
    core.make_map(space)
    core.make_map(space)
    after = core.counts()
    assert (after.scans - before.scans, after.flattenings - before.flattenings) == (1, 2)


def test_an_exception_crosses_unchanged() -> None:
    class Gone(Exception):
        pass

    def fetch(wanted: list[tuple[int, int]]) -> list[Any]:
        raise Gone("the connection")

    for ask in (
        lambda: core.walk(paging_of(CASE), 0x1000, 0, fetch),
        lambda: core.scan(paging_of(CASE), 0x1000, fetch),
    ):
        with pytest.raises(Gone, match="the connection"):
            ask()


def test_what_ctrl_c_left_unread_is_told_by_value() -> None:
    def gap_of(answer: Any) -> Any:
        tables = core.scan(paging_of(CASE), 0x1000, lambda wanted: [answer for _ in wanted])
        (gap,) = core.make_map(tables).unreadable
        return gap.why, gap.interrupted

    assert gap_of(core.Interrupted()) == ("interrupted", True)
    assert gap_of("interrupted") == ("interrupted", False)


@pytest.mark.parametrize("answer", [[], [b"short"], [None], [3], [b"x" * 4096] * 2])
def test_bad_answers_are_errors(answer: Any) -> None:
    with pytest.raises((ValueError, TypeError, RuntimeError)):
        core.scan(paging_of(CASE), 0x1000, lambda wanted: answer)


def test_paging_off_has_no_paging() -> None:
    with pytest.raises(ValueError):
        core.Paging(0, 0, 0, 0, 52)


def test_steps_outlive_their_paging() -> None:
    walk = core.walk(paging_of(CASE), 0x1000, 0x40403ABC, memory_of(CASE))
    steps = walk.steps
    del walk
    gc.collect()
    garbage = [core.Paging(0x80000001, 0, 0, 0, 52) for _ in range(200)]
    assert [step.level for step in steps] == [4, 3, 2, 1] and steps[3].entry_name == "PTE"
    assert len(garbage) == 200


def own_vdso() -> tuple[int, bytes]:
    """This process's own: its address and its pages."""
    with open("/proc/self/maps") as maps:
        found = [line.split("-", 1) for line in maps if line.rstrip().endswith("[vdso]")]
    if not found:
        pytest.skip("this process has no vDSO")
    start, end = int(found[0][0], 16), int(found[0][1].split()[0], 16)
    return start, ctypes.string_at(start, end - start)


def test_read_elf() -> None:
    start, image = own_vdso()
    elf = core.read_elf(image)
    assert (elf.abi, elf.base, elf.dynamic, elf.soname) == ("64-bit", 0, True, "linux-vdso.so.1")
    assert isinstance(elf.build_id, bytes) and elf.build_id in image and len(elf.build_id) == 20
    assert len(image) - 4096 < elf.size <= len(image)
    assert elf.problems == []

    functions = {function.name: function for function in elf.functions}
    vdso_time, alias = functions["__vdso_time"], functions["time"]
    assert vdso_time.version == "LINUX_2.6" and not vdso_time.weak and alias.weak
    assert (alias.offset, alias.size) == (vdso_time.offset, vdso_time.size)
    call = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_void_p)(start + vdso_time.offset)
    assert abs(call(None) - time.time()) < 5


def test_read_elf_of_a_part() -> None:
    _, image = own_vdso()
    elf = core.read_elf(image[:4096])
    assert elf.size == core.read_elf(image).size
    assert "its end is missing" in elf.problems and all(map(str.isprintable, elf.problems))


@pytest.mark.parametrize("image", [b"", b"\x7fELF", b"MZ" * 100, bytes(8192)])
def test_read_elf_of_something_else(image: bytes) -> None:
    with pytest.raises(ValueError, match="ELF"):
        core.read_elf(image)


def test_what_read_elf_gives_outlives_it() -> None:
    _, image = own_vdso()
    elf = core.read_elf(bytes(bytearray(image)))
    functions = elf.functions
    del elf
    gc.collect()
    assert all(function.name.isprintable() for function in functions) and functions


@pytest.mark.parametrize("name", ["unreadable", "malformed"])
def test_a_list_keeps_its_map_alive(name: str) -> None:
    paging = paging_of(CASE)
    made = core.make_map(core.scan(paging, 0x1000, lambda wanted: ["gone"] * len(wanted)))
    before = sys.getrefcount(made)
    gaps = getattr(made, name)
    assert sys.getrefcount(made) == before + 1
    assert len(gaps) == (name == "unreadable")
    del gaps
    assert sys.getrefcount(made) == before
