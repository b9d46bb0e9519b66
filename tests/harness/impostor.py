"""Passes GDB's connection on to a QEMU, and has memory where that QEMU has its machine's.

    impostor.py LISTEN TARGET [ADDRESS:LENGTH...]

Both are paths of UNIX sockets; the memory is zeros, at these addresses of its own. Prints a line
when it listens, and serves one connection after the other.
"""

from __future__ import annotations

import ctypes
import select
import socket
import subprocess
import sys
from pathlib import Path
from typing import Sequence

_READ, _PRIVATE, _ANONYMOUS, _NORESERVE, _FIXED_NOREPLACE = 1, 2, 0x20, 0x4000, 0x100000


class Impostor:
    """One as a process. A context manager."""

    def __init__(self, path: Path, target: str, memory: Sequence[tuple[int, int]] = ()) -> None:
        self.path = path
        self._process = subprocess.Popen(
            [
                sys.executable,
                __file__,
                str(path),
                target,
                *(f"{address:#x}:{length:#x}" for address, length in memory),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            self.__exit__()
            raise RuntimeError("the impostor cannot have this memory")

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> Impostor:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


def _map(address: int, length: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_long,
    ]
    flags = _PRIVATE | _ANONYMOUS | _NORESERVE | _FIXED_NOREPLACE
    if libc.mmap(address, length, _READ, flags, -1, 0) != address:
        raise OSError(ctypes.get_errno(), f"no memory at {address:#x}")


def _forward(one: socket.socket, other: socket.socket) -> None:
    while True:
        for ready in select.select([one, other], [], [])[0]:
            data = ready.recv(1 << 16)
            if not data:
                return
            (other if ready is one else one).sendall(data)


def _main(listen: str, target: str, *memory: str) -> None:
    for place in memory:
        address, _, length = place.partition(":")
        _map(int(address, 16), int(length, 16))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(listen)
        listening.listen()
        print("listening", flush=True)
        while True:
            with listening.accept()[0] as ours, socket.socket(socket.AF_UNIX) as theirs:
                theirs.connect(target)
                _forward(ours, theirs)


if __name__ == "__main__":
    _main(*sys.argv[1:])
