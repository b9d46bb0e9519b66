"""Labels: names of parts of an address space."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, replace
from enum import Enum
from typing import Iterable, Sequence


class Part(Enum):
    """What a label names, if code depends on it."""

    OTHER = 0
    DIRECT_MAP = 1  # the kernel's map of all memory
    LOWMEM = 2  # 32-bit Linux's: only of the memory that fits
    STACK = 3
    HEAP = 4
    VDSO = 5


@dataclass(frozen=True)
class Label:
    """A name for [start, end). `source`: read, deduced or documented (see linux/layout.py)."""

    start: int
    end: int
    name: str
    source: str
    part: Part = Part.OTHER


def layered(*layers: Iterable[Label]) -> list[Label]:
    """One list by rising address without overlaps: an earlier layer covers the later ones."""
    result: list[Label] = []
    for layer in layers:
        result = sorted(result + _uncovered(layer, result), key=lambda label: label.start)
    return result


def _uncovered(layer: Iterable[Label], covers: Sequence[Label]) -> list[Label]:
    """The parts of a layer outside `covers`. If the layer overlaps itself the first label wins."""
    found: list[Label] = []
    for label in sorted(layer, key=lambda label: label.start):
        at = max(label.start, found[-1].end) if found else label.start
        for cover in covers:
            if cover.end <= at:
                continue
            if cover.start >= label.end:
                break
            if at < cover.start:
                found.append(replace(label, start=at, end=cover.start))
            at = max(at, cover.end)
        if at < label.end:
            found.append(replace(label, start=at))
    return found


def at(labels: Sequence[Label], va: int) -> Label | None:
    """The label of an address. The list is one of layered(): sorted, without overlaps."""
    after = bisect.bisect_right(labels, va, key=lambda label: label.start)
    return labels[after - 1] if after and va < labels[after - 1].end else None


def to_pages(labels: Sequence[Label]) -> list[Label]:
    """Each label grown to whole pages, as far as its neighbours leave room: memory is mapped by
    pages."""
    grown = []
    for at, label in enumerate(labels):
        before = labels[at - 1].end if at else 0
        after = labels[at + 1].start if at + 1 < len(labels) else 1 << 64
        start = label.start & ~0xFFF
        end = -(-label.end // 0x1000) * 0x1000
        grown.append(
            replace(
                label,
                start=start if start >= -(-before // 0x1000) * 0x1000 else label.start,
                end=min(end, after),
            )
        )
    return grown
