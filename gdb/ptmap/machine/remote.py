"""Packets and `monitor` commands to the stub at the other end of GDB's connection."""

from __future__ import annotations

from typing import Any

import gdb

ENDED = "the connection to the target ended: attach again"


def takes_packets(connection: gdb.TargetConnection | None) -> bool:
    """Whether the other end is a stub."""
    return connection is not None and hasattr(connection, "send_packet")


def send(connection: Any, packet: str) -> bytes | None:
    """The reply; None if the stub does not know the packet (an empty reply). Error: gdb.error if
    the connection ends, or has ended."""
    try:
        reply: bytes | None = connection.send_packet(packet)
        return reply
    except gdb.error:
        raise
    except RuntimeError:  # "Connection no longer exists."
        raise gdb.error(ENDED) from None


def monitor(command: str) -> str | None:
    """The output of `monitor COMMAND`; None if the stub refuses it. Error: gdb.error if the
    connection ends."""
    try:
        return gdb.execute(f"monitor {command}", to_string=True)
    except gdb.error:
        if gdb.selected_inferior().connection is None:
            raise
        return None
