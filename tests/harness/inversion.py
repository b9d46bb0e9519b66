"""The naive walker's pages by physical address: what maps each frame, for `ptmap find`."""

from __future__ import annotations

import json
from typing import Any, Iterator, NamedTuple, Sequence

import compare
import naive
from compare import Report
from gdbsession import GdbSession


class Mapping(NamedTuple):
    va: int
    user: bool
    write: bool
    exec: bool
    glob: bool
    cache: str
    size: str  # of the page


class Stretch(NamedTuple):
    """Physical memory in which no page begins or ends."""

    pa: int
    size: int
    pages: frozenset[naive.Page]

    def mappings(self) -> set[Mapping]:
        return {
            Mapping(
                p.va + self.pa - p.pa,
                p.user,
                p.write,
                p.exec,
                p.glob,
                compare.CACHE_NAMES[p.slot],
                compare.SIZE_NAMES[p.size],
            )
            for p in self.pages
        }

    def conflicts(self) -> list[str]:
        found = []
        if any(p.write for p in self.pages) and any(p.exec for p in self.pages):
            found.append("write+exec")
        if {p.user for p in self.pages} == {True, False}:
            found.append("user+kernel")
        return found


def stretches(pages: Sequence[naive.Page]) -> Iterator[Stretch]:
    """All physical memory that is mapped."""
    ends: dict[int, tuple[list[naive.Page], list[naive.Page]]] = {}
    for page in pages:
        ends.setdefault(page.pa, ([], []))[0].append(page)
        ends.setdefault(page.pa + page.size, ([], []))[1].append(page)
    here: set[naive.Page] = set()
    at = 0
    for pa in sorted(ends):
        if here:
            yield Stretch(at, pa - at, frozenset(here))
        begin, end = ends[pa]
        here.difference_update(end)
        here.update(begin)
        at = pa
    assert not here


_FIND = """
from ptmap.spaces import maps
from ptmap.context import selection
from ptmap.machine import target
from ptmap.machine.sources import choose
choose.new_command()
target.require_stopped()
space = selection.resolve({{}})
scanned = maps.scan(space, 0, space.paging.last_offset)
whole = maps.exact(space, scanned)
from ptmap.base.native import core
names = ("4K", "2M", "4M", "1G")
def said(r):
    sizes = [name for bit, name in enumerate(names) if r.page_sizes >> bit & 1]
    return [r.va, r.user, r.write, r.exec, r.global_, r.cache, ",".join(sizes), r.size, r.pa]
result = []
for first, last in {asked}:
    found = [said(r) for r in maps.find(space, scanned, first, last)]
    assert found == [said(r) for r in core.find(whole, first, last)], (first, last)
    result.append(found)
"""


def with_find(session: GdbSession, walk: naive.Walk, *, guest: str = "") -> list[Report]:
    """Of the current space: every frame as found by itself, and by -aliases."""
    judged = list(stretches(walk.pages))
    report = Report("naive, inverted, find", guest=guest, unit="frames")
    at_once = 2000
    for begin in range(0, len(judged), at_once):
        part = judged[begin : begin + at_once]
        asked = [(s.pa, s.pa + s.size - 1) for s in part]
        for stretch, answers in zip(part, session.python(_FIND.format(asked=asked))):
            report.pages_in_judge += stretch.size >> 12
            said = {Mapping(*answer[:7]) for answer in answers}
            whole = all(answer[7:] == [stretch.size, stretch.pa] for answer in answers)
            report.pages_in_ptmap += (stretch.size >> 12) * bool(answers)
            if said != stretch.mappings() or len(said) != len(answers) or not whole:
                report.note(
                    stretch.size >> 12,
                    f"{stretch.pa:#x}: naive {stretch.mappings()}, " f"ptmap {answers}"[:1000],
                )
    return [report, _with_aliases(session, judged, guest)]


def _with_aliases(session: GdbSession, judged: list[Stretch], guest: str) -> Report:
    report = Report("naive, inverted, -aliases", guest=guest, unit="frames")
    document: dict[str, Any] = json.loads(session.run("ptmap find -aliases -json -"))
    rows = [(int(row["pa"], 16), int(row["size"], 16), row) for row in document["aliases"]]
    frames = sum(size >> 12 for _, size, _ in rows)
    report.pages_in_ptmap = frames
    totals = {"write+exec": 0, "user+kernel": 0}
    at = 0
    for stretch in judged:
        conflicts = stretch.conflicts()
        if not conflicts:
            continue
        for conflict in conflicts:
            totals[conflict] += stretch.size
        report.pages_in_judge += stretch.size >> 12
        while at < len(rows) and rows[at][0] + rows[at][1] <= stretch.pa:
            at += 1
        pa, size, row = rows[at] if at < len(rows) else (0, 0, None)
        if row is None or not pa <= stretch.pa <= stretch.pa + stretch.size <= pa + size:
            report.note(stretch.size >> 12, f"{stretch.pa:#x}: not there")
            continue
        said = {int(one["va"], 16) + stretch.pa - pa for one in row["mappings"]}
        known = {mapping.va for mapping in stretch.mappings()}
        few = row["count"] <= 4
        in_one = any(p.write and p.exec for p in stretch.pages)
        if not (
            row["conflicts"] == conflicts
            and row["count"] == len(known)
            and row["write_exec_in_one"] == in_one
            and (said == known if few else said <= known)
        ):
            report.note(
                stretch.size >> 12,
                f"{stretch.pa:#x}: naive {conflicts} {stretch.pages}, " f"ptmap {row}"[:1000],
            )
    if report.pages_in_judge != frames:
        report.note(abs(report.pages_in_judge - frames), "more or fewer frames")
    said_totals = {name: int(total["bytes"], 16) for name, total in document["totals"].items()}
    if said_totals != totals:
        report.note(1, f"totals: naive {totals}, ptmap {said_totals}")
    return report
