#!/usr/bin/python3 -I
"""Nothing stays behind: what a process has started ends with it, however it ends.

A guard waits, in a session of its own, for the end of its owner. Then it terminates, and a little
later kills, what the owner has started, children of children too, whatever their parent, group and
session are by now: the guard's mark is in their environment, or they are forks that have the
guard's folder open, as their owner had. And it removes the temporary folders that nobody holds.

In Python: guard.start(), and guard.Folder instead of tempfile.TemporaryDirectory. In bash:

    work=$(tests/harness/guard.py $$)  # the guard's folder, for the script's own files
    export PTMAP_GUARDS=${PTMAP_GUARDS-}:$work
    exec 9<"$work"
"""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_MARKS = "PTMAP_GUARDS"  # the folders of a process's guards; those of its forebears come first
_PREFIX = "ptmap-run-"
SHORT = "/tmp"  # not $TMPDIR: a UNIX socket's path has room for 107 characters
SHM = "/dev/shm"
_GRACE, _PATIENCE = 2, 60  # seconds to end by SIGTERM, and in all
_owner = 0  # the process that start() was called in
_fork_mark: int | None = None  # the guard's folder, open


def start() -> None:
    """From now on, what this process starts ends with it. Harmless twice."""
    global _owner, _fork_mark
    if _owner == os.getpid():  # not a fork
        return
    command = [sys.executable, "-I", __file__, str(os.getpid())]
    folder = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    os.environ[_MARKS] = f"{os.environ.get(_MARKS, '')}:{folder}"
    _owner, _fork_mark = os.getpid(), os.open(folder, os.O_RDONLY)


def cache() -> Path:
    """Where kernels are kept: $PTMAP_CACHE, else ~/.cache/ptmap. It need not exist."""
    return Path(os.environ.get("PTMAP_CACHE") or Path.home() / ".cache" / "ptmap").absolute()


class _Held(tempfile.TemporaryDirectory[str]):
    """A temporary folder that is locked as long as its process lives, or until cleanup()."""

    def __init__(self, place: str) -> None:
        while True:
            super().__init__(prefix=_PREFIX, dir=place, ignore_cleanup_errors=True)
            try:
                self._lock = os.open(self.name, os.O_RDONLY)
            except FileNotFoundError:  # swept before it was locked
                continue
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX)
            except OSError:  # a file system without locks, where nothing is swept
                pass
            if os.path.exists(self.name):
                return
            os.close(self._lock)

    def cleanup(self) -> None:
        super().cleanup()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


class Folder(_Held):
    """A temporary folder in /tmp, /dev/shm or the cache. Folders that nobody holds, of runs that
    were killed together with their guards, are removed first."""

    def __init__(self, place: str | Path = SHORT) -> None:
        start()
        _sweep()
        super().__init__(str(place))


def _sweep() -> None:
    for place in {SHORT, SHM, tempfile.gettempdir(), str(cache())}:
        for folder in Path(place).glob(_PREFIX + "*"):
            try:
                lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            except OSError:
                continue
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            except OSError:  # somebody holds it
                pass
            finally:
                os.close(lock)


def _is_started_by(process: str, mark: str) -> bool:
    """By what /proc tells of a process. OSError if it has ended, or is another user's."""
    if mark.encode() in Path("/proc", process, "environ").read_bytes():
        return True
    for descriptor in Path("/proc", process, "fd").iterdir():
        try:
            if os.readlink(descriptor) == mark:
                return True
        except FileNotFoundError:  # closed meanwhile
            pass
    return False


def _send(kind: signal.Signals, mark: str) -> list[int]:
    """To all that have this mark; returns a descriptor of each, ready to read when it has ended."""
    sent = []
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            descriptor = os.pidfd_open(int(process))  # first: a number may change its process
        except OSError:
            continue
        try:
            if int(process) != os.getpid() and _is_started_by(process, mark):
                signal.pidfd_send_signal(descriptor, kind)
                sent.append(descriptor)
                continue
        except OSError:
            pass
        os.close(descriptor)
    return sent


def _end_all(mark: str) -> None:
    start = time.monotonic()
    quiet = 0
    while quiet < 2:  # a process has no environment in the middle of exec
        # A compiler or make that is terminated removes what it has only half written.
        is_early = time.monotonic() < start + _GRACE
        sent = _send(signal.SIGTERM if is_early else signal.SIGKILL, mark)
        until = start + (_GRACE if is_early else _PATIENCE)
        for descriptor in sent:
            select.select([descriptor], [], [], max(0, until - time.monotonic()))
            os.close(descriptor)
        if time.monotonic() > start + _PATIENCE:
            return
        quiet = 0 if sent else quiet + 1
        time.sleep(0.02)


def _guard(owner: int) -> None:
    for kind in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):  # they are for the owner
        signal.signal(kind, signal.SIG_IGN)
    watched = os.pidfd_open(owner)
    folder = _Held(tempfile.gettempdir())
    print(folder.name, flush=True)
    if os.fork():
        os._exit(0)
    os.setsid()
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(null, standard)
    select.select([watched], [], [])
    _end_all(folder.name)
    folder.cleanup()
    _sweep()


if __name__ == "__main__":
    _guard(int(sys.argv[1]))
