"""The physical memory that commands read: a source, and a store so that nothing is read twice."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Sequence

from ..base import native
from ..base.interval import Interval
from ..base.lifetimes import Lifetime
from .sources.source import Source

if TYPE_CHECKING:
    from .._core import ReadOnce


class Memory:
    """A source with its store. The native core reads through `core`."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._whole = native.core.ReadOnce(source.native)
        self._piecemeal: ReadOnce | None = None
        self.core = self._whole
        self.found = Lifetime()  # what was recognised in this memory

    def begin(self) -> None:
        """A command begins. Error: NotHere, Refusal (see Source.begin)."""
        self.core = self._whole
        self.source.begin()
        if self.source.keeps:
            self.core.forget_failures()
        else:
            self.core.forget()

    def begin_piecemeal(self) -> bool:
        """A few reads begin. False if the source has no quick way for them."""
        if not self.source.begin_piecemeal():
            return False
        self._whole.forget()
        if self._piecemeal is None:
            self._piecemeal = native.core.ReadOnce(self.source.piecemeal)
        self.core = self._piecemeal
        self.core.forget()
        return True

    def forget(self) -> None:
        """Call it when the target has run or was changed."""
        self.core.forget()
        self._whole.forget()
        self.source.changed()

    @property
    def is_piecemeal(self) -> bool:
        """Whether it began by begin_piecemeal()."""
        return self.core is self._piecemeal

    @property
    def bytes_read(self) -> int:
        """Bytes read from the source so far."""
        return self._whole.bytes + (self._piecemeal.bytes if self._piecemeal else 0)

    @property
    def seconds(self) -> float:
        """How long that took."""
        return self._whole.seconds + (self._piecemeal.seconds if self._piecemeal else 0)

    def reading(self) -> AbstractContextManager[None]:
        return self.source.reading()

    @property
    def ram(self) -> list[Interval]:
        """Sorted (first, last) of RAM and ROM."""
        return self.source.ram

    def is_ram(self, address: int, length: int) -> bool:
        return self.source.is_ram(address, length)

    def __call__(self, wanted: Sequence[tuple[int, int]]) -> list[bytes | str]:
        """Bytes, or a reason, for each (address, length). Only inside reading()."""
        return list(self.core(wanted))
