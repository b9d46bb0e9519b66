"""Rules of `ptmap check` beside what the naive walker says of the same address space."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any, Callable, Iterator, Sequence

import compare
import naive
from gdbsession import GdbFailure, GdbSession
from machine import Registers
from tables import KIB4, MIB2, NX, RW, US


def check(gdb: GdbSession, where: Path, *rules: str) -> tuple[list[dict[str, Any]], str]:
    """What came of each, and the error, "" for none."""
    (where / "rules").write_text("".join(f"{rule}\n" for rule in rules))
    error = ""
    try:
        said = gdb.run(f"ptmap check -file {where}/rules -json {where}/json")
        assert said == ""
    except GdbFailure as failure:
        assert failure.kind == "error"
        error = str(failure)
        assert "\n" not in error and "Traceback" not in error
    document = json.loads((where / "json").read_text())
    assert document["schema"] == "ptmap/1" and document["kind"] == "check"
    assert document["ok"] is (error == "")
    assert [rule["rule"] for rule in document["rules"]] == list(rules)
    return document["rules"], error


class Oracle:
    """What rules come to, page by page, by the naive walker."""

    def __init__(self, walk: naive.Walk) -> None:
        self.pages = sorted(walk.pages)
        self.faults = sorted(
            half
            for fault in [*walk.unreadable, *walk.malformed]
            for half in self._halves(fault, walk.mode)
        )

    @staticmethod
    def _halves(fault: naive.Fault, mode: str) -> list[naive.Fault]:
        """An unreadable root is of both halves of a canonical space."""
        half = {"4-level": 1 << 47, "5-level": 1 << 56}.get(mode, 1 << 64)
        if fault.size <= half:
            return [fault]
        return [fault._replace(size=half), fault._replace(va=(1 << 64) - half, size=half)]

    @staticmethod
    def truth(attrs: str, page: naive.Page) -> bool | None:
        """Of and (+) before or (,)."""
        cache = compare.CACHE_NAMES[page.slot]
        size = compare.SIZE_NAMES[page.size]

        def word(text: str) -> bool | None:
            facts: dict[str, bool | None] = {
                "user": page.user,
                "supervisor": not page.user,
                "write": page.write,
                "read-only": not page.write,
                "exec": page.exec,
                "no-exec": not page.exec,
                "global": page.glob,
                "large": page.size > KIB4,
                size: True,
            }
            for kind in ("WB", "WC", "UC", "UC-"):
                facts[kind] = None if cache.startswith("PAT") else cache == kind
            if text in facts:
                return facts[text]
            if text.startswith("no-"):
                positive = word(text[3:])
                return None if positive is None else not positive
            return False  # another size

        def all_of(words: list[bool | None]) -> bool | None:
            return False if False in words else None if None in words else True

        terms = [all_of([word(one) for one in term.split("+")]) for term in attrs.split(",")]
        return True if True in terms else None if None in terms else False

    def within(self, things: Sequence[Any], first: int, last: int) -> list[Any]:
        return [one for one in things if one.va <= last and one.va + one.size > first]

    def none_of(self, attrs: str, first: int, last: int) -> tuple[str, int | None]:
        truths = [(self.truth(attrs, page), page) for page in self.within(self.pages, first, last)]
        for truth, page in truths:
            if truth:
                return "failed", max(page.va, first)
        doubt = any(truth is None for truth, _ in truths) or self.within(self.faults, first, last)
        return ("undecided", None) if doubt else ("ok", None)

    def all_of(self, attrs: str, first: int, last: int, holes: bool) -> tuple[str, int | None]:
        wrong = [
            max(page.va, first)
            for page in self.within(self.pages, first, last)
            if self.truth(attrs, page) is False
        ]
        if holes:
            at = first
            there = self.within(self.pages, first, last) + self.within(self.faults, first, last)
            for va, size in sorted((one.va, one.size) for one in there):
                if va > at:
                    break
                at = va + size
            if at <= last:
                wrong.append(at)
        if wrong:
            return "failed", min(wrong)
        truths = [self.truth(attrs, page) for page in self.within(self.pages, first, last)]
        doubt = None in truths or self.within(self.faults, first, last)
        return ("undecided", None) if doubt else ("ok", None)

    def mapped_times(self, pa: int, times: int) -> str:
        count = sum(page.pa <= pa < page.pa + page.size for page in self.pages)
        if count > times:
            return "failed"
        return "undecided" if self.faults else "ok" if count == times else "failed"


WORDS = ("user", "supervisor", "write", "read-only", "exec", "no-exec", "global", "no-global",
         "large", "4K", "2M", "4M", "no-4K", "WB", "no-WB", "UC", "UC-", "WC")  # fmt: skip


def random_rules(rng: random.Random, oracle: Oracle, top: int) -> Iterator[tuple[str, Any]]:
    """Rules about places where something is, or nearly, and what the oracle says."""
    extents = [(page.va, page.size) for page in oracle.pages]
    extents += [(fault.va, fault.size) for fault in oracle.faults]
    places = [0, top + 1, *(at for va, size in extents for at in (va, va + size))]

    def place() -> int:
        return min(top, max(0, rng.choice(places) + rng.choice((-KIB4, -1, 0, 0, 0, 1, KIB4))))

    while True:
        attrs = rng.choice("+,").join(rng.sample(WORDS, rng.choice((1, 1, 2))))
        words = set(attrs.replace("+", " ").split())
        opposite = {w if w[:3] != "no-" else w[3:] for w in words}
        if (
            len(opposite) < len(words)
            or {"user", "supervisor"} <= words
            or {"write", "read-only"} <= words
        ):
            continue
        first, last = sorted((place(), place()))
        if rng.random() < 0.5:
            last = min(top, first + rng.choice((0, KIB4 - 1, 2 * KIB4 - 1, MIB2 - 1)))
        end = f"{first:#x} {last + 1 if last < top else 0:#x}"
        spaced = attrs.replace("+", rng.choice((" ", "+", " + ")))
        forms: list[Callable[[], tuple[str, Any]]] = [
            lambda: (f"no {spaced}", oracle.none_of(attrs, 0, top)),
            lambda: (f"no {spaced} in {end}", oracle.none_of(attrs, first, last)),
            lambda: (f"only {spaced} in {end}", oracle.all_of(attrs, first, last, False)),
            lambda: (f"range {end} {spaced}", oracle.all_of(attrs, first, last, True)),
            lambda: (f"range {end} unmapped", oracle.none_of("user,supervisor", first, last)),
            lambda: (f"{first:#x} {spaced}", oracle.all_of(attrs, first, first, True)),
            lambda: (f"{first:#x} unmapped", oracle.none_of("user,supervisor", first, first)),
            lambda: (f"{last:#x} mapped", oracle.all_of("user,supervisor", last, last, True)),
        ]
        yield rng.choice(forms)()
        if oracle.pages:
            page, times = rng.choice(oracle.pages), rng.choice((0, 1, 1, 2, 3))
            pa = page.pa + rng.randrange(page.size)
            yield f"pa {pa:#x} mapped {times} times", (oracle.mapped_times(pa, times), None)


def against_naive(
    gdb: GdbSession,
    where: Path,
    read: naive.Read,
    registers: Registers,
    count: int,
    seed: Any,
    report: compare.Report,
    maxphyaddr: int = 52,
) -> Counter[str]:
    """COUNT rules about the space of these registers: result and address of each; of those that
    fail, the entry that is named. How often each result came."""
    cr3, cr4, efer = registers.cr3, registers.cr4, registers.efer
    oracle = Oracle(naive.walk(read, cr3, cr4, efer, maxphyaddr))
    mode = registers.mode
    top = (1 << 64) - 1 if mode in ("4-level", "5-level") else (1 << 32) - 1
    made = random_rules(random.Random(f"{mode} {seed}"), oracle, top)
    wanted = [next(made) for _ in range(count)]
    rules, _ = check(gdb, where, *(rule for rule, _ in wanted))
    for rule, (text, (result, va)) in zip(rules, wanted):
        report.pages_in_judge += 1
        report.pages_in_ptmap += 1
        if rule["result"] != result or va is not None and rule["va"] != hex(va):
            report.note(1, f"{seed}: {text}: {result} {va and hex(va)}, but {rule}")
        elif result == "failed" and rule["entry"] is not None:
            steps = list(naive.steps(read, int(rule["va"], 16), cr3, cr4, efer, maxphyaddr))
            named = (
                rule["entry"]["level"],
                int(rule["entry"]["entry_pa"], 16),
                int(rule["entry"]["raw"], 16),
            )
            says = rule["entry"]["says"]
            if right := {"US=0": US, "RW=0": RW}.get(says):  # the first that lacks it
                steps = [s for s in steps if not s[2] & right and (mode, s[0]) != ("pae", 3)]
                del steps[1:]
            elif says == "XD=1":
                steps = [s for s in steps if s[2] & NX][:1]
            if named != steps[-1]:
                report.note(1, f"{seed}: {text}: {steps[-1]}, but {rule}")
    report.spaces += 1
    return Counter(result for _, (result, _) in wanted)
