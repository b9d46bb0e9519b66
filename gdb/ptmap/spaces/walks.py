"""Walks and scans of a space: what reads its tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base import native
from .address_space import AddressSpace

if TYPE_CHECKING:
    from .._core import Tables, Walk


def walk(space: AddressSpace, va: int) -> Walk:
    """One address from the root to its page, or to where the walk ends."""
    memory = space.memory
    with memory.reading():
        found: Walk = native.core.walk(space.paging, space.root, va, memory.core)
    return found


def scan(space: AddressSpace, first: int, last: int, max_tables: int | None = None) -> Tables:
    """Reads all tables for the offsets FIRST to LAST, at most MAX_TABLES or as many as the reader
    allows."""
    memory, reader = space.memory, space.reader
    with memory.reading():
        tables: Tables = native.core.scan(
            space.paging,
            space.root,
            memory.core,
            first,
            last,
            max_tables=reader.max_tables if max_tables is None else max_tables,
            pulse=reader.progress.scanning,
        )
    return tables
