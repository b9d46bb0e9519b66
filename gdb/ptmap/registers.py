"""What of a CPU's registers decides what its addresses mean."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Registers:
    """Of the selected thread, which is a vCPU with QEMU. None where the target lacks it."""

    cr0: int | None = None
    cr2: int | None = None
    cr3: int | None = None
    cr4: int | None = None
    efer: int | None = None
    eflags: int | None = None
    cs: int | None = None
    sp: int | None = None
    assumed: tuple[str, ...] = ()  # what of it is not told: "EFER.NXE=1"
    told: tuple[str, ...] = ()  # what the user should know of whose they are

    @property
    def ac(self) -> bool:
        """EFLAGS.AC, which lets the kernel past SMAP."""
        return bool((self.eflags or 0) >> 18 & 1)
