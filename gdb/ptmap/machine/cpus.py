"""The machine's CPUs, numbered from 0 as in QEMU: GDB's threads, or the CPUs of a dump."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator

import gdb

from ..base import lifetimes
from ..base.errors import Refusal
from .sources import choose


class _Selected:
    """Lives as long as GDB. selected() sets the index and restores it."""

    index = 0  # only if CPUs are not GDB's threads


class _Question:
    """Lives as long as a command."""

    in_stop = False  # see in_stop(); found when the question began


_SHADOW = 0xFFFFFFFE  # kgdb: the remote thread id of CPU 0; that of CPU 1 is one less


def selected_thread() -> gdb.InferiorThread | None:
    """None without a target. Error: Refusal if the thread has ended."""
    try:
        return gdb.selected_thread()
    except SystemError:  # GDB 13's "could not find gdb thread object"
        raise Refusal("the selected thread has ended: `info threads` lists the others") from None


def in_stop() -> bool:
    """Whether GDB asks this while it decides whether to stop: in a condition, or in the stop() of a
    gdb.Breakpoint."""
    return lifetimes.command.of(_Question).in_stop


def find_in_stop() -> bool:
    """Finds that out. In that case the thread counts as running, and yet has registers."""
    this, thread = lifetimes.command.of(_Question), selected_thread()
    this.in_stop = thread is not None and thread.is_valid() and thread.is_running()
    if this.in_stop:
        try:
            gdb.parse_and_eval("$pc").fetch_lazy()
        except gdb.error:  # "Selected thread is running."
            this.in_stop = False
    return this.in_stop


def require_stop(what: str) -> None:
    """Error: Refusal if GDB still decides whether to stop. WHAT is what it could not bear then."""
    if in_stop():
        raise Refusal(f"{what} in a breakpoint's stop() or condition: GDB has not stopped yet")


def shadow_cpu(thread: gdb.InferiorThread) -> int | None:
    """The CPU that one of kgdb's threads stands for, such as "shadowCPU0"; None for all other
    threads. kgdb's other threads are tasks."""
    number = thread.ptid[1] & 0xFFFFFFFF
    return _SHADOW - number if number >> 31 else None


def _threads() -> list[gdb.InferiorThread]:
    """In the order of the CPUs. QEMU's remote thread ids are 1, 2, ...; GDB's own may differ."""
    threads = gdb.selected_inferior().threads()
    shadows = [thread for thread in threads if shadow_cpu(thread) is not None]
    if shadows:
        return sorted(shadows, key=lambda thread: -thread.ptid[1])
    return sorted(threads, key=lambda thread: thread.ptid[1:])


def _without_threads() -> int | None:
    """The number of CPUs if they are not GDB's threads; None if they are."""
    try:
        known = choose.memory().source.cpus()
    except Refusal:
        known = None
    return 1 if known is None and gdb.selected_thread() is None else known


def count() -> int:
    known = _without_threads()
    return len(_threads()) if known is None else known


def current() -> int:
    """The index of the selected CPU; 0 if kgdb's selected thread is a task."""
    if _without_threads() is not None:
        return lifetimes.session.of(_Selected).index
    selected = selected_thread()
    cpu = shadow_cpu(selected) if selected is not None else None
    if cpu is not None:
        return cpu  # without a list of all threads, which is slow on a serial line
    threads = _threads()
    return threads.index(selected) if selected in threads else 0


@contextmanager
def selected(index: int) -> Iterator[None]:
    """Selects a CPU; at the end the old CPU and frame are selected again.

    Error: Refusal if there is no such CPU.
    """
    number = count()
    if not 0 <= index < number:
        raise Refusal(f"there is no CPU {index}: this target has CPU 0 to {number - 1}")
    if _without_threads() is not None:
        with _index_is(index):
            yield
    else:
        require_stop("no other CPU can be selected")
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
    """Selects a thread; at the end the old thread and frame are selected again."""
    thread, frame = selected_thread(), gdb.selected_frame()
    inside.switch()
    try:
        yield
    finally:
        if thread is not None and thread.is_valid():
            thread.switch()
            if frame.is_valid():
                frame.select()
