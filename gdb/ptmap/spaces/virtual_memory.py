"""Linear memory through one root: the core translates, and reads physical memory.

GDB's own reads go only through CR3. Under KPTI CR3 does not map the kernel while user space runs.
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
    """The space does not have this memory. A caller with another way to it may catch this."""


class VirtualMemory:
    """What a space's tables map, readable whatever the rights. KNOWN has (address, size, physical
    address): for these addresses no table is read."""

    def __init__(self, space: AddressSpace, known: Sequence[tuple[int, int, int]] = ()) -> None:
        self._space, self._known = space, known
        self._made: tuple[ReadOnce, LinearMemory] | None = None

    @contextmanager
    def reading(self) -> Iterator[LinearMemory]:
        """The core's LinearMemory, to be used only inside the `with`."""
        memory = self._space.memory
        if self._made is None or self._made[0] is not memory.core:
            space = self._space
            linear = native.core.LinearMemory(space.paging, space.root, memory.core, self._known)
            self._made = memory.core, linear
        with memory.reading():
            yield self._made[1]

    def translate(self, va: int) -> int | None:
        """The physical address; None if it is not mapped, if a table is unreadable, or if VA has
        more than 64 bits."""
        if not 0 <= va < _END:
            return None
        with self.reading() as linear:
            return linear.translate(va)

    def read(self, va: int, length: int) -> bytes:
        """`length` bytes. Error: Unreadable if any of them cannot be read."""
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
        """A C string of at most `limit` bytes; it also ends where readable memory ends."""
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
