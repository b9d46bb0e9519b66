"""The registers that decide what a CPU's addresses mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Mapping

_Table = tuple[int, int]  # base, limit
_Loaded = tuple[int, int, int, int]  # base, limit, selector, flags


@dataclass(frozen=True)
class Registers:
    """Those of the selected thread; with QEMU a thread is a vCPU. None: the target lacks it."""

    cr0: int | None = None
    cr2: int | None = None
    cr3: int | None = None
    cr4: int | None = None
    efer: int | None = None
    eflags: int | None = None
    cs: int | None = None
    sp: int | None = None
    # Values that the target did not say, by register: {"efer": ("EFER.NXE=1",)}.
    assumed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    deduced: tuple[str, ...] = ()  # with the reason: "EFER.NXE=1: an entry has XD"
    notes: tuple[str, ...] = ()  # what the user should know about whose registers these are

    @property
    def ac(self) -> bool:
        """EFLAGS.AC: if it is set SMAP does not stop the kernel."""
        return bool((self.eflags or 0) >> 18 & 1)


@dataclass(frozen=True)
class Roots:
    """KPTI's pair: the two roots of one process."""

    kernel: int
    user: int


@dataclass(frozen=True)
class Segment:
    """A register with a base and a limit (SDM vol. 3A, 2.4). GDTR and IDTR have no selector."""

    base: int
    limit: int  # offset of the last byte
    selector: int | None = None
    flags: int = 0  # the descriptor's second doubleword, bits 23:8

    @property
    def is_null(self) -> bool:
        """Whether LDTR or TR has nothing loaded (SDM vol. 3A, 3.4.2)."""
        return self.selector is not None and self.selector & ~3 == 0


@dataclass(frozen=True)
class SystemRegisters:
    gdtr: Segment
    idtr: Segment
    ldtr: Segment
    tr: Segment

    def for_core(self) -> tuple[_Table, _Table, _Loaded, _Loaded]:
        """GDTR, IDTR, LDTR and TR for the native core."""
        return (
            (self.gdtr.base, self.gdtr.limit),
            (self.idtr.base, self.idtr.limit),
            (self.ldtr.base, self.ldtr.limit, self.ldtr.selector or 0, self.ldtr.flags),
            (self.tr.base, self.tr.limit, self.tr.selector or 0, self.tr.flags),
        )
