"""Scans and maps of a space, within the limits of its reader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Sequence

from ..base import native
from . import walks
from .address_space import AddressSpace

if TYPE_CHECKING:
    from .._core import Condition, Map, Range, Tables


def scan(space: AddressSpace, first: int, last: int) -> Tables:
    """Reads the tables for the offsets FIRST to LAST."""
    scanned = walks.scan(space, first, last)
    if first == 0 and last == space.paging.last_offset:
        space.reader.scanned(space, scanned)
    return scanned


def flatten(
    space: AddressSpace,
    scanned: Tables,
    first: int,
    last: int,
    *,
    split_physical: bool = False,
    split_sizes: bool = False,
    as_: str | None = None,
    wanted: Condition | None = None,
    ram: Sequence[tuple[int, int]] = (),
) -> Map:
    """A map of these offsets; see _core.make_map. A WANTED about page sizes splits by them."""
    return native.core.make_map(
        scanned,
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


def exact(space: AddressSpace, scanned: Tables) -> Map:
    """A map of the whole space: each range has contiguous frames and one page size. Two such maps
    can be compared page by page."""
    last = space.paging.last_offset
    return flatten(space, scanned, 0, last, split_physical=True, split_sizes=True)


def pa(one: Range) -> int:
    """Physical address of a range. The map must be one with split_physical."""
    assert one.pa is not None
    return one.pa


def find(space: AddressSpace, scanned: Tables, first: int, last: int) -> Map:
    """A map of the pages that map the physical bytes FIRST to LAST, each range cut to them. Other
    pages make no ranges, so they do not count against the limit."""
    return native.core.find(
        scanned,
        first,
        last,
        pat=space.reader.pat,
        max_ranges=space.reader.max_ranges,
        pulse=space.reader.progress.flattening,
    )
