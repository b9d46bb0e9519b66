"""The cache that kernels and initramfs are kept in, and the error of all that cannot be had."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator


class GuestError(RuntimeError):
    """This guest cannot be had here; the message is one sentence that says why."""


def cache() -> Path:
    """$PTMAP_CACHE, else ~/.cache/ptmap; made when it is missing."""
    path = Path(os.environ.get("PTMAP_CACHE") or Path.home() / ".cache" / "ptmap").absolute()
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold a lock of the cache: two runs at once wait for each other."""
    with open(cache() / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
