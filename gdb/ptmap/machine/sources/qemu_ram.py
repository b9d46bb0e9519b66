"""Which physical addresses are RAM or ROM in QEMU, by its monitor."""

from __future__ import annotations

import re
from dataclasses import dataclass

import gdb

from ...base.errors import Refusal

COMMAND = "info mtree -f"


@dataclass(frozen=True, order=True)
class Block:
    """A run of physical addresses that belongs to one piece of RAM or ROM."""

    first: int
    last: int
    name: str  # "pc.ram"
    offset: int  # of its first byte in the piece with this name


def monitor_text(connection: gdb.TargetConnection) -> str:
    """QEMU's own list of its memory. Error: Refusal if its monitor does not answer."""
    try:
        return gdb.execute(f"monitor {COMMAND}", to_string=True)
    except gdb.error as error:
        if not connection.is_valid():
            raise
        raise Refusal(f"QEMU's monitor does not say what is RAM: {error}") from None


# "0000000000100000-0000000007ffffff (prio 0, ram): pc.ram @0000000000100000 KVM"
_BLOCK = re.compile(
    r"\s*([0-9a-f]{16})-([0-9a-f]{16}) \(prio -?\d+, (?:nv-)?(?:ram|rom|romd)\): "
    r"(.*?)(?: @([0-9a-f]{16}))?(?: KVM)?\s*$"
)


def blocks(mtree: str) -> list[Block]:
    """Sorted, from the FlatView of the address space "memory", through which physical reads go.

    Error: Refusal if there are none.
    """
    for view in mtree.split("FlatView #"):
        if ' AS "memory",' in view:
            found = (_BLOCK.match(line) for line in view.splitlines())
            if ram := sorted(_block(line) for line in found if line):
                return ram
    raise Refusal(f"QEMU's monitor does not say what is RAM (`monitor {COMMAND}`)")


def _block(line: re.Match[str]) -> Block:
    first, last, name, offset = line.groups(default="0")
    return Block(int(first, 16), int(last, 16), name, int(offset, 16))
