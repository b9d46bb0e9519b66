"""A folder of this GDB's own for what comes from the guest, which nobody else may read.

It goes when GDB ends. If GDB is killed it stays, and the next GDB that loads ptmap removes it. A
folder whose owner lives is locked (flock), and a lock ends with its process, however that ends.
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
    lock = -1  # a descriptor of it


def _ours() -> _Folder:
    return lifetimes.session.of(_Folder)


def path() -> str:
    """Made when it is first asked for. Error: OSError."""
    ours = _ours()
    for _ in range(_TRIES if ours.path is None else 0):
        made = tempfile.mkdtemp(prefix=_PREFIX)
        lock = _locked(made, fcntl.LOCK_SH)
        if lock is not None and os.path.isdir(made):
            ours.path, ours.lock = made, lock
            atexit.register(shutil.rmtree, made, ignore_errors=True)
            break
        # Another GDB swept it before it was locked, or this file system has no locks.
        if lock is not None:
            os.close(lock)
        with suppress(OSError):
            os.rmdir(made)
    if ours.path is None:
        raise OSError(0, "no folder can be locked", tempfile.gettempdir())
    return ours.path


def descriptor() -> int:
    """Of the folder; see path()."""
    path()
    return _ours().lock


def sweep() -> None:
    """Removes those of this user's GDBs that were killed. A link is not followed, and stays."""
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
            shutil.rmtree(folder, ignore_errors=True)  # it follows no link either
    finally:
        os.close(lock)


def _locked(folder: str, how: int) -> int | None:
    """A descriptor of the folder with a lock; None if it is another's, or no folder."""
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
