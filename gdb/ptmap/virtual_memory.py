"""Linear memory through one root: translated by the core, read physically.

GDB's own reads go through CR3, which under KPTI does not map the kernel while user space runs, and
through no other root at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import Refusal

if TYPE_CHECKING:
    from .address_space import AddressSpace


class Unreadable(Refusal):
    """There is no such memory in this space; a caller that has another way may catch it."""


class VirtualMemory:
    """What a space's tables map, read whatever the rights."""

    def __init__(self, space: AddressSpace) -> None:
        self._space = space
        self._frames: dict[int, int] = {}

    def translate(self, va: int) -> int | None:
        """The physical address, None where it is not mapped (or a table is unreadable), and where
        it is no address at all."""
        if not 0 <= va < 1 << 64:
            return None
        page = va & ~0xFFF
        if page not in self._frames:
            walk = self._space.walk(page)
            if walk.outcome != "mapped":
                return None
            self._frames[page] = walk.pa
        return self._frames[page] + (va & 0xFFF)

    def read(self, va: int, length: int) -> bytes:
        """`length` bytes. Error: Unreadable where any of them is not there."""
        wanted = []
        at = va
        while at < va + length:
            size = min(va + length - at, 0x1000 - (at & 0xFFF))
            pa = self.translate(at)
            if pa is None:
                raise Unreadable(f"{at:#x} is not mapped below the root {self._space.root:#x}")
            wanted.append((pa, size))
            at += size
        parts = self.frames(wanted)
        for (pa, _), part in zip(wanted, parts):
            if isinstance(part, str):
                raise Unreadable(f"{va:#x} (physical {pa:#x}) cannot be read: {part}")
        return b"".join(part for part in parts if isinstance(part, bytes))

    def frames(self, wanted: list[tuple[int, int]]) -> list[bytes | str]:
        """Physical reads (address, length), each answered by its bytes or why there are none."""
        memory = self._space.memory
        with memory.reading():
            return memory(wanted)

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
