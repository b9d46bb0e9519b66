"""Physical memory through QEMU's gdbstub, by packets.

The stub's physical mode is on only inside reading(), with SIGINT held back, and off again whatever
happens there. In that mode a read outside RAM succeeds with zeros, or reaches a device; so every
read is checked against QEMU's own list of RAM first.

Raw packets instead of Inferior.read_memory: GDB must not mix its idea of virtual memory
(breakpoints, read-only sections, caches) into physical reads.
"""

from __future__ import annotations

from binascii import Error as HexError
from binascii import unhexlify
from typing import Sequence

import gdb

from .. import progress, qemu_stub
from .qemu_ram import Block, blocks, monitor_text
from .source import NOT_RAM, NotHere, Source, interrupted

_PACKET = 2048  # bytes an `m` may ask for: the stub's buffer is 4096 hex digits


def open_source(connection: gdb.TargetConnection | None) -> Packets:
    """Error: NotHere where the other end is no QEMU with a physical mode."""
    if qemu_stub.physical_mode(connection) is None:
        kind = connection.type if connection is not None else "no"
        raise NotHere(f"this target ({kind} connection) is no QEMU stub with a physical mode")
    return Packets(connection)


class Packets(Source):
    name = "packets"

    def __init__(self, connection: gdb.RemoteTargetConnection) -> None:
        self._connection = connection
        self._switched = False  # the mode may be on, by us
        self._requests = 0
        self.ram_text = ""  # QEMU's words for it
        self.blocks: list[Block] = []
        self._ram: list[tuple[int, int]] = []

    def describe(self) -> str:
        return "QEMU's gdbstub in its physical mode"

    @property
    def ram(self) -> list[tuple[int, int]]:
        return self._ram

    @property
    def requests(self) -> int:
        return self._requests

    def begin(self) -> None:
        text = monitor_text(self._connection)
        if text != self.ram_text:
            self.blocks = blocks(text)
            self._ram = [(block.first, block.last) for block in self.blocks]
            self.ram_text = text

    def _end_reading(self) -> None:
        if self._switched:
            self._switched = False
            qemu_stub.leave_physical_mode(self._connection)

    def _read(self, wanted: Sequence[tuple[int, int]]) -> list[bytes | str]:
        if not self._switched:
            self._switched = True  # a stub that answers anything but OK may have done it too
            qemu_stub.enter_physical_mode(self._connection)
        answers = []
        for done, (address, length) in enumerate(wanted):
            progress.reading(done, len(wanted))
            answers.append(self._one(address, length))
        return answers

    def _one(self, address: int, length: int) -> bytes | str:
        if interrupted():
            raise KeyboardInterrupt
        if not self.is_ram(address, length):
            return NOT_RAM
        parts = []
        for at in range(address, address + length, _PACKET):
            size = min(_PACKET, address + length - at)
            reply = self._connection.send_packet(f"m{at:x},{size:x}") or b""
            self._requests += 1
            try:
                part = unhexlify(reply)
            except HexError:
                part = b""
            if len(part) != size:
                return f"the stub answers {reply[:16].decode('ascii', 'replace')!r}"
            parts.append(part)
        return b"".join(parts)
