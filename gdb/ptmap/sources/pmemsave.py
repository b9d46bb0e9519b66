"""Much of QEMU's memory at once, by its monitor's `pmemsave` into a private file.

A call costs about as much as two pages in packets, whatever its length: for many tables that lie
near each other that is a hundred times less. It needs a QEMU that can write where we can read: on
this host, of this user. Where it cannot nothing is lost, packets remain.
"""

from __future__ import annotations

import os
import tempfile
from typing import Iterator, Sequence

import gdb

_NEAR = 64 << 10  # bytes between two reads that are still worth one call
_WORTH = 4  # reads in a call
_LONGEST = 64 << 20


def groups(wanted: Sequence[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Reads (address, length) that lie near each other, where there are enough for a call."""
    group: list[tuple[int, int]] = []
    for address, length in sorted(wanted):
        near = group and address - sum(group[-1]) <= _NEAR
        if not near or address + length - group[0][0] > _LONGEST:
            if len(group) >= _WORTH:
                yield group
            group = []
        group.append((address, length))
    if len(group) >= _WORTH:
        yield group


def read(address: int, length: int) -> bytes | None:
    """None where QEMU cannot write such a file."""
    try:
        with tempfile.TemporaryDirectory(prefix="ptmap-") as folder:
            path = os.path.join(folder, "ram")
            gdb.execute(f'monitor pmemsave {address:#x} {length:#x} "{path}"', to_string=True)
            with open(path, "rb") as file:
                content = file.read()
    except (gdb.error, OSError):
        return None
    return content if len(content) == length else None
