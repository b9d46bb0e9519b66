"""Physical memory for the length of one command: nothing is read twice."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Sequence

from . import qemu_stub


class ReadOnce:
    """A PhysicalMemory that answers again from what it has read."""

    def __init__(self, memory: qemu_stub.PhysicalMemory) -> None:
        self._memory = memory
        self._known: dict[int, bytes | str] = {}

    def reading(self) -> AbstractContextManager[None]:
        return self._memory.reading()

    @property
    def ram(self) -> list[tuple[int, int]]:
        """Sorted (first, last) of RAM and ROM."""
        return self._memory.ram

    def is_ram(self, address: int, length: int) -> bool:
        return self._memory.is_ram(address, length)

    def __call__(self, wanted: Sequence[tuple[int, int]]) -> list[bytes | str]:
        missing = [read for read in wanted if self._lookup(*read) is None]
        if missing:
            answers = self._memory(missing)
            self._known |= {address: answer for (address, _), answer in zip(missing, answers)}
        return [self._lookup(*read) or "" for read in wanted]

    def _lookup(self, address: int, length: int) -> bytes | str | None:
        # An entry lies in a table that was read whole: a page, or PAE's root of 32 bytes.
        for start in (address, address & ~0xFFF, address & ~0x1F):
            known = self._known.get(start)
            if known is not None and isinstance(known, bytes):
                if address + length <= start + len(known):
                    return known[address - start : address - start + length]
            elif known is not None and start == address:
                return known
        return None
