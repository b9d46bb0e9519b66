"""The physical mode of QEMU's gdbstub: `m` packets read physical memory (Qqemu.PhyMemMode).

The mode is a global flag of the stub. It stays on even after the connection ends.
"""

from __future__ import annotations

import gdb

from ..base import lifetimes
from ..base.errors import Refusal
from .remote import send, takes_packets

_ON, _OFF, _ASK = "Qqemu.PhyMemMode:1", "Qqemu.PhyMemMode:0", "qqemu.PhyMemMode"


def physical_mode(connection: gdb.TargetConnection | None) -> bool | None:
    """Whether the mode is on; None if the other end is not a QEMU with this mode."""
    if not takes_packets(connection):
        return None
    return {b"0": False, b"1": True}.get(send(connection, _ASK) or b"")


def enter_physical_mode(connection: gdb.RemoteTargetConnection) -> None:
    """Error: Refusal."""
    if send(connection, _ON) != b"OK":
        raise Refusal("QEMU's stub refused its physical-memory mode")


def leave_physical_mode(connection: gdb.RemoteTargetConnection) -> None:
    """Ends the mode and makes sure of it. Error: Refusal if it does not end.

    Both replies must be right at the first attempt. If a reply came late, every reply since belongs
    to an earlier packet, and the memory that was read is wrong.
    """
    for attempt in range(3):
        if not connection.is_valid():
            return  # the connection ended; the next session repairs the mode
        if send(connection, _OFF) == b"OK" and physical_mode(connection) is False:
            if attempt == 0:
                return
            break
    raise Refusal(
        "QEMU's stub does not confirm the end of its physical-memory mode, or its replies are "
        "out of step: disconnect and attach again"
    )


class _Stub:
    """Lives as long as a connection."""

    is_qemu: bool | None = None  # asked once, as a slow line may be behind it


def is_qemu(connection: gdb.TargetConnection | None) -> bool:
    """Whether it is a QEMU, with the mode or older: kgdb and gdbserver know neither packet."""
    if connection is None or not takes_packets(connection):
        return False
    stub = lifetimes.connection(connection.num).of(_Stub)
    if stub.is_qemu is None:
        replies = (send(connection, packet) for packet in (_ASK, "qqemu.sstepbits"))
        stub.is_qemu = any(replies)  # an empty reply is None: not known there
    return stub.is_qemu
