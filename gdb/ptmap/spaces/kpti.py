"""The two roots of a process under kernel page-table isolation.

The tables tell whether a root is one of such a pair: native/space/kpti.h says how.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..base import native
from .reader import Memory

if TYPE_CHECKING:
    from .._core import Paging


@dataclass(frozen=True)
class Roots:
    kernel: int
    user: int


def roots(paging: Paging, root: int, memory: Memory) -> Roots | None:
    """The pair that a root belongs to, or None."""
    place = memory.source.place
    if place is not None and place.pti is False:
        return None  # the kernel says so itself
    with memory.reading():
        found = native.core.kpti_roots(paging, root, memory.core)
    return Roots(*found) if found else None
