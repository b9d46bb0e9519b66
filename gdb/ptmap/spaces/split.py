"""The user's and the supervisor's part of a space; what KPTI's two roots share.

native/space/split.h says how they are told apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base import native
from . import kpti, scanned
from .address_space import AddressSpace

if TYPE_CHECKING:
    from .._core import KptiShare, Map


def split_of(space: AddressSpace) -> int | None:
    """The address where the supervisor's part begins; None for a 64-bit space, or if the parts are
    mixed."""
    if space.paging.canonical:
        return None
    return native.core.split_of(space.paging, _kernels(space))


def supervisor_part(space: AddressSpace) -> int | None:
    """The offset where that part begins; None if user and supervisor pages are mixed."""
    if space.paging.canonical:
        return space.paging.upper_part
    return native.core.supervisor_part(space.paging, _kernels(space))


def shared(space: AddressSpace) -> KptiShare | None:
    """What the two roots share; None without KPTI, without a split, or if a table is unreadable."""
    pair = kpti.roots(space)
    if pair is None:
        return None
    first = supervisor_part(space)
    if first is None:
        return None
    last = space.paging.last_offset
    kernel, user = (
        scanned.of(space.below(root, pair=pair), aside=root != space.root)
        .part(first, last)
        .view(first, last, split_physical=True, counted=False)
        for root in (pair.kernel, pair.user)
    )
    return native.core.kpti_share(kernel, user, space.reader.progress.flattening)


def _kernels(space: AddressSpace) -> Map:
    """A map of the whole space that has the kernel mapped."""
    last = space.paging.last_offset
    return scanned.of_kernel(space).whole.view(0, last, split_physical=True)
