"""Comparisons with a judge, and the one form their results have.

A subject (ptmap's JSON, or the naive walker) is compared as runs: maximal stretches of equal
attributes and contiguous physical address. So a million pages take seconds.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, Iterator, NamedTuple, Sequence

import judges
import naive
from judges import DEFECTS, MemRange, MemoryRegion, TlbPage

# The memory types that a slot of the PAT has both at power-on and under Linux; else the slot.
CACHE_NAMES = ("WB", "PAT1", "UC-", "UC", "WB", "PAT5", "UC-", "PAT7")
_LOW_BITS = {"WB": 0, "PAT1": 1, "PAT5": 1, "UC-": 2, "UC": 3, "PAT7": 3}  # PCD, PWT
SIZE_NAMES = {4 << 10: "4K", 2 << 20: "2M", 4 << 20: "4M", 1 << 30: "1G"}
SIZES = {name: size for size, name in SIZE_NAMES.items()}

recorded: list[Report] = []  # what the end of a test run prints


@dataclass
class Report:
    """What a comparison found. Pages are leaves, by address; with info mem, 4 KiB of address."""

    judge: str
    pages_in_judge: int = 0
    pages_in_ptmap: int = 0
    differing: int = 0
    excepted: Counter[str] = field(default_factory=Counter)  # pages, by a defect of the judge
    guest: str = ""
    subject: str = "ptmap"  # or "naive", where judges are proved against each other
    spaces: int = 1
    unit: str = "pages"
    differences: list[str] = field(default_factory=list)  # the first of them, in words

    def __str__(self) -> str:
        guest = f"{self.guest}: " if self.guest else ""
        spaces = f" in {self.spaces} spaces" if self.spaces > 1 else ""
        why = ", ".join(f"{defect}: {pages}" for defect, pages in sorted(self.excepted.items()))
        return (
            f"{guest}{self.judge} {self.pages_in_judge} {self.unit}{spaces}, {self.subject} "
            f"{self.pages_in_ptmap}, {self.differing} differ, {self.excepted.total()} excepted"
            + (f" ({why})" if why else "")
        )

    def __iadd__(self, other: Report) -> Report:
        self.pages_in_judge += other.pages_in_judge
        self.pages_in_ptmap += other.pages_in_ptmap
        self.differing += other.differing
        self.excepted += other.excepted
        self.spaces += other.spaces
        self.differences = (self.differences + other.differences)[:10]
        return self

    def note(self, pages: int, what: str) -> None:
        self.differing += pages
        if len(self.differences) < 10:
            self.differences.append(what)

    def check(self, *, empty_ok: bool = False) -> None:
        """Raises AssertionError unless the two agree, about something, by known defects only."""
        unknown = set(self.excepted) - set(DEFECTS)
        assert not unknown, f"excepted without a named defect: {unknown}"
        assert empty_ok or self.pages_in_judge, f"the judge has no pages: {self}"
        assert not self.differing, "\n  ".join([str(self), *self.differences])

    def record(self) -> None:
        """Have the end of the test run print it."""
        recorded.append(self)


def total(judge: str, guest: str, subject: str = "ptmap", unit: str = "pages") -> Report:
    """An empty report to add others to."""
    return Report(judge, guest=guest, subject=subject, spaces=0, unit=unit)


class Run(NamedTuple):
    va: int
    size: int
    pa: int | None
    attributes: Any  # compared by ==
    sizes: frozenset[int] = frozenset((4096,))  # of the pages in it

    @property
    def end(self) -> int:
        return self.va + self.size


@dataclass
class Subject:
    """A whole map, as what is compared: attributes are (user, write, exec, global, cache name)."""

    name: str
    runs: list[Run]
    pages: Counter[int]  # leaves by size

    @property
    def page_count(self) -> int:
        return self.pages.total()


class Exception_(NamedTuple):
    """A range that a judge gets wrong, by a defect of DEFECTS."""

    va: int
    size: int
    defect: str


def merged(runs: Iterable[Run], *, by_pa: bool = True) -> Iterator[Run]:
    """Maximal runs out of adjacent ones. Without by_pa, pa is None if it jumps."""
    va, size, pa, attributes, sizes = 0, 0, None, None, frozenset[int]()
    for run in runs:
        contiguous = pa is not None and run.pa == pa + size
        if (
            size
            and run.va == va + size
            and run.attributes == attributes
            and (contiguous or not by_pa or pa is None and run.pa is None)
        ):
            size += run.size
            pa = pa if contiguous else None
            sizes = sizes if run.sizes <= sizes else sizes | run.sizes
        else:
            if size:
                yield Run(va, size, pa, attributes, sizes)
            va, size, pa, attributes, sizes = run
    if size:
        yield Run(va, size, pa, attributes, sizes)


_ONE_SIZE = {size: frozenset((size,)) for size in SIZE_NAMES}


def naive_runs(walk: naive.Walk, cache_names: Sequence[str] = CACHE_NAMES) -> Iterator[Run]:
    for va, pa, size, user, write, exec_, glob, slot, _ in walk.pages:
        yield Run(va, size, pa, (user, write, exec_, glob, cache_names[slot]), _ONE_SIZE[size])


def from_naive(walk: naive.Walk, cache_names: Sequence[str] = CACHE_NAMES) -> Subject:
    return Subject(
        "naive",
        list(merged(naive_runs(walk, cache_names))),
        Counter(page.size for page in walk.pages),
    )


def json_runs(document: dict[str, Any]) -> list[Run]:
    """The ranges as ptmap wrote them."""
    return [
        Run(
            int(r["va"], 16),
            int(r["size"], 16),
            None if r["pa"] is None else int(r["pa"], 16),
            (r["user"], r["write"], r["exec"], r["global"], r["cache"]),
            frozenset(SIZES[name] for name in r["page_sizes"]),
        )
        for r in document["ranges"]
    ]


def from_json(document: dict[str, Any]) -> Subject:
    """From `ptmap -phys -json`, whole."""
    runs = json_runs(document)
    for a, b in zip(runs, runs[1:]):
        assert a.end <= b.va, f"ranges overlap or are out of order at {b.va:#x}"
    return Subject(
        "ptmap",
        list(merged(runs)),
        Counter({SIZES[name]: n for name, n in document["pages"].items() if n}),
    )


# Comparing


def without(runs: Iterable[Run], holes: Sequence[Exception_]) -> Iterator[Run]:
    """What of the runs lies outside the holes. Both in address order."""
    at = 0
    for run in runs:
        while at < len(holes) and holes[at].va + holes[at].size <= run.va:
            at += 1
        va, next_hole = run.va, at
        while next_hole < len(holes) and holes[next_hole].va < run.end:
            hole = holes[next_hole]
            if hole.va > va:
                yield _part(run, va, hole.va)
            va = max(va, hole.va + hole.size)
            next_hole += 1
        if va < run.end:
            yield _part(run, va, run.end)


def _part(run: Run, va: int, end: int) -> Run:
    if va == run.va and end == run.end:
        return run
    pa = None if run.pa is None else run.pa + va - run.va
    return run._replace(va=va, size=end - va, pa=pa)


def overlay(left: Sequence[Run], right: Sequence[Run]) -> Iterator[tuple[Run | None, Run | None]]:
    """Both maps cut at each other's edges: pairs of equal extent, None if one has nothing."""
    i = j = 0
    va = 0
    while i < len(left) or j < len(right):
        a = left[i] if i < len(left) else None
        b = right[j] if j < len(right) else None
        if a and b and a[0] == b[0] >= va and a[1] == b[1]:  # the rule, so worth a short cut
            yield a, b
            va, i, j = a[0] + a[1], i + 1, j + 1
            continue
        starts = [max(run.va, va) for run in (a, b) if run]
        va = min(starts)
        in_a, in_b = a is not None and a.va <= va, b is not None and b.va <= va
        ends = [run.end if inside else run.va for run, inside in ((a, in_a), (b, in_b)) if run]
        end = min(ends)
        yield (_part(a, va, end) if a and in_a else None, _part(b, va, end) if b and in_b else None)
        va = end
        i += a is not None and a.end <= va
        j += b is not None and b.end <= va


class _PageCounter:
    """How many of a judge's pages lie in stretches given in address order, each counted once."""

    def __init__(self, starts: list[int]) -> None:
        self.starts = starts
        self.counted = 0

    def __call__(self, va: int, end: int) -> int:
        first = max(bisect_right(self.starts, va) - 1, self.counted)
        last = bisect_left(self.starts, end)
        self.counted = max(self.counted, last)
        return max(0, last - first)


def _compare(
    report: Report,
    judge: Sequence[Run],
    subject: Sequence[Run],
    starts: list[int] | None,
    same: Callable[[Run, Run], bool],
    excuse: Callable[[Run], str | None] = lambda run: None,
) -> None:
    """Fill in differing and excepted. `starts`: the judge's pages, None for 4 KiB each."""
    different, excused = _PageCounter(starts or []), _PageCounter(starts or [])

    def pages(counter: _PageCounter, run: Run) -> int:
        return counter(run.va, run.end) if starts is not None else run.size // 4096

    for a, b in overlay(judge, subject):
        if a and b:
            if not same(a, b):
                report.note(
                    pages(different, a),
                    f"{report.judge} {_text(a)}, " f"{report.subject} {_text(b)}",
                )
            elif defect := excuse(b):
                report.excepted[defect] += pages(excused, a)
        elif a:
            report.note(pages(different, a), f"only {report.judge} has {_text(a)}")
        elif b:
            report.note(max(1, b.size // min(b.sizes)), f"only {report.subject} has {_text(b)}")


def _text(run: Run) -> str:
    pa = "?" if run.pa is None else f"{run.pa:#x}"
    return f"{run.va:#x}+{run.size:#x} -> {pa} {run.attributes}"


def _split(
    runs: Iterable[Run], exceptions: Sequence[Exception_], report: Report
) -> tuple[list[Run], list[Run]]:
    """A judge's pages outside the exceptions, and those that lie in one, counted in the report."""
    kept, dropped = [], []
    starts = [e.va for e in exceptions]
    for run in runs:
        at = bisect_right(starts, run.va) - 1
        if at >= 0 and run.va < exceptions[at].va + exceptions[at].size:
            report.excepted[exceptions[at].defect] += 1
            dropped.append(run)
        else:
            kept.append(run)
    return kept, dropped


def _same_pages(report: Report, judge: Counter[int], subject: Counter[int]) -> None:
    if judge != subject and not report.differing:
        wrong = sum((judge - subject).values()) + sum((subject - judge).values())
        report.note(wrong, f"pages by size: {report.judge} {dict(judge)}, {dict(subject)}")


def exceptions_by(walk: naive.Walk, regions: Sequence[MemoryRegion] = ()) -> list[Exception_]:
    """Where QEMU's walkers go wrong in a space: by the naive walker, never by the subject."""
    far = [note for note in walk.notes if note.bits & naive.bits(49, 12)]
    found = [Exception_(note.va, 1 << 30, "pdpte-bits") for note in far]
    found += [
        Exception_(f.va, f.size, "reserved-ignored")
        for f in walk.malformed
        if not any(note.va <= f.va < note.va + (1 << 30) for note in far)
    ]
    for fault in walk.unreadable:
        if any(note.va <= fault.va < note.va + (1 << 30) for note in far):
            continue
        if fault.table >> 50:
            found.append(Exception_(fault.va, fault.size, "pa-bits-50-51"))
        elif any(r.start <= fault.table < r.start + r.size for r in regions if r.kind == "i/o"):
            found.append(Exception_(fault.va, fault.size, "tables-in-mmio"))
    # A bad root is a hole in both halves.
    for whole in [e for e in found if e.size == 1 << judges.va_bits(walk.mode) > 1 << 32]:
        found.append(Exception_((1 << 64) - whole.size // 2, whole.size // 2, whole.defect))
    return sorted(found)


def tlb_address(pa: int, mode: str) -> int:
    """What info tlb makes of a physical address."""
    return pa & {"32-bit": 0xFFFFFFFF, "pae": -1}.get(mode, judges.TLB_ADDRESS_BITS)


def with_tlb(
    subject: Subject,
    pages: Sequence[TlbPage],
    *,
    mode: str,
    pge: bool,
    nxe: bool = True,
    exceptions: Sequence[Exception_] = (),
    guest: str = "",
) -> Report:
    """Every page of info tlb: address, size, frame, G, PCD, PWT. Of rights info tlb knows the
    leaf's own only: what the subject grants, the leaf must grant."""
    report = Report("info tlb", len(pages), subject.page_count, guest=guest, subject=subject.name)
    singles = (
        Run(va, size, pa, bits & (naive.XD | 0x11E), _ONE_SIZE[size])
        for va, pa, size, bits in pages
    )
    kept, _ = _split(singles, exceptions, report) if exceptions else (list(singles), [])
    ours = list(without(subject.runs, exceptions))

    def same(theirs: Run, mine: Run) -> bool:
        user, write, exec_, glob, cache = mine.attributes
        bits = theirs.attributes
        return (
            mine.pa is not None
            and theirs.pa == tlb_address(mine.pa, mode)
            and glob == (pge and bool(bits & naive.G))
            and _LOW_BITS[cache] == bits >> 3 & 3
            and (not user or bits & naive.US != 0)
            and (not write or bits & naive.RW != 0)
            and (not exec_ or not (nxe and bits & naive.XD))
        )

    def excuse(mine: Run) -> str | None:
        if mine.pa is None or tlb_address(mine.pa, mode) == mine.pa:
            return None
        return "no-pse36" if mode == "32-bit" else "pa-bits-50-51"

    _compare(report, list(merged(kept)), ours, [run.va for run in kept], same, excuse)
    if sum(run.size for run in ours) == sum(run.size for run in subject.runs):
        _same_pages(report, Counter(min(run.sizes) for run in kept), subject.pages)
    return report


def with_mem(
    subject: Subject,
    ranges: Sequence[MemRange],
    *,
    exceptions: Sequence[Exception_] = (),
    guest: str = "",
    judge: str = "info mem",
) -> Report:
    """info mem's rights, over all levels, for every 4 KiB."""
    theirs = [Run(r.va, r.size, None, (r.user, r.write)) for r in ranges]
    mine = list(
        merged(
            (run._replace(pa=None, attributes=run.attributes[:2]) for run in subject.runs),
            by_pa=False,
        )
    )
    report = Report(
        judge,
        sum(r.size for r in ranges) // 4096,
        sum(run.size for run in mine) // 4096,
        guest=guest,
        subject=subject.name,
    )
    kept = list(without(theirs, exceptions))
    if exceptions:
        for hole in exceptions:
            lost = sum(
                min(run.end, hole.va + hole.size) - max(run.va, hole.va)
                for run in theirs
                if run.va < hole.va + hole.size and hole.va < run.end
            )
            if lost:
                report.excepted[hole.defect] += lost // 4096
    _compare(
        report,
        kept,
        list(without(mine, exceptions)),
        None,
        lambda a, b: a.attributes == b.attributes,
    )
    return report


def with_naive(
    document: dict[str, Any],
    walk: naive.Walk,
    *,
    phys: bool = True,
    guest: str = "",
    cache_names: Sequence[str] = CACHE_NAMES,
) -> Report:
    """Everything `ptmap -json` says, against the naive walker, without exceptions: the pages, the
    ranges exactly as they must be cut, what is unreadable and malformed. With -phys or not."""
    truth = from_naive(walk, cache_names)
    report = Report("naive", len(walk.pages), sum(document["pages"].values()), guest=guest)
    written = json_runs(document)
    expected = truth.runs if phys else list(merged(truth.runs, by_pa=False))
    starts = [page.va for page in walk.pages]
    _compare(
        report,
        expected,
        written,
        starts,
        lambda a, b: a.attributes == b.attributes
        and (a.pa == b.pa or not phys and None in (a.pa, b.pa)),
    )
    if written != expected and not report.differing:
        wrong = [(a, b) for a, b in zip(expected, written) if a != b]
        what = f"{wrong[0][0]}, ptmap {wrong[0][1]}" if wrong else "their number"
        report.note(abs(len(expected) - len(written)) or len(wrong), f"ranges differ: naive {what}")
    _same_pages(
        report, truth.pages, Counter({SIZES[name]: n for name, n in document["pages"].items() if n})
    )
    for key, faults in (("unreadable", walk.unreadable), ("malformed", walk.malformed)):
        said = {
            naive.Fault(int(f["va"], 16), int(f["size"], 16), f["level"], int(f["table"], 16))
            for f in document[key]
        }
        for fault in sorted(said ^ set(faults)):
            report.note(
                1,
                f"{key}, {'only naive' if fault in faults else 'only ptmap'}: "
                f"level {fault.level} at {fault.va:#x}, table {fault.table:#x}",
            )
    for key, value in (
        ("mode", walk.mode),
        ("root", f"{walk.root:#x}"),
        ("tables", len(walk.tables)),
    ):
        if document[key] != value:
            report.note(1, f"{key}: naive {value}, ptmap {document[key]}")
    if document["complete"] and (walk.unreadable or walk.malformed):
        report.note(1, "complete, though something is unreadable or malformed")
    return report


# The naive walker itself against QEMU, every bit of every leaf


def leaves_with_tlb(
    walk: naive.Walk,
    pages: Sequence[TlbPage],
    *,
    exceptions: Sequence[Exception_] = (),
    guest: str = "",
) -> Report:
    report = Report("info tlb", len(pages), len(walk.pages), guest=guest, subject="naive")
    kept, _ = _split((Run(p.va, p.size, p.pa, p.bits) for p in pages), exceptions, report)
    shown = naive.XD | 0x1FE
    expected = set()
    pages_outside, _ = _split(
        (Run(p.va, p.size, p.pa, p) for p in walk.pages), exceptions, Report("")
    )
    for page in (run.attributes for run in pages_outside):
        address = tlb_address(page.pa, walk.mode)
        if address != page.pa:
            report.excepted["no-pse36" if walk.mode == "32-bit" else "pa-bits-50-51"] += 1
        mask = shown & ~naive.PS if page.size == 4096 else shown
        expected.add(Run(page.va, page.size, address, page.entry & mask))
    said = set(kept)
    for run in sorted(said ^ expected):
        report.note(1, f"only {'info tlb' if run in said else 'naive'}: {_text(run)}")
    return report
