"""Linear memory through one root: translated by the core, read physically.

GDB's own reads go through CR3, which under KPTI does not map the kernel while user space runs, and
through no other root at all.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Iterator, Sequence

from ..base import native
from ..base.errors import Refusal
from .address_space import AddressSpace

if TYPE_CHECKING:
    from .._core import LinearMemory, ReadOnce

_END = 1 << 64


class Unreadable(Refusal):
    """There is no such memory in this space; a caller that has another way may catch it."""


class VirtualMemory:
    """What a space's tables map, read whatever the rights. For addresses in KNOWN, which are
    (address, size, physical address), no table is read."""

    def __init__(self, space: AddressSpace, known: Sequence[tuple[int, int, int]] = ()) -> None:
        self._space, self._known = space, known
        self._made: tuple[ReadOnce, LinearMemory] | None = None

    @contextmanager
    def reading(self) -> Iterator[LinearMemory]:
        """The core's view of it, for as long as reads happen inside."""
        memory = self._space.memory
        if self._made is None or self._made[0] is not memory.core:
            space = self._space
            linear = native.core.LinearMemory(space.paging, space.root, memory.core, self._known)
            self._made = memory.core, linear
        with memory.reading():
            yield self._made[1]

    def translate(self, va: int) -> int | None:
        """The physical address, None where it is not mapped (or a table is unreadable), and where
        it is no address at all."""
        if not 0 <= va < _END:
            return None
        with self.reading() as linear:
            return linear.translate(va)

    def read(self, va: int, length: int) -> bytes:
        """`length` bytes. Error: Unreadable where any of them is not there."""
        if not 0 <= va < _END:
            raise Unreadable(f"{va:#x} is not mapped below the root {self._space.root:#x}")
        with self.reading() as linear:
            found = linear.read(va, length)
        if isinstance(found, str):
            raise Unreadable(found)
        return found

    def unsigned(self, va: int, size: int) -> int:
        return int.from_bytes(self.read(va, size), "little")

    def string(self, va: int, limit: int) -> bytes:
        """A C string of at most `limit` bytes; it ends too where memory does."""
        text = b""
        while len(text) < limit and b"\0" not in text:
            try:
                step = min(limit - len(text), 0x1000 - (va + len(text)) % 0x1000, 256)
                text += self.read(va + len(text), step)
            except Unreadable:
                if not text:
                    raise
                break
        return text.split(b"\0")[0]
