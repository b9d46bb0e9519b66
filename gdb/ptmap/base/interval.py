"""A part of a space, of physical memory, or of anything else with addresses."""

from __future__ import annotations

from typing import NamedTuple


class Interval(NamedTuple):
    """FIRST to LAST, both inclusive, as the native module takes and gives them. If it is empty,
    LAST is before FIRST."""

    first: int
    last: int

    @classmethod
    def until(cls, start: int, end: int) -> Interval:
        """START to END, which is exclusive."""
        return cls(start, end - 1)

    @classmethod
    def of_size(cls, first: int, size: int) -> Interval:
        return cls(first, first + size - 1)

    @property
    def end(self) -> int:
        """The address after the last one."""
        return self.last + 1

    @property
    def size(self) -> int:
        return self.end - self.first

    def overlaps(self, other: Interval) -> bool:
        return self.first <= other.last and other.first <= self.last
