"""The physical memory that commands read: a source, of which nothing is read twice."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Sequence

from . import native
from .sources.source import Source


class Memory:
    """See Source; `core` is what the native core reads through."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.core = native.core().ReadOnce(source.native)

    def begin(self) -> None:
        """A command begins. Error: NotHere, Refusal (see Source.begin)."""
        self.source.begin()
        if self.source.keeps:
            self.core.forget_failures()
        else:
            self.core.forget()

    def reading(self) -> AbstractContextManager[None]:
        return self.source.reading()

    @property
    def ram(self) -> list[tuple[int, int]]:
        """Sorted (first, last) of RAM and ROM."""
        return self.source.ram

    def is_ram(self, address: int, length: int) -> bool:
        return self.source.is_ram(address, length)

    def __call__(self, wanted: Sequence[tuple[int, int]]) -> list[bytes | str]:
        """Bytes, or a reason, for each (address, length). Only inside reading()."""
        return list(self.core(wanted))
