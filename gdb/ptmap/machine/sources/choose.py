"""Which source commands read: the one that `set ptmap memory` names, or the first that works."""

from __future__ import annotations

import textwrap
import time
from functools import cache
from typing import Callable

import gdb

from ...base.errors import Refusal
from ...base.text import plural, printable
from ...debugger import failures, settings
from .. import qemu_stub
from ..memory import Memory
from . import direct_map, dump, flat_file, packets, process
from .source import NotHere, Source

Tried = list[tuple[str, str]]  # a source's name, and why it is not used


class Choice:
    """A source, for as long as connection and setting are the same."""

    def __init__(
        self, key: tuple[object, ...], memory: Memory, tried: Tried, seconds: float
    ) -> None:
        self.key, self.memory, self.tried = key, memory, tried
        self.seconds = seconds  # that finding it took, proofs and all


class _Connection:
    """Lives as long as the connection and `set ptmap memory` are the same."""

    choice: Choice | None = None


class _Question:
    """Lives as long as a question."""

    begun = False  # whether it has asked for the source already
    brief = False
    unseen = False
    refused: tuple[tuple[object, ...], Refusal] | None = None  # it has, in vain


_connection, _this = _Connection(), _Question()


def new_command(brief: bool = False, unseen: bool = False) -> None:
    """What an earlier command read is good no more, but for a source that keeps it.

    BRIEF: a few reads are all that follows. UNSEEN: the target may have run and no event told so.
    """
    _this.begun, _this.refused, _this.brief = False, None, brief
    if unseen or _this.unseen:  # it has run on since an unseen stop too
        forget()
    _this.unseen = unseen


def expect(brief: bool) -> None:
    """Before the command that began asks for the source: whether a few reads are all."""
    _this.brief = brief


def widen() -> None:
    """More than a few reads will follow after all: the source has to begin as for a map."""
    _this.brief = False
    if _this.begun and _connection.choice is not None:
        _this.begun = not _connection.choice.memory.is_piecemeal


def forget() -> None:
    """The target has run, or was changed: nothing that was read is good any more."""
    _this.refused = None
    if _connection.choice is not None:
        _connection.choice.memory.forget()


def memory() -> Memory:
    """Error: Refusal where there is none."""
    return choice().memory


def choice() -> Choice:
    """The choice, made anew where connection or setting have changed. Error: Refusal."""
    key_now = key()
    if _this.refused is not None and _this.refused[0] == key_now:
        raise _this.refused[1]
    if _connection.choice is not None and _connection.choice.key == key_now:
        if _this.begun:
            return _connection.choice
        try:
            if not _this.brief or not _connection.choice.memory.begin_piecemeal():
                _connection.choice.memory.begin()
            _this.begun = True
            return _connection.choice
        except NotHere:
            pass  # another will do
    _connection.choice = None
    start = time.perf_counter()
    try:
        source, tried = _choose()
    except Refusal as refusal:
        _this.refused = key_now, refusal
        raise
    _connection.choice = Choice(key_now, Memory(source), tried, time.perf_counter() - start)
    _this.begun = True
    return _connection.choice


def key() -> tuple[object, ...]:
    """What decides which source it is: connection and settings."""
    connection = gdb.selected_inferior().connection
    number = connection.num if connection is not None else None
    return (number, settings.memory_times(), settings.get("direct-map"))


def show() -> str:
    """For `show ptmap memory`: which, why, what was tried, what it cost so far."""
    word, path = settings.memory()
    setting = " ".join(filter(None, (word, path and printable(path))))
    new_command()
    try:
        chosen = choice()
    except failures.EXPECTED as error:
        why = failures.sentence(error)
        if why is None:
            raise
        return _filled([f"ptmap memory is {setting}", f"  none: {why}"])
    memory, source = chosen.memory, chosen.memory.source
    lines = [f"ptmap memory is {setting}"]
    if word == "auto":
        lines[0] += f": {source.name}"
    lines.append(f"  {source.describe()}")
    lines += [f"  not {name}: {why}" for name, why in chosen.tried]
    if word == "dump" and gdb.selected_thread() is not None:
        lines.append("  registers are the dump's too, not those of the target that is attached")
    lines.append(
        f"  so far {plural(source.requests, 'request')}, {memory.bytes_read} bytes in "
        f"{memory.seconds:.3f} s; chosen in {chosen.seconds:.3f} s"
    )
    return _filled(lines)


def _filled(lines: list[str]) -> str:
    return "\n".join(
        textwrap.fill(
            line, 80, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
        )
        for line in lines
    )


def _choose() -> tuple[Source, Tried]:
    """A source that has begun. Error: Refusal."""
    word, path = settings.memory()
    connection = gdb.selected_inferior().connection
    by_packets = cache(lambda: packets.open_source(connection))  # the process is proved by it
    openers: dict[str, Callable[[], Source]] = {
        "process": lambda: process.open_source(connection, by_packets()),
        "packets": by_packets,
        "direct-map": lambda: direct_map.open_source(connection),
        "dump": lambda: dump.open_source(path, connection),
        "file": lambda: flat_file.open_source(path, connection),
    }
    tried: Tried = []
    for name in [word] if word != "auto" else _in_turn(connection):
        try:
            return openers[name](), tried
        except NotHere as why:
            tried.append((name, str(why)))
    reasons = "; ".join(why for _, why in tried)
    if word != "auto":
        raise Refusal(f"`set ptmap memory {word}`: {reasons}")
    kind = connection.type if connection is not None else "no"
    raise Refusal(f"this target ({kind} connection) gives no physical memory: {reasons}")


def _in_turn(connection: gdb.TargetConnection | None) -> list[str]:
    """What auto tries."""
    if connection is not None and connection.type == "core":
        return ["dump"]
    if qemu_stub.is_qemu(connection):
        return ["process", "packets"]
    return ["direct-map"]
