"""QEMU's gdbstub: its mode in which every `m` packet is physical (Qqemu.PhyMemMode).

It is one global flag of the stub that even outlives the connection.
"""

from __future__ import annotations

import gdb

from ..base import lifetimes
from ..base.errors import Refusal
from .remote import send, takes_packets

_ON, _OFF, _ASK = "Qqemu.PhyMemMode:1", "Qqemu.PhyMemMode:0", "qqemu.PhyMemMode"


def physical_mode(connection: gdb.TargetConnection | None) -> bool | None:
    """Whether the mode is on; None where the other end is not a QEMU that has it."""
    if not takes_packets(connection):
        return None
    return {b"0": False, b"1": True}.get(send(connection, _ASK) or b"")


def enter_physical_mode(connection: gdb.RemoteTargetConnection) -> None:
    """Error: Refusal."""
    if send(connection, _ON) != b"OK":
        raise Refusal("QEMU's stub refused its physical-memory mode")


def leave_physical_mode(connection: gdb.RemoteTargetConnection) -> None:
    """Ends the mode and makes sure of it. Error: Refusal where it does not end.

    Both replies must be the right ones at once: where one came late every reply since belongs to
    an earlier packet, and what was read is worth nothing.
    """
    for attempt in range(3):
        if not connection.is_valid():
            return  # it died; whoever attaches next repairs the mode
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
    """Any QEMU, also one from before it had the mode: kgdb and gdbserver know no such packets."""
    if connection is None or not takes_packets(connection):
        return False
    stub = lifetimes.connection(connection.num).of(_Stub)
    if stub.is_qemu is None:
        replies = (send(connection, packet) for packet in (_ASK, "qqemu.sstepbits"))
        stub.is_qemu = any(replies)  # an empty reply is None: not known there
    return stub.is_qemu
