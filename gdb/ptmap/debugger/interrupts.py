"""Ctrl-C while the native module works."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import Iterator


@contextmanager
def held() -> Iterator[None]:
    """SIGINT is blocked inside: the native module looks for it between two steps, and it arrives
    at the end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        # This blocks SIGINT, and yet may raise KeyboardInterrupt for an earlier Ctrl-C.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
