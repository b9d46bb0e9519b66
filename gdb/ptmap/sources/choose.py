"""Which source commands read: the one that `set ptmap memory` names, or the first that works."""

from __future__ import annotations

from typing import Callable

import gdb

from .. import qemu_stub, settings
from ..text import plural
from ..errors import Refusal
from ..memory import Memory
from . import direct_map, dump, flat_file, packets, process
from .source import NotHere, Source

Tried = list[tuple[str, str]]  # a source's name, and why it is not used


class Choice:
    """A source, for as long as connection and setting are the same."""

    def __init__(self, key: tuple[object, ...], memory: Memory, tried: Tried) -> None:
        self.key, self.memory, self.tried = key, memory, tried


_choice: Choice | None = None
_begun = False  # whether this command has asked for it already


def new_command() -> None:
    """What an earlier command read is good no more, but for a source that keeps it."""
    global _begun
    _begun = False


def forget() -> None:
    """The target has run, or was changed: nothing that was read is good any more."""
    if _choice is not None:
        _choice.memory.core.forget()
        _choice.memory.source.changed()


def memory() -> Memory:
    """Error: Refusal where there is none."""
    return choice().memory


def choice() -> Choice:
    """The choice, made anew where connection or setting have changed. Error: Refusal."""
    global _choice, _begun
    key = _key()
    if _choice is not None and _choice.key == key:
        if _begun:
            return _choice
        try:
            _choice.memory.begin()
            _begun = True
            return _choice
        except NotHere:
            pass  # another will do
    _choice = None
    source, tried = _choose()
    _choice = Choice(key, Memory(source), tried)
    _begun = True
    return _choice


def _key() -> tuple[object, ...]:
    connection = gdb.selected_inferior().connection
    number = connection.num if connection is not None else None
    return (number, settings.memory_times(), settings.get("direct-map"))


def show() -> str:
    """For `show ptmap memory`: which, why, what was tried, what it cost so far."""
    word, path = settings.memory()
    setting = " ".join(filter(None, (word, path)))
    try:
        chosen = choice()
    except (Refusal, gdb.error) as error:
        return f"ptmap memory is {setting}: {error}"
    source, core = chosen.memory.source, chosen.memory.core
    lines = [f"ptmap memory is {setting}"]
    if word == "auto":
        lines[0] += f": {source.name}"
    lines.append(f"  {source.describe()}")
    lines += [f"  not {name}: {why}" for name, why in chosen.tried]
    lines.append(
        f"  so far {plural(source.requests, 'request')}, {core.bytes} bytes, {core.seconds:.3f} s"
    )
    return "\n".join(lines)


def _choose() -> tuple[Source, Tried]:
    """A source that has begun. Error: Refusal."""
    word, path = settings.memory()
    connection = gdb.selected_inferior().connection
    openers: dict[str, Callable[[], Source]] = {
        "process": lambda: process.open_source(connection, packets.open_source(connection)),
        "packets": lambda: packets.open_source(connection),
        "direct-map": lambda: direct_map.open_source(connection),
        "dump": lambda: dump.open_source(path, connection),
        "file": lambda: flat_file.open_source(path, connection),
    }
    tried: Tried = []
    for name in [word] if word != "auto" else _in_turn(connection):
        try:
            source = openers[name]()
            source.begin()
            return source, tried
        except NotHere as why:
            tried.append((name, str(why)))
    reasons = "; ".join(why for _, why in tried)
    if word != "auto":
        raise Refusal(f"`set ptmap memory {word}` cannot be: {reasons}")
    kind = connection.type if connection is not None else "no"
    raise Refusal(f"this target ({kind} connection) gives no physical memory: {reasons}")


def _in_turn(connection: gdb.TargetConnection | None) -> list[str]:
    """What auto tries."""
    if connection is not None and connection.type == "core":
        return ["dump"]
    if qemu_stub.is_qemu(connection):
        return ["process", "packets"]
    return ["direct-map"]
