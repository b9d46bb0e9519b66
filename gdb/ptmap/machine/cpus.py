"""The machine's CPUs by QEMU's index from 0: GDB's threads, or those that a dump tells of."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator

import gdb

from ..base import lifetimes
from ..base.errors import Refusal
from .sources import choose


class _Selected:
    """Lives as long as GDB; what it says is set by selected() and put back."""

    index = 0  # of the selected CPU, where it is no thread of GDB's


_SHADOW = 0xFFFFFFFE  # kgdb: the remote thread id of CPU 0, of CPU 1 it is one less


def selected_thread() -> gdb.InferiorThread | None:
    """None without a target. Error: Refusal where GDB has just learned that it is gone."""
    try:
        return gdb.selected_thread()
    except SystemError:  # GDB 13's "could not find gdb thread object"
        raise Refusal("the selected thread is gone: `info threads` lists those there are") from None


def shadow_cpu(thread: gdb.InferiorThread) -> int | None:
    """kgdb's threads are tasks, but for those that stand for what a CPU runs: "shadowCPU0". Which
    CPU that is; None of all other threads."""
    number = thread.ptid[1] & 0xFFFFFFFF
    return _SHADOW - number if number >> 31 else None


def _threads() -> list[gdb.InferiorThread]:
    """QEMU numbers them 1, 2, ... in the remote thread id, whatever GDB makes of it."""
    threads = gdb.selected_inferior().threads()
    shadows = [thread for thread in threads if shadow_cpu(thread) is not None]
    if shadows:
        return sorted(shadows, key=lambda thread: -thread.ptid[1])
    return sorted(threads, key=lambda thread: thread.ptid[1:])


def _without_threads() -> int | None:
    """How many CPUs there are of which none is a thread; None where threads are the CPUs."""
    try:
        known = choose.memory().source.cpus()
    except Refusal:
        known = None
    return 1 if known is None and gdb.selected_thread() is None else known


def count() -> int:
    known = _without_threads()
    return len(_threads()) if known is None else known


def current() -> int:
    """The index of the selected CPU; 0 of a task of kgdb that is no CPU."""
    if _without_threads() is not None:
        return lifetimes.session.of(_Selected).index
    selected = selected_thread()
    cpu = shadow_cpu(selected) if selected is not None else None
    if cpu is not None:
        return cpu  # asking for all threads is slow on a serial line
    threads = _threads()
    return threads.index(selected) if selected in threads else 0


@contextmanager
def selected(index: int) -> Iterator[None]:
    """Inside, this CPU is the selected one; afterwards CPU and frame are as before.

    Error: Refusal where there is no such CPU.
    """
    number = count()
    if not 0 <= index < number:
        raise Refusal(f"there is no CPU {index}: this target has CPU 0 to {number - 1}")
    if _without_threads() is not None:
        with _index_is(index):
            yield
    else:
        with thread_selected(_threads()[index]):
            yield


@contextmanager
def _index_is(index: int) -> Iterator[None]:
    this = lifetimes.session.of(_Selected)
    this.index = index
    try:
        yield
    finally:
        this.index = 0


@contextmanager
def thread_selected(inside: gdb.InferiorThread) -> Iterator[None]:
    """The same for a thread, whatever it stands for."""
    thread, frame = selected_thread(), gdb.selected_frame()
    inside.switch()
    try:
        yield
    finally:
        if thread is not None and thread.is_valid():
            thread.switch()
            if frame.is_valid():
                frame.select()
