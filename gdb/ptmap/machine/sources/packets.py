"""Physical memory through QEMU's gdbstub, by packets.

The stub's physical mode is on only inside reading(), with SIGINT blocked, and is switched off
whatever happens there. In that mode a read outside of RAM succeeds with zeros, or reaches a device.
So QEMU's own list of RAM decides first whether an address may be read.

It sends raw packets instead of calling Inferior.read_memory, which mixes GDB's idea of virtual
memory (breakpoints, read-only sections, caches) into physical reads.
"""

from __future__ import annotations

import re
from binascii import Error as HexError
from binascii import unhexlify
from typing import Sequence

import gdb

from ...base.interval import Interval
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
    """A source that has begun. Error: NotHere if the other end is not QEMU."""
    if qemu_stub.is_qemu(connection):
        has_mode = qemu_stub.physical_mode(connection) is not None
        packets = (Packets if has_mode else MonitorPackets)(connection)
        packets.begin()
        return packets
    if not takes_packets(connection):
        raise NotHere("there is no remote target")
    raise NotHere("the other end is not QEMU's gdbstub")


class Packets(Source):
    """Reads by `m` packets; many tables that lie near each other by pmemsave, if that works."""

    name = "packets"
    how = "QEMU's gdbstub, `m` packets in its physical mode"

    def __init__(self, connection: gdb.RemoteTargetConnection) -> None:
        self._connection = connection
        self._switched = False  # we may have switched the mode on
        self._saves = True  # QEMU can write a file that we can read; True until it fails
        self._saver = pmemsave.Saver()
        self._saved = 0
        self._requests = 0
        self._ram_text: str | None = None  # QEMU's last answer about its RAM
        self.blocks: list[Block] = []
        self._ram: list[Interval] = []
        self._sure: set[Block] = set()  # blocks verified since the piecemeal reads began

    def describe(self) -> str:
        saved = f", {plural(self._saved, 'pmemsave')} for much at once" if self._saved else ""
        return self.how + saved

    @property
    def ram(self) -> list[Interval]:
        return self._ram

    @property
    def requests(self) -> int:
        return self._requests

    def begin(self) -> None:
        text = monitor_text(self._connection)
        if text != self._ram_text:
            self.blocks = blocks(text)
            self._ram = [Interval(block.first, block.last) for block in self.blocks]
            self._ram_text = text

    def begin_piecemeal(self) -> bool:
        self._sure.clear()
        return True

    def piecemeal(self, wanted: Sequence[tuple[int, int]]) -> list[bytes | str]:
        for address, length in wanted:
            self.make_sure(address, length)
        return [self._one(address, length) for address, length in wanted]

    def make_sure(self, address: int, length: int) -> tuple[Block, int | None]:
        """The block that holds all of it, and its address in the host; None if another address of
        the block was asked for before. Error: NotHere if it is not in a known block."""
        block = next((b for b in self.blocks if b.first <= address <= b.last), None)
        if block is None or address + length - 1 > block.last:
            raise NotHere(f"{address:#x} was not RAM")
        # Parts of low memory are switched singly (PAM, SMRAM); other blocks change only as a whole.
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
        """Those of the reads that pmemsave can answer."""
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
            self._switched = True  # the stub may switch even if its answer is not OK
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
    """For a QEMU whose stub has no physical mode (before 4.1): reads by its monitor's `xp`."""

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
