"""Physical memory through QEMU's gdbstub.

The stub has a mode in which every `m` packet is physical (Qqemu.PhyMemMode). It is one global flag
that even outlives the connection, so it is on only inside PhysicalMemory.reading(), with SIGINT
held back, and off again whatever happens there. In that mode a read outside RAM succeeds with
zeros, or reaches a device; so every read is checked against QEMU's own list of RAM first.

Raw packets instead of Inferior.read_memory: GDB must not mix its idea of virtual memory
(breakpoints, read-only sections, caches) into physical reads.
"""

from __future__ import annotations

import bisect
import re
import signal
from binascii import Error as HexError
from binascii import unhexlify
from contextlib import contextmanager
from typing import Iterator, Sequence

import gdb

from .errors import Refusal

_PACKET = 2048  # bytes an `m` may ask for: the stub's buffer is 4096 hex digits

NOT_RAM = "not RAM"


_ON, _OFF, _ASK = "Qqemu.PhyMemMode:1", "Qqemu.PhyMemMode:0", "qqemu.PhyMemMode"


def physical_mode(connection: gdb.TargetConnection | None) -> bool | None:
    """Whether the mode is on; None where the other end is not a QEMU that has it."""
    if connection is None or not hasattr(connection, "send_packet"):
        return None
    return {b"0": False, b"1": True}.get(connection.send_packet(_ASK))


def leave_physical_mode(connection: gdb.RemoteTargetConnection) -> None:
    """Ends the mode and makes sure of it. Error: Refusal where it does not end.

    Both replies must be the right ones at once: where one came late every reply since belongs to
    an earlier packet, and what was read is worth nothing.
    """
    for attempt in range(3):
        if not connection.is_valid():
            return  # it died; whoever attaches next repairs the mode
        if connection.send_packet(_OFF) == b"OK" and physical_mode(connection) is False:
            if attempt == 0:
                return
            break
    raise Refusal(
        "QEMU's stub does not confirm the end of its physical-memory mode, or its replies are "
        "out of step: disconnect and attach again"
    )


class PhysicalMemory:
    """Reads physical memory; see bindings/module.cc for the protocol of a call."""

    def __init__(self, connection: gdb.RemoteTargetConnection) -> None:
        self._connection = connection
        self._switched = False  # the mode may be on, by us
        try:
            mtree = gdb.execute("monitor info mtree -f", to_string=True)
        except gdb.error as error:
            if not connection.is_valid():
                raise
            raise Refusal(f"QEMU's monitor does not say what is RAM: {error}") from None
        self.ram = _ram_ranges(mtree)  # sorted (first, last)
        if not self.ram:
            raise Refusal("QEMU's monitor does not say what is RAM (`monitor info mtree -f`)")
        self._starts = [first for first, _ in self.ram]

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Inside, the mode is on from the first read: read, and let GDB evaluate nothing."""
        # Ctrl-C is looked for between reads and let through when the mode is off again.
        held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            try:
                if self._switched:
                    self._switched = False
                    leave_physical_mode(self._connection)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, held)

    def __call__(self, wanted: Sequence[tuple[int, int]]) -> list[bytes | str]:
        """Bytes, or a reason, for each (address, length). Only inside reading()."""
        if not self._switched:
            self._switched = True  # a stub that answers anything but OK may have done it too
            if self._connection.send_packet(_ON) != b"OK":
                raise Refusal("QEMU's stub refused its physical-memory mode")
        return [self._read(address, length) for address, length in wanted]

    def _read(self, address: int, length: int) -> bytes | str:
        if signal.SIGINT in signal.sigpending():
            raise KeyboardInterrupt
        if not self.is_ram(address, length):
            return NOT_RAM
        parts = []
        for at in range(address, address + length, _PACKET):
            size = min(_PACKET, address + length - at)
            reply = self._connection.send_packet(f"m{at:x},{size:x}") or b""
            try:
                part = unhexlify(reply)
            except HexError:
                part = b""
            if len(part) != size:
                return f"the stub answers {reply[:16].decode('ascii', 'replace')!r}"
            parts.append(part)
        return b"".join(parts)

    def is_ram(self, address: int, length: int) -> bool:
        """Whether all of it is; it may cross from one block into the next."""
        while length > 0:
            at = bisect.bisect_right(self._starts, address) - 1
            if at < 0 or address > self.ram[at][1]:
                return False
            step = self.ram[at][1] + 1 - address
            address, length = address + step, length - step
        return True


_RANGE = re.compile(r"\s*([0-9a-f]{16})-([0-9a-f]{16}) \(prio -?\d+, (?:nv-)?(?:ram|rom|romd)\):")


def _ram_ranges(mtree: str) -> list[tuple[int, int]]:
    """Sorted (first, last) of RAM and ROM in the FlatView of the address space "memory".

    That is the space which physical reads go through.
    """
    for view in mtree.split("FlatView #"):
        if ' AS "memory",' in view:
            ranges = (_RANGE.match(line) for line in view.splitlines())
            return sorted((int(r[1], 16), int(r[2], 16)) for r in ranges if r)
    return []
