"""What ptmap remembers from one call to the next, by how long it lives. No other module has state.

What a module remembers is an object of a class of its own. The module asks for it here, by its
class and its lifetime: one is made at the first use, and a new one after the lifetime has ended.

    session        as long as GDB; it never ends
    connection(N)  as long as GDB's connection N; it never ends, as GDB uses no number twice
    target         as long as a key is the same that tells what GDB looks at: whoever asks says
                   which key it is now, and another key ends the object
    stop           until the target runs or is changed, which GDB's events tell
    command        until the next command begins, or the next question of a function or a script

What lives shorter than a command is no state: it is handed from function to function.
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
    """Objects of which each ends by itself, when it is asked for under another key."""

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
