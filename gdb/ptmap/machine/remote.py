"""Packets and `monitor` commands to the stub at the other end of GDB's connection."""

from __future__ import annotations

from typing import Any

import gdb

ENDED = "the connection to the target ended: attach again"


def takes_packets(connection: gdb.TargetConnection | None) -> bool:
    """Whether there is a stub behind it."""
    return connection is not None and hasattr(connection, "send_packet")


def send(connection: Any, packet: str) -> bytes | None:
    """The reply; None for an empty one, of a stub that does not know the packet. Error: gdb.error
    if the connection ends, or has ended."""
    try:
        reply: bytes | None = connection.send_packet(packet)
        return reply
    except gdb.error:
        raise
    except RuntimeError:  # "Connection no longer exists."
        raise gdb.error(ENDED) from None


def monitor(command: str) -> str | None:
    """What `monitor COMMAND` says; None if the stub refuses it. Error: gdb.error if the connection
    ends: nothing else is worth asking then."""
    try:
        return gdb.execute(f"monitor {command}", to_string=True)
    except gdb.error:
        if gdb.selected_inferior().connection is None:
            raise
        return None
