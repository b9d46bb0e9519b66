"""Every vector again, by pte in GDB: tables in a real QEMU's RAM, registers by the settings."""

from __future__ import annotations

import json
from typing import Any, Iterator

import pytest

import vectors
from gdbsession import ptmap_script
from machine import BareMachine
from vectors import Case

SETTINGS = ("cr0", "cr3", "cr4", "efer", "maxphyaddr", "pat", "pkru")


@pytest.fixture(scope="module")
def machine() -> Iterator[BareMachine]:
    with BareMachine(script=ptmap_script()) as machine:
        yield machine


def numbers(names: list[str]) -> list[int]:
    """The bits that pte names: "PS", "XD", "bits 1,5"."""
    return [
        bit
        for name in names
        for bit in {"PS": [7], "XD": [63]}.get(name) or map(int, name.split()[1].split(","))
    ]


class Explained:
    """The vectors' words for one address of `pte -json`."""

    def __init__(self, one: dict[str, Any]) -> None:
        self.one = one

    def answer(self) -> str:
        one = self.one
        end = one["steps"][-1] if one["steps"] else {}
        if one["outcome"] == "mapped":
            rights = one["rights"]
            words = [
                f"pa={one['pa']}",
                f"size={one['page_size']}",
                "user" if rights["user"] else "supervisor",
                "write" if rights["write"] else "read-only",
                "exec" if rights["exec"] else "no-exec",
                *["global"] * rights["global"],
                f"cache={one['cache']}",
                *([f"key={one['key']}"] if one.get("key") else []),
            ]
            return "mapped " + " ".join(words)
        if one["outcome"] == "unreadable":
            return f"unreadable {end['name'][:-1]} {end['table']}"
        if one["outcome"] == "reserved-bit":
            return f"reserved-bit {end['name']} {vectors.bits(numbers(end['reserved']))}"
        return one["outcome"] + (f" {end['name']}" if end else "")

    def path(self) -> str:
        return " ".join(f"{step['table']}[{step['index']}]" for step in self.one["steps"])

    def notes(self) -> set[str]:
        return {
            f"{step['name']} {vectors.bits(numbers(step['load']))}"
            for step in self.one["steps"]
            if "load" in step
        }

    def access(self, question: str) -> str:
        privilege, access = question.split()
        verdict = self.one["access"][privilege][access]
        if verdict["ok"] is None:
            return "unknown"
        if verdict["ok"]:
            return "ok"
        return " ".join(filter(None, (verdict["fault"], verdict.get("error_code"))))


@pytest.mark.parametrize("case", vectors.cases(), ids=str)
def test_vectors(machine: BareMachine, case: Case) -> None:
    gdb, pages = machine.session, case.pages()
    for at, page in pages.items():
        machine.write_phys(at, bytes(page))
    for name in SETTINGS:
        value = case.registers.get(name)
        unknown = value is None and name in ("pat", "pkru")
        gdb.run(f"set ptmap {name} {'auto' if unknown else case.register(name)}")
    gdb.run(f"set $eflags = {2 | case.register('ac') << 18}")
    asked = " ".join(hex(question.va) for question in case.questions)
    answers = json.loads(gdb.run(f"pte -json - {asked}"))["addresses"]
    for at in pages:
        machine.write_phys(at, bytes(4096))
    wrong = [
        difference
        for question, one in zip(case.questions, answers)
        for difference in vectors.differences(case, question, Explained(one))
    ]
    assert not wrong, "\n".join(wrong)
