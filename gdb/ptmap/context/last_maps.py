"""The last map of each root in this session, for `ptmap diff` without operands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import gdb

from ..debugger import settings

if TYPE_CHECKING:
    from .._core import Space
    from ..spaces.address_space import AddressSpace

_ROOTS = 4
_TABLES = 1 << 15  # limit for all maps together: 128 MiB


@dataclass(frozen=True)
class LastMap:
    """The tables of a whole space as a command read them; `scanned` is None if they were too many
    to keep."""

    space: AddressSpace
    scanned: Space | None
    tables: int
    command: str  # "ptmap save"


_Key = tuple[str, int]  # mode, root


@dataclass
class _OfOneTarget:
    """Lives as long as the target is the same."""

    target: object = None
    command: str = ""  # the one that runs
    # Maps of earlier commands (oldest first) and of this one. They are apart because a command may
    # scan its own space before it compares it with the last map.
    kept: dict[_Key, LastMap] = field(default_factory=dict)
    made: dict[_Key, LastMap] = field(default_factory=dict)


_last = _OfOneTarget()


def new_command(name: str) -> None:
    """A command begins: the maps of the one before are earlier maps now."""
    _last.command = name
    for key, made in _last.made.items():
        _last.kept.pop(key, None)
        _last.kept[key] = made
    _last.made.clear()
    _shrink(_last.kept)


def remember(space: AddressSpace, scanned: Space) -> None:
    """Keeps a scan of a whole space."""
    _same_target()
    key = space.mode, space.root
    kept = scanned if scanned.tables <= _TABLES else None
    _last.made.pop(key, None)
    _last.made[key] = LastMap(space, kept, scanned.tables, _last.command)
    _shrink(_last.made)


def find(space: AddressSpace) -> LastMap | None:
    """The last map of this root from an earlier command, or None."""
    _same_target()
    return _last.kept.get((space.mode, space.root))


def _shrink(maps: dict[_Key, LastMap]) -> None:
    """Drops the oldest maps until the rest fits; the newest always stays."""
    while len(maps) > 1 and (
        len(maps) > _ROOTS or sum(m.tables for m in maps.values() if m.scanned) > _TABLES
    ):
        del maps[next(iter(maps))]


def _same_target() -> None:
    """Drops all maps if the target is another one."""
    connection = gdb.selected_inferior().connection
    word, path = settings.memory()
    now = (
        connection.num if connection is not None else None,
        path if word in ("dump", "file") else None,
    )
    if now != _last.target:
        _last.kept.clear()
        _last.made.clear()
        _last.target = now
