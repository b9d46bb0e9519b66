"""The kernel's own dump of its page tables as a judge: CONFIG_PTDUMP_DEBUGFS, as a test guest
prints it on its console (init.c, dump=1), for 32 and 64 bits.

Seen in Linux 6.1, arch/x86/mm/dump_pagetables.c.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Callable, NamedTuple

import compare
import judges
from compare import Exception_, Report, Run

judges.DEFECTS.update(
    {
        "ptdump-leaf-nx": "the kernel's dump prints the leaf's own NX; the NX that KPTI sets on "
        "the user entries of the kernel's root only cuts its ranges",
        "ptdump-lines": "the kernel's dump stops after 16 lines of the ESPfix area and only says "
        "how many more there are",
    }
)

JUDGE = "kernel's ptdump"
_LINE = re.compile(r"0x([0-9a-f]{8,16})-0x([0-9a-f]{8,16}) +\d+[BKMGTPE] (.*)(pgd|p4d|pud|pmd|pte)")
_MARKER = re.compile(r"---\[ (.*) \]---")
_SKIPPED = re.compile(r"\.\.\. (\d+) entr(?:y|ies) skipped \.\.\.")
_PAGE_SIZE = {"pte": 4 << 10, "pmd": 2 << 20, "pud": 1 << 30}


class DumpRange(NamedTuple):
    va: int
    size: int
    user: bool  # US, RW, NX, G: the leaf's own bits
    write: bool
    exec: bool
    glob: bool
    slot: int  # index into the PAT, 0..7
    page_size: int


@dataclass
class Dump:
    ranges: list[DumpRange] = field(default_factory=list)  # what is present
    # Name: where the first range at or after the marker starts. A hole across it hides its start,
    # and of two markers in one hole the second comes a range late.
    markers: dict[str, int] = field(default_factory=dict)
    left_out: list[tuple[int, int, int]] = field(default_factory=list)  # address, size, lines


def dumps(console: str) -> dict[str, Dump]:
    """Every dump on a guest's console, by its file's name: kernel, current_kernel, current_user."""
    found = re.findall(r"^init: begin (\S+)\n(.*?)^init: end \1\n", console, flags=re.M | re.S)
    return {path.rpartition("/")[2]: parse(text) for path, text in found}


def parse(text: str) -> Dump:
    dump = Dump()
    names: list[str] = []  # markers whose address the next line tells
    end = skipped = 0
    for line in text.splitlines():
        if marker := _MARKER.fullmatch(line):
            names.append(marker.group(1))
        elif more := _SKIPPED.fullmatch(line.strip()):
            skipped = int(more.group(1))
        elif row := _LINE.fullmatch(line):
            start = int(row.group(1), 16)
            if start != end:
                if not skipped:
                    raise ValueError(f"the dump leaves out {end:#x} to {start:#x} without a word")
                dump.left_out.append((end, start - end, skipped))
            for name in names:
                dump.markers[name] = start
            names, skipped = [], 0
            # Where the space ends the last address is 0.
            end = int(row.group(2), 16) or 1 << 4 * len(row.group(2))
            flags = row.group(3).split()
            if flags:
                dump.ranges.append(_range(start, end, flags, row.group(4)))
        else:
            raise ValueError(f"not a line of the kernel's dump: {line!r}")
    return dump


def _range(start: int, end: int, flags: list[str], level: str) -> DumpRange:
    if level not in _PAGE_SIZE or (level != "pte") != ("PSE" in flags):
        raise ValueError(f"a {level} without PSE is no page: {start:#x} {flags}")
    slot = ("PAT" in flags) << 2 | ("PCD" in flags) << 1 | ("PWT" in flags)
    return DumpRange(
        start,
        end - start,
        "USR" in flags,
        "RW" in flags,
        "x" in flags,
        "GLB" in flags,
        slot,
        _PAGE_SIZE[level],
    )


def with_dump(
    document: dict[str, Any], dump: Dump, *, nx_above: Callable[[int], bool], guest: str = ""
) -> Report:
    """Every page of `ptmap -phys -json` against the dump: rights, global, memory type, size.

    nx_above(va) says whether the root's entry for this address has NX, read by another than the
    subject: the dump does not show it.
    """
    subject = compare.from_json(document)
    report = Report(JUDGE, guest=guest)
    judge = [
        Run(
            r.va,
            r.size,
            None,
            (r.user, r.write, r.exec, r.glob, compare.CACHE_NAMES[r.slot]),
            frozenset((r.page_size,)),
        )
        for r in dump.ranges
    ]
    by_size: Counter[int] = Counter()
    for run in judge:
        by_size[min(run.sizes)] += run.size // min(run.sizes)
    report.pages_in_judge, report.pages_in_ptmap = by_size.total(), subject.page_count

    holes = [Exception_(va, size, "ptdump-lines") for va, size, _ in dump.left_out]
    mine = list(compare.without(subject.runs, holes))
    lost = Counter(subject.pages)
    lost.subtract(by_size)
    outside = sum(run.size for run in subject.runs) - sum(run.size for run in mine)
    if outside:
        report.excepted["ptdump-lines"] += outside // 4096  # the ESPfix area has small pages only
        lost[4096] -= outside // 4096
    for va, size, lines in dump.left_out:
        # The area is single pages with holes between them, and both are lines; a hole that ends
        # with its table is two.
        shown = 2 * sum(va <= run.va < va + size for run in subject.runs)
        if not shown <= lines <= shown + 8:
            report.note(abs(lines - shown), f"{lines} lines left out at {va:#x}, ptmap has {shown}")

    for theirs, ours in compare.overlay(judge, mine):
        if theirs is None:
            assert ours is not None
            report.note(max(1, ours.size // min(ours.sizes)), f"only ptmap has {_text(ours)}")
            continue
        pages = max(1, theirs.size // min(theirs.sizes))
        if ours is None:
            report.note(pages, f"only {JUDGE} has {_text(theirs)}")
        elif theirs.attributes == ours.attributes and theirs.sizes <= ours.sizes:
            continue
        elif _but_nx(theirs) == ours.attributes and nx_above(theirs.va):
            report.excepted["ptdump-leaf-nx"] += pages
        else:
            report.note(pages, f"{JUDGE} {_text(theirs)}, ptmap {_text(ours)}")
    if any(lost.values()) and not report.differing:
        report.note(
            sum(abs(pages) for pages in lost.values()),
            f"pages by size: {JUDGE} {dict(by_size)}, ptmap {dict(subject.pages)}",
        )
    return report


def _but_nx(run: Run) -> tuple[bool, bool, bool, bool, str]:
    user, write, _, glob, cache = run.attributes
    return user, write, False, glob, cache


def _text(run: Run) -> str:
    sizes = "+".join(compare.SIZE_NAMES[size] for size in sorted(run.sizes))
    return f"{run.va:#x}+{run.size:#x} {run.attributes} {sizes}"
