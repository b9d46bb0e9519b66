"""The two roots of a process under kernel page-table isolation.

Linux (and what copies it) allocates them as a pair: the kernel root, and the user root one page
behind it, so that bit 12 of CR3 tells them apart. Whether two neighbouring pages are such a pair
is read from the tables, so that no symbols are needed:

  - 4- and 5-level: the lower halves are the same entries, but for XD, which the kernel root sets
    on what is the user's (one in four may differ: damaged tables are looked at too). The user
    root's upper half has fewer entries, each present in the kernel root too, and one at least is
    the very same: the cpu_entry_area's (with 5 levels in the PML4 of the last one; the entry code
    has tables of its own).
  - PAE: the user's PDPTEs are the same, the kernel's are present in both but name different page
    directories. The roots are page-aligned then; without KPTI they are only 32-byte aligned.

32-bit paging without PAE has no KPTI.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .address_space import AddressSpace

_USER_BIT = 1 << 12
_P, _A, _XD = 1, 1 << 5, 1 << 63
_ADDRESS = 0xFFFFFFFFFF000  # bits 51:12


@dataclass(frozen=True)
class Roots:
    kernel: int
    user: int


def roots(space: AddressSpace) -> Roots | None:
    """The pair that a space's root belongs to, None where it belongs to none."""
    if space.paging is None or space.mode == "32-bit":
        return None
    place = space.memory.source.place
    if place is not None and place.pti is False:
        return None  # the kernel says so itself
    pair = Roots(space.root & ~_USER_BIT, space.root | _USER_BIT)
    if space.mode == "pae" and pair.kernel & 0xFFF:
        return None
    size = 32 if space.mode == "pae" else 4096
    with space.memory.reading():
        tables = space.memory([(pair.kernel, size), (pair.user, size)])
    entries = [_entries(table) for table in tables if isinstance(table, bytes)]
    if len(entries) != 2:
        return None
    if space.mode == "pae":
        return pair if _is_pae_pair(*entries) else None
    return pair if _is_pair(*entries) and _share(space, *entries) else None


def _share(space: AddressSpace, kernel: list[int], user: list[int]) -> bool:
    """Whether an upper entry is the same in both, or one of the last PML4's."""
    if any(k & ~_A == u & ~_A and u & _P for k, u in zip(kernel[256:], user[256:])):
        return True
    if space.mode != "5-level" or not kernel[-1] & user[-1] & _P:
        return False
    with space.memory.reading():
        tables = space.memory([(entry & _ADDRESS, 4096) for entry in (kernel[-1], user[-1])])
    below = [_entries(table) for table in tables if isinstance(table, bytes)]
    return len(below) == 2 and any(k & ~_A == u & ~_A and u & _P for k, u in zip(*below))


def _entries(table: bytes) -> list[int]:
    return [int.from_bytes(table[at : at + 8], "little") for at in range(0, len(table), 8)]


def _is_pair(kernel: list[int], user: list[int]) -> bool:
    ignored = _A | _XD
    lower = [(k & ~ignored, u & ~ignored) for k, u in zip(kernel[:256], user[:256]) if (k | u) & _P]
    upper = [(k & ~_A, u & ~_A) for k, u in zip(kernel[256:], user[256:]) if (k | u) & _P]
    return (
        4 * sum(k != u for k, u in lower) <= len(lower)
        and all(k & _P for k, _ in upper)
        and any(u & _P for _, u in upper)
        and any(not u & _P for _, u in upper)
    )


def _is_pae_pair(kernel: list[int], user: list[int]) -> bool:
    # Reserved bits would make a PDPTE unusable: such a page is no root.
    if any(entry >> 52 or entry & _P and entry & 0x1E6 & ~_A for entry in user):
        return False
    same = [k & ~_A == u & ~_A for k, u in zip(kernel, user)]
    users = same.index(False) if False in same else len(same)  # PDPTEs of the user part
    return 0 < users < 4 and not any(same[users:]) and bool(kernel[3] & user[3] & _P)
