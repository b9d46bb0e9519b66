"""All state that ptmap keeps from one call to the next, by how long it lives.

A module keeps its state in an object of a class of its own. It asks for the object here, by class
and lifetime. The first use makes the object; after the lifetime has ended the next use makes a new
one.

    session        as long as GDB; it never ends
    connection(N)  as long as GDB's connection N; it never ends, because GDB uses no number twice
    target         while a key, which says what GDB looks at, is the same: the caller gives the
                   key, and another key ends the object
    stop           until the target runs or is changed; GDB's events tell
    command        until the next command begins, or the next question of a function or a script

A value that lives shorter than a command is not state: functions pass it on.
"""

from __future__ import annotations

from typing import TypeVar

_T = TypeVar("_T")


class Lifetime:
    """Objects that end together, one of each class."""

    def __init__(self) -> None:
        self._objects: dict[type[object], object] = {}

    def of(self, kind: type[_T]) -> _T:
        """The object of this class; made without arguments if there is none."""
        found = self._objects.get(kind)
        if not isinstance(found, kind):
            found = self._objects[kind] = kind()
        return found

    def end(self) -> None:
        self._objects.clear()


class Keyed:
    """Objects that each end alone, when they are asked for with another key."""

    def __init__(self) -> None:
        self._objects: dict[type[object], tuple[object, object]] = {}

    def of(self, kind: type[_T], key: object) -> _T:
        """The object of this class if it was made under an equal key, else a new one."""
        found = self.kept(kind)
        if found is None or self._objects[kind][0] != key:
            found = kind()
            self._objects[kind] = key, found
        return found

    def kept(self, kind: type[_T]) -> _T | None:
        """The object of this class, whatever its key; None if there is none."""
        _, found = self._objects.get(kind, (None, None))
        return found if isinstance(found, kind) else None


session = Lifetime()
target = Keyed()
stop = Lifetime()
command = Lifetime()
_connections: dict[int, Lifetime] = {}


def connection(number: int) -> Lifetime:
    """Of GDB's connection with this number."""
    return _connections.setdefault(number, Lifetime())
