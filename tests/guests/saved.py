"""Guests that have booted, in the cache: a boot takes seconds, to go on from there half a second.

    <cache>/booted/4-level-pti-HASH/{state.zst,serial0.log}

A guest is saved where its init asks for its words, so one serves tests that give it different
words. All that decides what boots is in the hash: the kernel, init, QEMU's version and arguments.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Callable, Sequence

import guard
from qemu import Qemu, QemuError
from store import cache

_KEPT = 7 * 24 * 3600  # seconds since its last use


def begun(name: str, identity: Sequence[str], start: Callable[[Path | None], Qemu]) -> Qemu:
    """A guest that has booted, stopped: from the cache, or started and kept there.

    identity  what decides how it boots
    start     makes the QEMU from a saved folder; from None, boots it and stops it
    """
    key = hashlib.sha256("\0".join(identity).encode()).hexdigest()[:16]
    saved = cache() / "booted" / f"{name}-{key}"
    if not saved.exists():
        _save(saved, start)
    os.utime(saved)
    try:
        return start(saved)
    except QemuError:  # damaged, or of a QEMU that reads it no more
        shutil.rmtree(saved)
        _save(saved, start)
        return start(saved)


def _save(saved: Path, start: Callable[[Path | None], Qemu]) -> None:
    saved.parent.mkdir(exist_ok=True)
    for old in saved.parent.iterdir():
        if old.stat().st_mtime < time.time() - _KEPT:
            shutil.rmtree(old, ignore_errors=True)
    with guard.Folder(cache()) as folder:
        whole = Path(folder) / "whole"
        whole.mkdir()
        with start(None) as qemu:
            qemu.save(whole)
        try:
            whole.rename(saved)
        except OSError:  # somebody else was faster
            if not saved.exists():
                raise


@functools.lru_cache(None)
def version(binary: str) -> str:
    """What a QEMU says of itself."""
    return subprocess.run([binary, "--version"], check=True, capture_output=True, text=True).stdout


def stamp(file: Path) -> str:
    """Which file that is, and its state."""
    status = file.stat()
    return f"{file} {status.st_size} {status.st_mtime_ns}"
