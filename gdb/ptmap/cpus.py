"""The machine's CPUs: GDB's threads, by QEMU's index from 0."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator

import gdb

from .errors import Refusal


def _threads() -> list[gdb.InferiorThread]:
    """QEMU numbers them 1, 2, ... in the remote thread id, whatever GDB makes of it."""
    return sorted(gdb.selected_inferior().threads(), key=lambda thread: thread.ptid[1:])


def count() -> int:
    return len(_threads())


def current() -> int:
    """The index of the selected thread."""
    return _threads().index(gdb.selected_thread())


@contextmanager
def selected(index: int) -> Iterator[None]:
    """Inside, this CPU is GDB's thread; afterwards thread and frame are as before.

    Error: Refusal where there is no such CPU.
    """
    threads = _threads()
    if not 0 <= index < len(threads):
        raise Refusal(f"there is no CPU {index}: this target has CPU 0 to {len(threads) - 1}")
    thread, frame = gdb.selected_thread(), gdb.selected_frame()
    threads[index].switch()
    try:
        yield
    finally:
        if thread is not None and thread.is_valid():
            thread.switch()
            if frame.is_valid():
                frame.select()
