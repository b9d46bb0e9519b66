"""Chooses the source: the one that `set ptmap memory` names, or the first that works."""

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
    """A source; valid while the connection and the settings are the same."""

    def __init__(
        self, key: tuple[object, ...], memory: Memory, tried: Tried, seconds: float
    ) -> None:
        self.key, self.memory, self.tried = key, memory, tried
        self.seconds = seconds  # how long the choice took, with its proofs


class _Connection:
    """Lives as long as the connection and `set ptmap memory` are the same."""

    choice: Choice | None = None


class _Question:
    """Lives as long as a question."""

    begun = False  # whether the source has begun
    brief = False  # see new_command()
    unseen = False
    refused: tuple[tuple[object, ...], Refusal] | None = None  # no source could be chosen


_connection, _this = _Connection(), _Question()


def new_command(brief: bool = False, unseen: bool = False) -> None:
    """A command begins. What an earlier command read is forgotten, unless the source keeps it.

    BRIEF: only a few reads will follow. UNSEEN: the target may have run without an event.
    """
    _this.begun, _this.refused, _this.brief = False, None, brief
    if unseen or _this.unseen:  # after an unseen stop the target has run on, also without an event
        forget()
    _this.unseen = unseen


def forget() -> None:
    """Call it when the target has run or was changed: what was read is no longer valid."""
    _this.refused = None
    if _connection.choice is not None:
        _connection.choice.memory.forget()


def memory() -> Memory:
    """The chosen source's memory. Error: Refusal if there is none."""
    return choice().memory


def choice() -> Choice:
    """The choice, made anew if the connection or a setting has changed. Error: Refusal."""
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
            pass  # choose another
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
    """The connection and settings on which the choice depends."""
    connection = gdb.selected_inferior().connection
    number = connection.num if connection is not None else None
    return (number, settings.memory_times(), settings.get("direct-map"))


def show() -> str:
    """The text of `show ptmap memory`: the source, why, what was tried, what it cost so far."""
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
    source, core = chosen.memory.source, chosen.memory.core
    lines = [f"ptmap memory is {setting}"]
    if word == "auto":
        lines[0] += f": {source.name}"
    lines.append(f"  {source.describe()}")
    lines += [f"  not {name}: {why}" for name, why in chosen.tried]
    if word == "dump" and gdb.selected_thread() is not None:
        lines.append("  registers are the dump's too, not the attached target's")
    lines.append(
        f"  so far {plural(source.requests, 'request')}, {core.bytes} bytes in {core.seconds:.3f} "
        f"s; chosen in {chosen.seconds:.3f} s"
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
    by_packets = cache(lambda: packets.open_source(connection))  # the proof of the process needs it
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
    """The sources that `auto` tries."""
    if connection is not None and connection.type == "core":
        return ["dump"]
    if qemu_stub.is_qemu(connection):
        return ["process", "packets"]
    return ["direct-map"]
