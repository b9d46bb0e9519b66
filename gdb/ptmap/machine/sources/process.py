"""The memory of the QEMU process at the other end of the connection, read natively.

It is used only if three proofs show that the process is the machine:

1. It holds the socket at the other end of GDB's own (peer.py). This excludes other QEMUs.
2. It has memory at every address where QEMU says that it keeps RAM and ROM (host_memory.py).
3. Samples of that memory are the bytes that QEMU's stub reads.

The last two exclude a process that only forwards the connection: socat, ssh, or another QEMU whose
guest runs the QEMU that GDB talks to.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Iterator, Sequence

import gdb

from ...base import native
from ...base.errors import Refusal
from ...base.interval import Interval
from ...base.text import plural
from . import host_memory, peer
from .host_memory import Place
from .packets import Packets
from .source import NotHere, Source

if TYPE_CHECKING:
    from ... import _core
    from ..._core import Interrupted, _Memory


def open_source(connection: gdb.TargetConnection | None, packets: Packets) -> Source:
    """PACKETS have begun. Error: NotHere."""
    return Process(peer.find(connection), packets)


class Process(Source):
    """Proved when it is made. If the machine's memory moves later, begin() raises NotHere."""

    name = "process"

    def __init__(self, other_end: peer.Peer, packets: Packets) -> None:
        """Error: NotHere."""
        self._peer = other_end
        self._packets = packets
        self._blocks = packets.blocks
        places = host_memory.find(self._blocks, other_end.pid)
        if places is None:
            raise NotHere(f"{other_end.name} at the other end is not this machine")
        self._places = places
        self._native: list[_core.QemuProcess | _core.RamFile] = []
        self._why_files: str | None = None  # why files are read instead of the process
        self._in_files = 0  # number of places that are in files
        try:
            self._read_process()
        except Refusal as why:
            self._why_files = str(why)
            self._read_files()

    # As a source

    def describe(self) -> str:
        blocks = plural(len(self._places), "block")
        if self._why_files is None:
            pid = self._peer.pid
            return f"QEMU process {pid}, at the other end of the connection, {blocks} of memory"
        return (
            f"RAM files of QEMU process {self._peer.pid}, {self._in_files} of {blocks} of RAM and "
            f"ROM, the others by packets ({self._why_files})"
        )

    @property
    def native(self) -> _core.PhysicalMemory:
        return self._native[-1]

    @property
    def ram(self) -> list[Interval]:
        return [Interval(place.first, place.last) for place in self._places]

    @property
    def requests(self) -> int:
        return self._packets.requests + sum(memory.requests for memory in self._native)

    def begin(self) -> None:
        if not self._peer.is_there():
            raise NotHere(f"process {self._peer.pid} is no longer at the other end")
        self._packets.begin()
        if not self._is_where_it_was():
            raise NotHere("QEMU has moved the machine's memory")

    def _is_where_it_was(self) -> bool:
        # Asked even if the map of RAM is the same: a DIMM may have been replaced.
        blocks = self._packets.blocks
        if self._in_files:
            return host_memory.find(blocks, self._peer.pid) == self._places
        return blocks == self._blocks and all(
            host_memory.address_of(place.first) == place.address for place in self._places
        )

    def begin_piecemeal(self) -> bool:
        if self._in_files:
            return False
        if not self._peer.is_there():
            raise NotHere(f"process {self._peer.pid} is no longer at the other end")
        if self._packets.blocks != self._blocks:
            raise NotHere("QEMU has changed the machine's map of memory")
        return self._packets.begin_piecemeal()

    def piecemeal(self, wanted: Sequence[tuple[int, int]]) -> list[bytes | str]:
        for address, length in wanted:
            block, at = self._packets.make_sure(address, length)
            place = self._places[self._packets.blocks.index(block)]
            if at is not None and at != place.address + address - place.first:
                raise NotHere("QEMU has moved the machine's memory")
        return list(self.native(wanted))

    @contextmanager
    def reading(self) -> Iterator[None]:
        # Memory that is in no file comes by packets.
        try:
            with self._packets.reading(), super().reading():
                yield
        except native.core.SourceGone as gone:
            raise Refusal(str(gone)) from None

    # Ways to read, and the proof

    def _read_process(self) -> None:
        """Error: Refusal if the process may not be read, NotHere if it is another machine."""
        memory = native.core.QemuProcess(
            self._peer.pid, [(place.first, place.last, place.address) for place in self._places]
        )
        if not self._agrees(memory, self._places):
            # Every x86 machine has firmware.
            pid = self._peer.pid
            raise NotHere(f"the memory of process {pid} has nothing that tells machines apart")
        self._native = [memory]

    def _read_files(self) -> None:
        """Error: NotHere."""
        files = host_memory.open_files(
            [place.file for place in self._places if place.file is not None], self._peer.pid
        )
        memory: _Memory = self._packets.native
        try:
            for file, descriptor in files.items():
                blocks = [(p.first, p.last, p.offset) for p in self._places if p.file == file]
                file_memory = native.core.RamFile(descriptor, blocks, memory)
                self._native.append(file_memory)
                memory = file_memory
        finally:
            for descriptor in files.values():
                os.close(descriptor)
        if not self._native:
            raise NotHere(self._why_files)
        in_files = [place for place in self._places if place.file in files]
        # The answer does not matter: the files may be empty yet, and the socket proves the process.
        self._agrees(memory, in_files)
        self._in_files = len(in_files)

    def _agrees(self, memory: _Memory, places: Sequence[Place]) -> bool:
        """Compares samples with the stub's. True if any sample is more than one repeated byte.

        Error: NotHere if they differ.
        """
        with self.reading():
            probes = [_probes(place) for place in places]
            answers = [memory(wanted) for wanted in probes]
            samples = {
                probe: answer
                for wanted, found in zip(probes, answers)
                for probe, answer in _samples(wanted, found)
            }
            of_stub = self._packets.native(list(samples))
        for (address, _), mine, theirs in zip(samples, samples.values(), of_stub):
            if mine != theirs or not isinstance(theirs, bytes):
                raise NotHere(
                    f"{self._peer.name} at the other end is not this machine: "
                    f"it has other bytes at {address:#x}"
                )
        return any(_tells(sample) for sample in samples.values())


Probe = tuple[int, int]  # a physical address, a length

_PROBES = 32  # for each block
_PROBE = 64  # bytes
_TELLING = 4  # for each block: how many samples of more than one repeated byte


def _probes(place: Place) -> list[Probe]:
    """Probes spread over the block, with its beginning and its end."""
    size = place.last - place.first + 1
    length = min(_PROBE, size)
    spread = {(size - length) * n // (_PROBES - 1) for n in range(_PROBES)}
    return [(place.first + at, length) for at in sorted(spread)]


def _samples(
    probes: Sequence[Probe], answers: Sequence[bytes | str | Interrupted]
) -> list[tuple[Probe, bytes | str | Interrupted]]:
    """The probes that are worth packets: both ends, and some that differ between machines."""
    pairs = list(zip(probes, answers))
    telling = [pair for pair in pairs if _tells(pair[1])]
    return [pairs[0], pairs[-1], *telling[:_TELLING]]


def _tells(answer: bytes | str | Interrupted) -> bool:
    return isinstance(answer, bytes) and len(set(answer)) > 1
