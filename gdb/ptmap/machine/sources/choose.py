"""Chooses the source: the one that `set ptmap memory` names, or the first that works."""

from __future__ import annotations

import textwrap
import time
from functools import cache
from typing import Callable, NamedTuple

import gdb

from ...base import lifetimes
from ...base.errors import Refusal
from ...base.text import plural, printable
from ...debugger import failures, settings
from .. import qemu_stub
from ..memory import Memory
from . import direct_map, dump, flat_file, packets, process
from .source import NotHere, Source

Tried = list[tuple[str, str]]  # a source's name, and why it is not used


class Choice(NamedTuple):
    memory: Memory
    tried: Tried
    seconds: float  # how long the choice took, with its proofs


class _Target:
    """Lives as long as key() is the same."""

    choice: Choice | None = None


class _Stop:
    """Lives until the target runs or is changed."""

    unseen = False  # whether no event told of this stop


class _Command:
    """Lives as long as a command."""

    begun = False  # whether the source has begun
    brief = False  # see new_command()
    refused: tuple[tuple[object, ...], Refusal] | None = None  # no source could be chosen


def _this() -> _Command:
    return lifetimes.command.of(_Command)


def new_command(brief: bool = False, unseen: bool = False) -> None:
    """A command begins. What an earlier command read is forgotten, unless the source keeps it.

    BRIEF: only a few reads will follow. UNSEEN: the target may have run without an event.
    """
    this = _this()
    this.begun, this.refused, this.brief = False, None, brief
    if unseen or lifetimes.stop.of(_Stop).unseen:  # after an unseen stop it ran on, also unseen
        forget()
    lifetimes.stop.of(_Stop).unseen = unseen


def expect(brief: bool) -> None:
    """Says whether the command will do only a few reads. Call it before the source begins."""
    _this().brief = brief


def widen() -> None:
    """More than a few reads will follow, so the source must begin as for a map."""
    this, held = _this(), lifetimes.target.kept(_Target)
    this.brief = False
    if this.begun and held is not None and held.choice is not None:
        this.begun = not held.choice.memory.is_piecemeal


def forget() -> None:
    """Call it when the target has run or was changed: what was read is no longer valid."""
    lifetimes.stop.end()
    _this().refused = None
    held = lifetimes.target.kept(_Target)
    if held is not None and held.choice is not None:
        held.choice.memory.forget()


def memory() -> Memory:
    """The chosen source's memory. Error: Refusal if there is none."""
    return choice().memory


def choice() -> Choice:
    """The choice, made anew if the connection or a setting has changed. Error: Refusal."""
    key_now, this = key(), _this()
    if this.refused is not None and this.refused[0] == key_now:
        raise this.refused[1]
    held = lifetimes.target.of(_Target, key_now)
    if held.choice is not None:
        if this.begun:
            return held.choice
        try:
            if not this.brief or not held.choice.memory.begin_piecemeal():
                held.choice.memory.begin()
            this.begun = True
            return held.choice
        except NotHere:
            pass  # choose another
    held.choice = None
    start = time.perf_counter()
    try:
        source, tried = _choose()
    except Refusal as refusal:
        this.refused = key_now, refusal
        raise
    held.choice = Choice(Memory(source), tried, time.perf_counter() - start)
    this.begun = True
    return held.choice


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
    except KeyboardInterrupt:  # GDB would show it as Python's
        return _filled([f"ptmap memory is {setting}", "  none: interrupted"])
    memory, source = chosen.memory, chosen.memory.source
    lines = [f"ptmap memory is {setting}"]
    if word == "auto":
        lines[0] += f": {source.name}"
    lines.append(f"  {source.describe()}")
    lines += [f"  not {name}: {why}" for name, why in chosen.tried]
    if word == "dump" and gdb.selected_thread() is not None:
        lines.append("  registers are the dump's too, not the attached target's")
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
