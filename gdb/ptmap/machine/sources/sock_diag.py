"""Asks the host's kernel for a socket's other end: sock_diag(7), over netlink.

It asks for TCP sockets too: reading /proc/net/tcp takes tens of milliseconds even with few
connections, because the kernel goes through its whole table.
"""

from __future__ import annotations

import os
import socket
import struct

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLMSG_ERROR = 2
_NLM_F_REQUEST = 1
_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_ANY = 0xFFFFFFFF  # any state; any half of a cookie

# unix_diag_req: family, protocol, pad, states, inode, show, cookie
_UNIX_REQUEST = struct.Struct("=BBHIIIII")
_UDIAG_SHOW_PEER = 4
_UNIX_MESSAGE_BYTES = 16
_ATTRIBUTE = struct.Struct("=HH")  # nlattr: length, type
_UNIX_DIAG_PEER = 2

# inet_diag_req_v2: family, protocol, extensions, pad, states, then an inet_diag_sockid: its port,
# the other end's (big-endian), its address, the other end's, interface, cookie
_INET_REQUEST = struct.Struct("=BBBxI2s2s16s16sIII")
# inet_diag_msg: family, state, timer, retransmissions, the sockid, expires, queues, uid, inode
_INET_MESSAGE = struct.Struct("=BBBB48sIIIII")
_TCP_ESTABLISHED = 1

End = tuple[str, int]  # a numeric address, a port


def unix_peer(inode: int) -> int | None:
    """The inode of the UNIX socket to which the socket with this inode is connected; None if it is
    not connected. Error: OSError."""
    answer = _ask(
        _UNIX_REQUEST.pack(socket.AF_UNIX, 0, 0, _ANY, inode, _UDIAG_SHOW_PEER, _ANY, _ANY)
    )
    at = _UNIX_MESSAGE_BYTES
    while at + _ATTRIBUTE.size < len(answer):
        size, attribute = _ATTRIBUTE.unpack_from(answer, at)
        if attribute == _UNIX_DIAG_PEER:
            return int(struct.unpack_from("=I", answer, at + _ATTRIBUTE.size)[0])
        at += max(size + 3 & ~3, _ATTRIBUTE.size)
    return None


def tcp_socket(local: End, remote: End) -> int | None:
    """The inode of the connected TCP socket with these two addresses, in this network namespace;
    None if there is none. Error: OSError."""
    family = socket.AF_INET6 if ":" in local[0] else socket.AF_INET
    try:
        answer = _ask(
            _INET_REQUEST.pack(
                family,
                socket.IPPROTO_TCP,
                0,
                _ANY,
                local[1].to_bytes(2, "big"),
                remote[1].to_bytes(2, "big"),
                _address(family, local),
                _address(family, remote),
                0,
                _ANY,
                _ANY,
            )
        )
    except FileNotFoundError:
        return None
    _, state, *_, inode = _INET_MESSAGE.unpack_from(answer)
    # If there is no such connection the kernel answers with the socket that listens there.
    return inode if state == _TCP_ESTABLISHED and inode else None


def _address(family: int, end: End) -> bytes:
    return socket.inet_pton(family, end[0].partition("%")[0])


def _ask(request: bytes) -> bytes:
    """The answer's message, without the netlink header. Error: OSError."""
    head = _HEADER.pack(_HEADER.size + len(request), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(2)
        kernel.send(head + request)
        answer = kernel.recv(1 << 16)
    length, kind, *_ = _HEADER.unpack_from(answer)
    if kind == _NLMSG_ERROR:
        error = -struct.unpack_from("=i", answer, _HEADER.size)[0]
        raise OSError(error, os.strerror(error))
    return answer[_HEADER.size : length]
