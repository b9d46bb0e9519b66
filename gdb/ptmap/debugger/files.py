"""Writes and reads files that the user names. Ctrl-C ends each wait, whatever the name is: a FIFO
that nobody reads or writes, a terminal at rest."""

from __future__ import annotations

import errno
import os
import select
import stat
import tempfile
from contextlib import suppress
from typing import BinaryIO

import gdb

from ..base.errors import Refusal
from ..base.text import Text, flat, printable

# GDB itself writes to these. To open one again would cut a file; a socket cannot be opened.
_OWN = {
    **{name: 1 for name in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")},
    **{name: 2 for name in ("/dev/stderr", "/dev/fd/2", "/proc/self/fd/2")},
}
_AT_ONCE = select.PIPE_BUF  # bytes that a pipe which polls as ready takes without waiting
_EVERY = 20  # milliseconds
_NEW = 0o666  # permissions, less the umask


def write(path: str, content: bytes | Text, wait: bool = True) -> None:
    """A long text comes in pieces: Ctrl-C works between two. Without WAIT, what a reader does not
    take at once is lost. Error: Refusal."""
    pieces = (
        [content]
        if isinstance(content, bytes)
        else (piece.encode("ascii", "backslashreplace") for piece in flat(content))
    )
    try:
        descriptor = _open(path)
        try:
            for piece in pieces:
                _write(descriptor, memoryview(piece), wait)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise Refusal(f"{_shown(path)}: {_why(error, path)}") from None


def _shown(path: str) -> str:
    return printable(path) or "no name"


def _why(error: OSError, path: str) -> str:
    if error.errno == errno.EPIPE:
        return "its reader went away"
    if error.errno == errno.ENXIO:
        with suppress(OSError):
            if stat.S_ISFIFO(os.stat(os.path.expanduser(path)).st_mode):
                return "a FIFO that nobody reads"
            if stat.S_ISSOCK(os.stat(os.path.expanduser(path)).st_mode):
                return "a socket"
    return error.strerror


def _open(path: str) -> int:
    if path in _OWN:
        gdb.flush()
        return os.dup(_OWN[path])
    how = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NONBLOCK | os.O_NOCTTY
    return os.open(os.path.expanduser(path), how, _NEW)


def _write(descriptor: int, content: memoryview, wait: bool) -> None:
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        while content:
            content = content[os.write(descriptor, content) :]
        return
    ready = select.poll()
    ready.register(descriptor, select.POLLOUT)
    while content:
        # Ctrl-C works between two polls, but not in a write: GDB's handler has SA_RESTART.
        if ready.poll(_EVERY if wait else 0):
            with suppress(BlockingIOError):
                content = content[os.write(descriptor, content[:_AT_ONCE]) :]
        elif not wait:
            return


def replace(path: str, content: bytes) -> None:
    """Writes a file whole or not at all: on an error the old file stays. Error: Refusal, also if
    PATH is not a regular file."""
    place = os.path.realpath(os.path.expanduser(path))
    temporary = None
    try:
        _require_replaceable(place, path)
        descriptor, temporary = tempfile.mkstemp(prefix=".ptmap-", dir=os.path.dirname(place))
        with open(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(descriptor, _mode(place))
        os.replace(temporary, place)
        temporary = None
    except OSError as error:
        raise Refusal(f"{_shown(path)}: {error.strerror}") from None
    finally:
        if temporary is not None:
            with suppress(OSError):
                os.unlink(temporary)


def _require_replaceable(place: str, path: str) -> None:
    """Error: Refusal, OSError, if the file itself could not be written to."""
    try:
        status = os.stat(place)
    except FileNotFoundError:
        return
    if not stat.S_ISREG(status.st_mode):
        raise Refusal(f"{_shown(path)}: no regular file")
    if not os.access(place, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _mode(path: str) -> int:
    """The permissions of the file that is there, or those of any new file."""
    with suppress(OSError):
        return stat.S_IMODE(os.stat(path).st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return _NEW & ~mask


def open_regular(path: str) -> BinaryIO:
    """For reading. Error: Refusal if it is not a regular file; OSError."""
    place = os.path.expanduser(path)
    # Before it is opened: opening and closing a FIFO gives a process that waits to write SIGPIPE.
    _require_regular(os.stat(place), path)
    file = open(place, "rb", opener=lambda name, how: os.open(name, how | os.O_NONBLOCK))
    try:
        _require_regular(os.fstat(file.fileno()), path)
    except Refusal:
        file.close()
        raise
    return file


def _require_regular(status: os.stat_result, path: str) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise Refusal(f"{printable(path)} is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise Refusal(f"{printable(path)} is no regular file")
