"""This GDB's own folder for what comes from the guest. Nobody else may read it.

It is removed when GDB ends. If GDB is killed it stays, and the next GDB that loads ptmap removes
it. The owner holds a lock (flock) on its folder; a lock ends with its process, however that ends.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import stat
import tempfile
from contextlib import suppress

from . import lifetimes

_PREFIX = "ptmap-gdb-"
_TRIES = 10


class _Folder:
    """Lives as long as GDB."""

    path: str | None = None
    lock = -1  # the descriptor that holds the lock


def _ours() -> _Folder:
    return lifetimes.session.of(_Folder)


def path() -> str:
    """The folder's path; the folder is made at the first call. Error: OSError."""
    ours = _ours()
    for _ in range(_TRIES if ours.path is None else 0):
        made = tempfile.mkdtemp(prefix=_PREFIX)
        lock = _locked(made, fcntl.LOCK_SH)
        if lock is not None and os.path.isdir(made):
            ours.path, ours.lock = made, lock
            atexit.register(shutil.rmtree, made, ignore_errors=True)
            break
        # Another GDB removed it before it was locked, or this file system has no locks.
        if lock is not None:
            os.close(lock)
        with suppress(OSError):
            os.rmdir(made)
    if ours.path is None:
        raise OSError(0, "no folder can be locked", tempfile.gettempdir())
    return ours.path


def descriptor() -> int:
    """An open descriptor of the folder. Error: OSError."""
    path()
    return _ours().lock


def sweep() -> None:
    """Removes the folders of this user's killed GDBs. A symbolic link stays; none is followed."""
    with suppress(OSError):
        for entry in os.scandir(tempfile.gettempdir()):
            if entry.name.startswith(_PREFIX) and entry.is_dir(follow_symlinks=False):
                _sweep(entry.path)


def _sweep(folder: str) -> None:
    lock = _locked(folder, fcntl.LOCK_EX)
    if lock is None:
        return
    try:
        status = os.fstat(lock)
        if status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) == 0o700:
            shutil.rmtree(folder, ignore_errors=True)  # follows no link either
    finally:
        os.close(lock)


def _locked(folder: str, how: int) -> int | None:
    """A descriptor that locks the folder; None if another has the lock, or it is no folder."""
    try:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(opened, how | fcntl.LOCK_NB)
    except OSError:
        os.close(opened)
        return None
    return opened
