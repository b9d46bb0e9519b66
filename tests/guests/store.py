"""The cache that kernels and initramfs are kept in, and the error of all that cannot be had."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

import guard


class GuestError(RuntimeError):
    """This guest cannot be had here; the message is one sentence that says why."""


class NotInCache(GuestError):
    """Its kernel is not in the cache, and nothing may be fetched now."""


class BuildFailed(GuestError):
    """Its kernel could not be built, and not because something to build it from was missing."""


def cache() -> Path:
    """guard.cache(), made when it is missing."""
    path = guard.cache()
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold a lock of the cache: two runs at once wait for each other."""
    with open(cache() / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
