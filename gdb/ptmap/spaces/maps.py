"""Scans and maps of a space, within the limits of its reader."""

from __future__ import annotations

from bisect import bisect_left
from operator import attrgetter
from typing import TYPE_CHECKING, Sequence

from ..base import native
from ..base.interval import Interval
from . import walks
from .address_space import AddressSpace

if TYPE_CHECKING:
    from .._core import Condition, Map, Range, Tables

_VA = attrgetter("va")


def scan(space: AddressSpace, first: int, last: int) -> Tables:
    """Reads the tables for the offsets FIRST to LAST."""
    tables = walks.scan(space, first, last)
    if first == 0 and last == space.paging.last_offset:
        space.reader.remember_tables(space, tables)
    return tables


def flatten(
    space: AddressSpace,
    tables: Tables,
    first: int,
    last: int,
    *,
    split_physical: bool = False,
    split_sizes: bool = False,
    as_: str | None = None,
    wanted: Condition | None = None,
    ram: Sequence[Interval] = (),
) -> Map:
    """A map of these offsets; see _core.make_map. A WANTED about page sizes splits by them."""
    return native.core.make_map(
        tables,
        first,
        last,
        split_physical=split_physical,
        split_sizes=split_sizes or wanted is not None and wanted.names_page_size,
        pat=space.reader.pat,
        as_=as_,
        ac=space.ac,
        wanted=wanted,
        max_ranges=space.reader.max_ranges,
        ram=ram,
        pulse=space.reader.progress.flattening,
    )


def exact(space: AddressSpace, tables: Tables) -> Map:
    """A map of the whole space: each range has contiguous frames and one page size. Two such maps
    can be compared page by page."""
    last = space.paging.last_offset
    return flatten(space, tables, 0, last, split_physical=True, split_sizes=True)


def pa(one: Range) -> int:
    """Physical address of a range. The map must be one with split_physical."""
    assert one.pa is not None
    return one.pa


def overlapping(ranges: Sequence[Range], interval: Interval) -> Sequence[Range]:
    """Those of sorted ranges that have an address of the interval."""
    first = bisect_left(ranges, interval.first, key=_VA)
    if first and ranges[first - 1].va + ranges[first - 1].size > interval.first:
        first -= 1
    return ranges[first : bisect_left(ranges, interval.end, lo=first, key=_VA)]


def beginning_in(ranges: Sequence[Range], start: int, end: int) -> Sequence[Range]:
    """Those of sorted ranges that begin between START and END, which is exclusive."""
    first = bisect_left(ranges, start, key=_VA)
    return ranges[first : bisect_left(ranges, end, lo=first, key=_VA)]


def find(space: AddressSpace, tables: Tables, first: int, last: int) -> Map:
    """A map of the pages that map the physical bytes FIRST to LAST, each range cut to them. Other
    pages make no ranges, so they do not count against the limit."""
    return native.core.find(
        tables,
        first,
        last,
        pat=space.reader.pat,
        max_ranges=space.reader.max_ranges,
        pulse=space.reader.progress.flattening,
    )
