"""The base class of sources of physical memory."""

from __future__ import annotations

import bisect
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Iterator, Sequence

from ...base.interval import Interval
from ...debugger import interrupts, progress

if TYPE_CHECKING:
    from ..._core import Interrupted, _Memory
    from ...linux.place import Place
    from ...spaces.registers import Registers, SystemRegisters

NOT_RAM = "not RAM"


class NotHere(Exception):
    """A source cannot be used; the text is one phrase: "process 123 (socat) is not QEMU"."""


class Source:
    """One way to a machine's physical memory.

    It serves many commands. Each command calls begin() first, then reads inside reading().
    """

    name: str  # the word of `set ptmap memory`
    # Whether answers are kept while the target stands still. Only for a slow line: a monitor can
    # change memory at any time, so if reading is cheap each command reads anew.
    keeps = False

    def describe(self) -> str:
        """A phrase for the user: "QEMU process 1234, 3 blocks of RAM"."""
        raise NotImplementedError

    @property
    def native(self) -> _Memory:
        """What the core reads through: a _core.PhysicalMemory, or a callable (_read())."""
        return self._read

    def _read(self, wanted: Sequence[tuple[int, int]]) -> Sequence[bytes | str | Interrupted]:
        """For each (address, length) its bytes, or the reason why they cannot be read;
        Interrupted() if Ctrl-C came before it."""
        raise NotImplementedError

    @property
    def ram(self) -> list[Interval]:
        """RAM and ROM, sorted."""
        raise NotImplementedError

    @property
    def requests(self) -> int:
        """The number of packets or system calls so far."""
        raise NotImplementedError

    def begin(self) -> None:
        """Makes sure that this is still the machine.

        Error: NotHere if it cannot be used any more, Refusal if no other source may replace it.
        """

    def changed(self) -> None:
        """The target has run, or GDB has other symbols: what was known may be wrong now."""

    def begin_piecemeal(self) -> bool:
        """Replaces begin() if only a few reads follow, all by piecemeal(). False if the source
        cannot do that. Error: NotHere."""
        return False

    def piecemeal(self, wanted: Sequence[tuple[int, int]]) -> list[bytes | str]:
        """As _read(), after a check that each address is still this machine's RAM. Error: NotHere
        if that is not certain; then begin() decides."""
        raise NotImplementedError

    _inside = False

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Surrounds all reads; may be nested. SIGINT is blocked inside: reads look for it between
        packets, and it arrives at the end."""
        if self._inside:
            yield
            return
        with interrupts.held():
            self._inside = True
            try:
                yield
            finally:
                self._inside = False
                progress.erase()
                self._end_reading()

    def _end_reading(self) -> None:
        """Puts the target back as it was; called whatever happened."""

    def is_ram(self, address: int, length: int) -> bool:
        """Whether all of it is RAM or ROM; it may cross from one block into the next."""
        ram = self.ram
        while length > 0:
            at = bisect.bisect_right(ram, (address, 1 << 64)) - 1
            if at < 0 or address > ram[at].last:
                return False
            step = ram[at].end - address
            address, length = address + step, length - step
        return True

    # Whether everything outside of `ram` certainly is not RAM.
    knows_ram = True

    @property
    def assumed(self) -> tuple[str, ...]:
        """What is assumed without proof, in words."""
        return ()

    # Only of some sources

    can_run = True  # whether the machine can run on: not a dump's

    knows_registers = False  # whether it has any CPU's registers

    kernel: Registers | None = None  # for a kernel's own space, if no CPU's registers are known

    why_no_kernel = ""  # a phrase, if it should have them and has not

    not_there = NOT_RAM  # why what is outside of `ram` cannot be read

    place: Place | None = None  # of a Linux kernel, if the source was found by its symbols

    def cpus(self) -> int | None:
        """The number of CPUs whose registers it has; None if the target has to be asked."""
        return None

    def registers(self, cpu: int) -> Registers | None:
        """The registers of a CPU, counted from 0; None if the target has to be asked."""
        return None

    def system_registers(self, cpu: int) -> SystemRegisters | None:
        """GDTR, IDTR, LDTR and TR; None if the target has to be asked."""
        return None


def interrupted() -> bool:
    """Whether Ctrl-C was pressed inside reading()."""
    return signal.SIGINT in signal.sigpending()
