"""Finds the process of this host that is at the other end of GDB's connection.

It looks up the socket that is connected to GDB's own, and the process that holds it. Who listens at
the address, or has a likely name, does not count. So several QEMUs are told apart, and socat or
ssh, which only forward a connection, are not mistaken for QEMU.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import Any, Iterator

import gdb

from . import sock_diag
from .source import NotHere

_UNSEEN = "the process at the other end of the connection cannot be seen from here"


@dataclass(frozen=True)
class Peer:
    """A process that holds the socket at the other end."""

    pid: int
    descriptor: int  # the socket's descriptor in that process
    inode: int  # the socket

    @property
    def name(self) -> str:
        """For messages: "process 123 (socat)"."""
        try:
            with open(f"/proc/{self.pid}/comm", encoding="utf-8", errors="replace") as comm:
                name = "".join(c if " " < c <= "~" else "?" for c in comm.read().strip())
                return f"process {self.pid} ({name})"
        except OSError:
            return f"process {self.pid}"

    def is_there(self) -> bool:
        """Whether that process still has this socket, under the same descriptor."""
        return _socket_at(f"/proc/{self.pid}/fd/{self.descriptor}") == self.inode


def find(connection: gdb.RemoteTargetConnection) -> Peer:
    """The process. Error: NotHere if it cannot be seen, or if there are several."""
    try:
        if os.readlink("/proc/self") != str(os.getpid()):
            raise NotHere("/proc belongs to another PID namespace")
        with _own_socket(connection.details or "") as ours:
            inode = _other_end(ours)
        peers = list(_holders(inode)) if inode else []
    except OSError:  # no /proc
        raise NotHere(_UNSEEN) from None
    if not peers:
        raise NotHere(_UNSEEN)
    if len({peer.pid for peer in peers}) > 1:
        pids = ", ".join(str(peer.pid) for peer in peers)
        raise NotHere(f"several processes hold the other end of the connection: {pids}")
    return peers[0]


# GDB's own socket


def _own_socket(details: str) -> socket.socket:
    """A copy of the socket that GDB's connection uses.

    `details` is what the user typed after `target remote`. GDB does not tell the descriptor.
    """
    if details.startswith("|"):
        raise NotHere("GDB talks through a pipe to a program that it started")
    by_inode: dict[int, socket.socket] = {}
    for entry in os.listdir("/proc/self/fd"):
        inode = _socket_at(f"/proc/self/fd/{entry}")
        if inode is None or inode in by_inode:
            continue
        try:
            by_inode[inode] = socket.socket(fileno=os.dup(int(entry)))
        except OSError:
            pass
    fitting = _fitting(details, list(by_inode.values()))
    for other in by_inode.values():
        if fitting != [other]:
            other.close()
    if len(fitting) != 1:
        which = "several of GDB's sockets are" if fitting else "none of GDB's sockets is"
        for other in fitting:
            other.close()
        raise NotHere(f"{which} connected to {details}")
    return fitting[0]


def _fitting(details: str, sockets: list[socket.socket]) -> list[socket.socket]:
    """The sockets that may be the connection's; the right one is always among them."""
    if ":" in details:  # as GDB tells addresses from paths
        port = details.rpartition(":")[2]
        return [
            s
            for s in sockets
            if s.family in (socket.AF_INET, socket.AF_INET6)
            and str((_peer_name(s) or ("", ""))[1]) == port
        ]
    named = [(s, _peer_name(s)) for s in sockets if s.family == socket.AF_UNIX]
    named = [(s, path) for s, path in named if path and isinstance(path, str)]
    if len(named) > 1:
        # The path is as the other end bound it, so it may be relative to that process's folder.
        wanted = os.path.realpath(details)
        named = [
            (s, path)
            for s, path in named
            if (
                os.path.realpath(path) == wanted
                if os.path.isabs(path)
                else os.path.basename(path) == os.path.basename(wanted)
            )
        ]
    return [s for s, _ in named]


def _peer_name(sock: socket.socket) -> Any:
    try:
        return sock.getpeername()
    except OSError:
        return None


# The socket at the other end


def _other_end(ours: socket.socket) -> int | None:
    """Its inode; None if there is none in this network namespace."""
    try:
        if ours.family == socket.AF_UNIX:
            return sock_diag.unix_peer(os.fstat(ours.fileno()).st_ino)
        # It has the same two addresses, the other way round.
        return sock_diag.tcp_socket(ours.getpeername()[:2], ours.getsockname()[:2])
    except OSError as error:
        raise NotHere(f"the kernel does not tell a socket's other end: {error}") from None


# Who holds it


def _holders(inode: int) -> Iterator[Peer]:
    """The processes that hold the socket, among those whose descriptors we may list."""
    for pid in os.listdir("/proc"):
        if not pid.isdecimal():
            continue
        try:
            descriptors = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            continue  # another user's process, or it has ended
        for descriptor in descriptors:
            if _socket_at(f"/proc/{pid}/fd/{descriptor}") == inode:
                yield Peer(int(pid), int(descriptor), inode)
                break


def _socket_at(link: str) -> int | None:
    """The inode of the socket that a link in /proc/PID/fd stands for; None if it is not one."""
    try:
        what = os.readlink(link)
    except OSError:
        return None
    return int(what[8:-1]) if what.startswith("socket:[") else None
