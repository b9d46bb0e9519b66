"""Much of QEMU's memory at once, by its monitor's `pmemsave` into a file of ours.

A call costs about as much as two pages in packets, whatever its length: for many tables that lie
near each other that is a hundred times less. It needs a QEMU that can write where we can read: on
this host, of this user. Where it cannot nothing is lost, packets remain.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from contextlib import contextmanager, suppress
from typing import Iterator, Sequence

from ...base import private_folder
from .. import remote

_NEAR = 64 << 10  # bytes between two reads that are still worth one call
_WORTH = 4  # reads in a call
_LONGEST = 64 << 20
_UNUSUAL = 200  # the least number of a descriptor that another process hardly has


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


class Saver:
    """One QEMU's pmemsave. Guest memory goes into a file without a name, of this process (memfd),
    which QEMU opens by /proc: whoever is killed in between, nothing of it is left. If QEMU cannot
    open that, it goes into the private folder, which the next GDB sweeps."""

    def __init__(self) -> None:
        self._is_proved: bool | None = None  # that /proc/PID is this process for QEMU too

    def read(self, address: int, length: int) -> bytes | None:
        """None if QEMU cannot write a file that can be read here."""
        try:
            if self._is_proved is None:
                self._is_proved = hasattr(os, "memfd_create") and _is_proved()
            content = _by_memfd(address, length) if self._is_proved else b""
            if len(content) != length:
                self._is_proved = False
                content = _by_folder(address, length)
        except OSError:
            return None
        return content if len(content) == length else None


def _own() -> str:
    """This process in /proc, whatever its number is in its own namespace. Error: OSError."""
    return f"/proc/{os.readlink('/proc/self')}/fd"


def _is_proved() -> bool:
    """Whether QEMU finds this process's descriptors there: what it makes in the folder behind one
    of them is in the folder. On another host, or in another namespace, that number may be another
    process's, and its files must not be written to: they are no folder, or not the one."""
    with suppress(OSError), _in_folder() as (name, path):
        at = fcntl.fcntl(private_folder.descriptor(), fcntl.F_DUPFD_CLOEXEC, _UNUSUAL)
        try:
            _save(0, 0, f"{_own()}/{at}/{name}")  # not a byte: the file is all
            return os.path.exists(path)
        finally:
            os.close(at)
    return False


def _by_memfd(address: int, length: int) -> bytes:
    descriptor = os.memfd_create("ptmap", os.MFD_CLOEXEC)
    try:
        _save(address, length, f"{_own()}/{descriptor}")
        return os.pread(descriptor, length, 0)
    finally:
        os.close(descriptor)


def _by_folder(address: int, length: int) -> bytes:
    with _in_folder() as (_, path):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        _save(address, length, path)
        with open(path, "rb") as file:
            return file.read()


@contextmanager
def _in_folder() -> Iterator[tuple[str, str]]:
    """A new name in the private folder, and its path. What is there is gone in the end."""
    name = f"ram-{secrets.token_hex(8)}"
    path = os.path.join(private_folder.path(), name)
    try:
        yield name, path
    finally:
        with suppress(FileNotFoundError):
            os.unlink(path)


def _save(address: int, length: int, path: str) -> None:
    """The file shows whether QEMU did it. Error: gdb.error if the connection ends."""
    remote.monitor(f'pmemsave {address:#x} {length:#x} "{path}"')
