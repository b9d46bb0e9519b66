"""Physical memory through QEMU's gdbstub, by packets.

The stub's physical mode is on only inside reading(), with SIGINT held back, and off again whatever
happens there. In that mode a read outside RAM succeeds with zeros, or reaches a device; so every
read is checked against QEMU's own list of RAM first.

Raw packets instead of Inferior.read_memory: GDB must not mix its idea of virtual memory
(breakpoints, read-only sections, caches) into physical reads.
"""

from __future__ import annotations

import re
from binascii import Error as HexError
from binascii import unhexlify
from typing import Sequence

import gdb

from ...base.text import plural
from ...debugger import progress
from .. import qemu_stub
from ..remote import send, takes_packets
from . import host_memory, pmemsave
from .qemu_ram import Block, blocks, monitor_text
from .source import NOT_RAM, NotHere, Source, interrupted

_LOW = 1 << 20
_PACKET = 2048  # bytes an `m` may ask for: the stub's buffer is 4096 hex digits


def open_source(connection: gdb.TargetConnection | None) -> Packets:
    """One that has begun. Error: NotHere where the other end is no QEMU."""
    if qemu_stub.is_qemu(connection):
        has_mode = qemu_stub.physical_mode(connection) is not None
        packets = (Packets if has_mode else MonitorPackets)(connection)
        packets.begin()
        return packets
    if not takes_packets(connection):
        raise NotHere("there is no remote target")
    raise NotHere("the other end is not QEMU's gdbstub")


class Packets(Source):
    """By `m` packets; many tables that lie near each other by pmemsave, where that works."""

    name = "packets"
    how = "QEMU's gdbstub, `m` packets in its physical mode"

    def __init__(self, connection: gdb.RemoteTargetConnection) -> None:
        self._connection = connection
        self._switched = False  # the mode may be on, by us
        self._saves = True  # as far as is known, QEMU can write a file that we can read
        self._saver = pmemsave.Saver()
        self._saved = 0
        self._requests = 0
        self._ram_text: str | None = None  # QEMU's words for it, once it was asked
        self.blocks: list[Block] = []
        self._ram: list[tuple[int, int]] = []
        self._sure: set[Block] = set()  # asked for since the piecemeal reads began

    def describe(self) -> str:
        saved = f", {plural(self._saved, 'pmemsave')} for much at once" if self._saved else ""
        return self.how + saved

    @property
    def ram(self) -> list[tuple[int, int]]:
        return self._ram

    @property
    def requests(self) -> int:
        return self._requests

    def begin(self) -> None:
        text = monitor_text(self._connection)
        if text != self._ram_text:
            self.blocks = blocks(text)
            self._ram = [(block.first, block.last) for block in self.blocks]
            self._ram_text = text

    def begin_piecemeal(self) -> bool:
        self._sure.clear()
        return True

    def piecemeal(self, wanted: Sequence[tuple[int, int]]) -> list[bytes | str]:
        for address, length in wanted:
            self.make_sure(address, length)
        return [self._one(address, length) for address, length in wanted]

    def make_sure(self, address: int, length: int) -> tuple[Block, int | None]:
        """The block that holds all of it, and where the host has the address, None where that was
        asked for another of this block. Error: NotHere where that is not as it was known."""
        block = next((b for b in self.blocks if b.first <= address <= b.last), None)
        if block is None or address + length - 1 > block.last:
            raise NotHere(f"{address:#x} was no RAM")
        # Low memory is switched by pieces (PAM, SMRAM); other blocks come and go as a whole.
        if block in self._sure and address >= _LOW:
            return block, None
        at = host_memory.address_of(address)
        self._sure.add(block)
        return block, at

    def _end_reading(self) -> None:
        if self._switched:
            self._switched = False
            qemu_stub.leave_physical_mode(self._connection)

    def _read(self, wanted: Sequence[tuple[int, int]]) -> list[bytes | str]:
        there = [self.is_ram(address, length) for address, length in wanted]
        saved = self._save([read for read, is_ram in zip(wanted, there) if is_ram])
        answers: list[bytes | str] = []
        for done, ((address, length), is_ram) in enumerate(zip(wanted, there)):
            progress.reading(done, len(wanted))
            if not is_ram:
                answers.append(NOT_RAM)
            else:
                answers.append(saved.get((address, length)) or self._one(address, length))
        return answers

    def _save(self, wanted: list[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
        """What pmemsave reads of these."""
        found: dict[tuple[int, int], bytes] = {}
        for group in pmemsave.groups(wanted) if self._saves else ():
            first, length = group[0][0], sum(group[-1]) - group[0][0]
            if interrupted():
                raise KeyboardInterrupt
            if not self.is_ram(first, length):
                continue
            self._requests += 1
            content = self._saver.read(first, length)
            if content is None:
                self._saves = False
                break
            self._saved += 1
            found |= {(at, size): content[at - first : at - first + size] for at, size in group}
        return found

    def _one(self, address: int, length: int) -> bytes | str:
        parts = []
        for at in range(address, address + length, _PACKET):
            size = min(_PACKET, address + length - at)
            self._requests += 1
            part = self._packet(at, size)
            if isinstance(part, str):
                return part
            parts.append(part)
        return b"".join(parts)

    def _packet(self, address: int, length: int) -> bytes | str:
        if not self._switched:
            self._switched = True  # a stub that answers anything but OK may have done it too
            qemu_stub.enter_physical_mode(self._connection)
        if interrupted():
            raise KeyboardInterrupt
        reply = send(self._connection, f"m{address:x},{length:x}") or b""
        try:
            content = unhexlify(reply)
        except HexError:
            content = b""
        if len(content) != length:
            return f"the stub answers {reply[:16].decode('ascii', 'replace')!a}"
        return content


class MonitorPackets(Packets):
    """Of a QEMU whose stub has no physical mode (before 4.1): its monitor's `xp` has."""

    how = "QEMU's monitor (`xp`): the stub has no physical mode"

    def _packet(self, address: int, length: int) -> bytes | str:
        if interrupted():
            raise KeyboardInterrupt
        # "0000000000001000: 0x0000000000002003 ..."; the fewer numbers the faster
        size, letter = (8, "g") if length % 8 == 0 else (1, "b")
        said = gdb.execute(f"monitor xp /{length // size}{letter}x {address:#x}", to_string=True)
        numbers = re.findall(rf" 0x([0-9a-f]{{{2 * size}}})\b", said)
        content = b"".join(int(number, 16).to_bytes(size, "little") for number in numbers)
        if len(content) != length:
            return f"QEMU's monitor answers {said[:40]!a}"
        return content
