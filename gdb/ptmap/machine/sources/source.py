"""What every source of physical memory has."""

from __future__ import annotations

import bisect
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Iterator, Sequence

from ...debugger import progress

if TYPE_CHECKING:
    from ..._core import _Memory
    from ...linux.place import Place
    from ...spaces.registers import Registers, SystemRegisters

# Reasons why something is not read.
NOT_RAM = "not RAM"
INTERRUPTED = "interrupted"


class NotHere(Exception):
    """A source cannot be used; in one phrase why: "process 123 (socat) is not QEMU"."""


class Source:
    """A machine's physical memory, by one road.

    It serves many commands: begin() comes first in each of them, then reads, inside reading().
    """

    name: str  # the word of `set ptmap memory`
    # Whether answers are kept for as long as the target stands still. A slow line needs that; where
    # reading is cheap each command looks anew, as a monitor can change memory at any time.
    keeps = False

    def describe(self) -> str:
        """A phrase: "QEMU process 1234, 3 blocks of RAM"."""
        raise NotImplementedError

    @property
    def native(self) -> _Memory:
        """What the core reads through: a _core.PhysicalMemory, or a callable (_read())."""
        return self._read

    def _read(self, wanted: Sequence[tuple[int, int]]) -> list[bytes | str]:
        """Bytes, or the reason why there are none, for each (address, length)."""
        raise NotImplementedError

    @property
    def ram(self) -> list[tuple[int, int]]:
        """Sorted (first, last) of what there is to read, RAM and ROM."""
        raise NotImplementedError

    @property
    def requests(self) -> int:
        """Packets or system calls so far."""
        raise NotImplementedError

    def begin(self) -> None:
        """Makes sure that this is the machine still.

        Error: NotHere where it cannot be used any more, Refusal where another would not do either.
        """

    def changed(self) -> None:
        """The target has run, or GDB's symbols are others: nothing known before holds for sure."""

    def begin_piecemeal(self) -> bool:
        """Instead of begin() where reads will be few, all by piecemeal(). False where there is no
        such way. Error: NotHere."""
        return False

    def piecemeal(self, wanted: Sequence[tuple[int, int]]) -> list[bytes | str]:
        """As _read(), of what is made sure of at once: that it is this machine's RAM as it is now.
        Error: NotHere where that is not sure, and begin() has to tell."""
        raise NotImplementedError

    _inside = False

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Reads happen inside; it may be entered again there. Ctrl-C is looked for between them and
        let through at the end."""
        if self._inside:
            yield
            return
        held = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        try:
            # It may raise KeyboardInterrupt for a Ctrl-C just before, with SIGINT blocked.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            self._inside = True
            yield
        finally:
            self._inside = False
            progress.erase()
            try:
                self._end_reading()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, held)

    def _end_reading(self) -> None:
        """What has to be put back, whatever happened."""

    def is_ram(self, address: int, length: int) -> bool:
        """Whether all of it is; it may cross from one block into the next."""
        ram = self.ram
        while length > 0:
            at = bisect.bisect_right(ram, (address, 1 << 64)) - 1
            if at < 0 or address > ram[at][1]:
                return False
            step = ram[at][1] + 1 - address
            address, length = address + step, length - step
        return True

    # Whether what is outside `ram` is none for certain.
    knows_ram = True

    @property
    def assumed(self) -> tuple[str, ...]:
        """What it takes for granted and nothing proves, in words."""
        return ()

    # What only some have

    knows_registers = False  # some CPU's

    place: Place | None = None  # of a Linux kernel, where its symbols led to its memory

    def cpus(self) -> int | None:
        """How many CPUs it knows the registers of; None where the target has to be asked."""
        return None

    def registers(self, cpu: int) -> Registers | None:
        """A CPU's registers, counted from 0; None where the target has to be asked."""
        return None

    def system_registers(self, cpu: int) -> SystemRegisters | None:
        """GDTR, IDTR, LDTR and TR; None where the target has to be asked."""
        return None


def interrupted() -> bool:
    """Whether Ctrl-C was pressed inside reading()."""
    return signal.SIGINT in signal.sigpending()
