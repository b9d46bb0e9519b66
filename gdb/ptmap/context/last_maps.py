"""The last map of each root in this session, for `ptmap diff` without operands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import gdb

from ..base import lifetimes
from ..debugger import settings

if TYPE_CHECKING:
    from .._core import Tables
    from ..spaces.address_space import AddressSpace

_ROOTS = 4
_TABLES = 1 << 15  # limit for all maps together: 128 MiB


@dataclass(frozen=True)
class LastMap:
    """The tables of a whole space as a command read them; `tables` is None if they were too many
    to keep."""

    space: AddressSpace
    tables: Tables | None
    count: int  # of the tables
    command: str  # "ptmap save"


_Key = tuple[str, int]  # mode, root


class _Command:
    """Lives as long as a command."""

    name = ""
    makes_maps = False


@dataclass
class _OfOneTarget:
    """Lives as long as a target is the same: another's maps say nothing of this one's."""

    # What earlier commands made, oldest first, and what this one makes: it may look at its own
    # space more than once before it compares.
    kept: dict[_Key, LastMap] = field(default_factory=dict)
    made: dict[_Key, LastMap] = field(default_factory=dict)


def _last() -> _OfOneTarget:
    connection = gdb.selected_inferior().connection
    word, path = settings.memory()
    number = connection.num if connection is not None else None
    return lifetimes.target.of(_OfOneTarget, (number, path if word in ("dump", "file") else None))


def new_command(name: str, makes_maps: bool) -> None:
    """A command begins: the maps of the one before are earlier maps now. MAKES_MAPS: whether what
    it scans will be kept."""
    this = lifetimes.command.of(_Command)
    this.name, this.makes_maps = name, makes_maps
    last = lifetimes.target.kept(_OfOneTarget)
    if last is None:
        return
    for key, made in last.made.items():
        last.kept.pop(key, None)
        last.kept[key] = made
    last.made.clear()
    _shrink(last.kept)


def remember(space: AddressSpace, tables: Tables) -> None:
    """Keeps a scan of a whole space, if a command that makes maps has read it."""
    this = lifetimes.command.of(_Command)
    if not this.makes_maps:
        return
    last, key = _last(), (space.mode, space.root)
    kept = tables if tables.tables <= _TABLES else None
    last.made.pop(key, None)
    last.made[key] = LastMap(space, kept, tables.tables, this.name)
    _shrink(last.made)


def find(space: AddressSpace) -> LastMap | None:
    """The last map of this root from an earlier command, or None."""
    return _last().kept.get((space.mode, space.root))


def _shrink(maps: dict[_Key, LastMap]) -> None:
    """Drops the oldest maps until the rest fits; the newest always stays."""
    while len(maps) > 1 and (
        len(maps) > _ROOTS or sum(m.count for m in maps.values() if m.tables) > _TABLES
    ):
        del maps[next(iter(maps))]
