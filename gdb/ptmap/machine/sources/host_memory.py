"""Where the machine's RAM and ROM are in the QEMU process."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from typing import Iterable, Sequence

from .. import remote
from .qemu_ram import Block
from .source import NotHere


@dataclass(frozen=True)
class File:
    """A file that a process maps; the two numbers identify it."""

    device: int
    inode: int


@dataclass(frozen=True)
class Place:
    """Where a block of physical memory is."""

    first: int  # physical addresses
    last: int
    address: int  # in the process
    file: File | None = None  # the file that has these pages, if one has
    offset: int = 0  # of the first byte in the file


@dataclass(frozen=True)
class _Mapping:
    """A line of /proc/PID/maps."""

    start: int
    end: int
    readable: bool
    file: File | None  # only of a shared mapping: a private one's pages are not the file's
    offset: int


def find(blocks: Sequence[Block], pid: int) -> list[Place] | None:
    """None if the process does not have all blocks at the addresses that QEMU gives.

    Error: NotHere if QEMU does not tell, or if access to the process is not permitted.
    """
    mappings = _mappings(pid)
    places = []
    for block in blocks:
        address = address_of(block.first)
        if address_of(block.last) - address != block.last - block.first:
            return None
        place = _place(block, address, mappings)
        if place is None:
            return None
        places.append(place)
    return places


_ADDRESS = re.compile(r"Host virtual address for 0x[0-9a-f]+ \(.*\) is (?:0x)?([0-9a-f]+)")


def address_of(address: int) -> int:
    """The host's address of a physical address. Error: NotHere."""
    found = _ADDRESS.search(remote.monitor(f"gpa2hva {address:#x}") or "")
    if not found:
        raise NotHere(f"QEMU does not say where it has {address:#x} (`monitor gpa2hva`)")
    return int(found[1], 16)


def _place(block: Block, address: int, mappings: Sequence[_Mapping]) -> Place | None:
    """The block, if readable mappings without a gap hold it at ADDRESS; else None."""
    end = address + block.last - block.first + 1
    behind = [m for m in mappings if m.start < end and m.end > address]
    at = address
    for mapping in behind:
        if mapping.start > at or not mapping.readable:
            return None
        at = mapping.end
    if at < end:
        return None
    offsets = {m.offset - m.start for m in behind}
    file = behind[0].file if len({m.file for m in behind}) == len(offsets) == 1 else None
    offset = behind[0].offset + address - behind[0].start if file else 0
    return Place(block.first, block.last, address, file, offset)


# "7f505bfff000-7f509bfff000 rw-s 00000000 00:01 5942  /memfd:memory-backend-memfd (deleted)"
_LINE = re.compile(
    r"^([0-9a-f]+)-([0-9a-f]+) (.)..(.) ([0-9a-f]+) ([0-9a-f]+):([0-9a-f]+) (\d+)", re.M
)


def _mappings(pid: int) -> list[_Mapping]:
    """Sorted. Error: NotHere."""
    try:
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as maps:
            text = maps.read()
    except OSError as error:
        raise NotHere(f"not permitted to look at process {pid}: {error.strerror}") from None
    return [
        _Mapping(
            int(start, 16),
            int(end, 16),
            readable == "r",
            File(os.makedev(int(major, 16), int(minor, 16)), int(inode))
            if shared == "s" and inode != "0"
            else None,
            int(offset, 16),
        )
        for start, end, readable, shared, offset, major, minor, inode in _LINE.findall(text)
    ]


def open_files(files: Iterable[File], pid: int) -> dict[File, int]:
    """Descriptors, for reading, of those files that the process has open and we may open."""
    wanted = set(files)
    found: dict[File, int] = {}
    try:
        links = [f"/proc/{pid}/fd/{name}" for name in os.listdir(f"/proc/{pid}/fd")]
    except OSError:
        return found
    for link in links:
        try:
            # Only wanted files are opened: others may be devices.
            if _file(os.stat(link)) not in wanted - found.keys():
                continue
            descriptor = os.open(link, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        file = _file(os.fstat(descriptor))
        if file in wanted - found.keys():
            found[file] = descriptor
        else:
            os.close(descriptor)
    return found


def _file(status: os.stat_result) -> File | None:
    return File(status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None
