"""Maps of a space, within the limits of the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import last_maps, native, progress, settings
from .address_space import AddressSpace

if TYPE_CHECKING:
    from ._core import Map, Space


def scan(space: AddressSpace, first: int, last: int) -> Space:
    """The tables for the offsets FIRST to LAST."""
    scanned = space.scan(first, last, settings.limit("max-tables"))
    if first == 0 and last == space.paging.last_offset:
        last_maps.remember(space, scanned)
    return scanned


def flatten(space: AddressSpace, scanned: Space, first: int, last: int, **how: Any) -> Map:
    """A map of these offsets; `how` is what _core.make_map takes besides, or instead."""
    usual = {
        "pat": settings.get("pat"), "ac": space.ac, "max_ranges": settings.limit("max-ranges"),
        "pulse": progress.flattening,
    }  # fmt: skip
    made: Map = native.core().make_map(scanned, first, last, **usual | how)
    return made


def of(space: AddressSpace, first: int, last: int, **how: Any) -> Map:
    """Both at once."""
    return flatten(space, scan(space, first, last), first, last, **how)


def exact(space: AddressSpace, scanned: Space, **how: Any) -> Map:
    """The whole space, a range for each run of contiguous frames in pages of one size: what can be
    told apart in two maps, or in one range of an assertion."""
    return flatten(space, scanned, 0, space.paging.last_offset, split_physical=True,
                   split_sizes=True, **how)  # fmt: skip


def find(space: AddressSpace, scanned: Space, first: int, last: int) -> Map:
    """A map of what maps the physical bytes FIRST to LAST, each range cut to them. Of the
    whole space no ranges are made, so none of them counts against the limit."""
    found: Map = native.core().find(
        scanned, first, last, pat=settings.get("pat"),
        max_ranges=settings.limit("max-ranges"), pulse=progress.flattening,
    )  # fmt: skip
    return found
