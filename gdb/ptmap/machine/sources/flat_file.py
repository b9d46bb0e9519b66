"""Raw images: byte N of the file is physical address N.

The file of a QEMU's RAM (memory-backend-file) is different if the machine has RAM above 4 GiB: in
the file that RAM follows the lower part without a gap. If the target is a QEMU, its map of RAM says
where the parts are.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import gdb

from ...base import native
from ...base.errors import Refusal
from ...base.interval import Interval
from ...base.text import printable, short_size
from .. import qemu_stub
from .qemu_ram import Block, blocks, monitor_text
from .source import NotHere, Source

if TYPE_CHECKING:
    from ... import _core


def open_source(path: str | None, connection: gdb.TargetConnection | None) -> FlatFile:
    """Error: NotHere."""
    if path is None:
        raise NotHere("it needs a PATH")
    core, raw, path = native.core, os.fsencode(path), printable(path)
    try:
        flat = core.FlatFile(raw)
        ram = _ram_in(flat.size, connection)
        if not ram:
            return FlatFile(path, flat, "byte N is physical address N")
        pieces = [(block.first, block.last + 1 - block.first, block.offset) for block in ram]
        return FlatFile(path, core.FlatFile(raw, pieces), f"QEMU's {ram[0].name}")
    except core.FileError as error:
        raise NotHere(f"{path}: {error}") from None


def _ram_in(size: int, connection: gdb.TargetConnection | None) -> list[Block]:
    """The parts of QEMU's main memory if it has exactly this size; else empty."""
    if connection is None or not qemu_stub.is_qemu(connection):
        return []
    try:
        known = blocks(monitor_text(connection))
    except Refusal:
        return []

    def end(block: Block) -> int:
        return block.offset + block.last + 1 - block.first

    # The largest is the machine's main memory. QEMU maps all of it, except holes for its ROMs.
    name = max(known, key=end).name
    pieces = [block for block in known if block.name == name]
    return pieces if max(map(end, pieces)) == size else []


class FlatFile(Source):
    name = "file"
    knows_ram = False  # the file does not have the firmware's ROM

    def __init__(self, path: str, file: _core.FlatFile, mapped: str) -> None:
        self._path, self._file, self._mapped = path, file, mapped
        self._ram: list[Interval] = [Interval(*one) for one in file.ram]

    def describe(self) -> str:
        return f"file {self._path}, {short_size(self._file.size)}, {self._mapped}"

    @property
    def native(self) -> _core.PhysicalMemory:
        return self._file

    @property
    def ram(self) -> list[Interval]:
        return self._ram

    @property
    def requests(self) -> int:
        return int(self._file.requests)

    def begin(self) -> None:
        # A changed file is no reason to open it again: a machine writes to its RAM file all the
        # time.
        if self._file.replaced:
            raise NotHere(f"{self._path}: {self._file.replaced}")  # choose.py opens it again
