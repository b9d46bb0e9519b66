"""Reads much of QEMU's memory at once: its monitor's `pmemsave` writes into a file of ours.

A call of any length costs about as much as two pages in packets. For many tables that lie near each
other that is a hundred times less. QEMU must be able to write a file that we can read: it runs on
this host, as this user. If it cannot, packets still work.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from contextlib import contextmanager, suppress
from typing import Iterator, Sequence

from ...base import private_folder
from .. import remote

_NEAR = 64 << 10  # reads this many bytes apart still go into one call
_WORTH = 4  # fewer reads are not worth a call
_LONGEST = 64 << 20
_UNUSUAL = 200  # another process hardly has a descriptor from this number on


def groups(wanted: Sequence[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Groups of reads (address, length) that lie near each other, each worth a call."""
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
    """One QEMU's pmemsave. Guest memory goes into an unnamed file of this process (memfd), which
    QEMU opens through /proc: nothing of it is left if a process is killed. If QEMU cannot open
    that, a file in the private folder is used, which the next GDB removes."""

    def __init__(self) -> None:
        self._is_proved: bool | None = None  # /proc/PID is this process for QEMU too

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
    """This process's descriptors in /proc, by its number there. Error: OSError."""
    return f"/proc/{os.readlink('/proc/self')}/fd"


def _is_proved() -> bool:
    """Whether QEMU finds this process's descriptors there. On another host, or in another
    namespace, the number may be another process's, whose files must not be written to. So QEMU
    makes a file in the folder behind one of our descriptors, and we look whether it is there: in
    the other process that descriptor is not a folder, or not this one."""
    with suppress(OSError), _in_folder() as (name, path):
        at = fcntl.fcntl(private_folder.descriptor(), fcntl.F_DUPFD_CLOEXEC, _UNUSUAL)
        try:
            _save(0, 0, f"{_own()}/{at}/{name}")  # an empty file is enough
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
    """A new name in the private folder, and its path. At the end the file is removed."""
    name = f"ram-{secrets.token_hex(8)}"
    path = os.path.join(private_folder.path(), name)
    try:
        yield name, path
    finally:
        with suppress(FileNotFoundError):
            os.unlink(path)


def _save(address: int, length: int, path: str) -> None:
    """Only the file shows whether QEMU did it. Error: gdb.error if the connection ends."""
    remote.monitor(f'pmemsave {address:#x} {length:#x} "{path}"')
