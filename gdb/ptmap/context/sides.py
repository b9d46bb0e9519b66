"""The sides of a diff: a space as it is now, the last map of a root, a snapshot."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from ..base.errors import Refusal
from ..base.option import Option, Options
from ..debugger.numbers import evaluate, value_of
from ..linux import recognition
from ..machine import cpus
from ..spaces import kpti, maps, scanned
from ..spaces.address_space import AddressSpace
from . import last_maps, selection, snapshots, space_labels

if TYPE_CHECKING:
    from .._core import Label, Map, Snapshot, Tables

_HALVES = ("user", "kernel")
# Words before "=": the value of the first ones is an expression, that of the others is text.
_EVALUATED = ("root", "cpu", "pid")
_WORDS = ("half", "comm")
_VALUED = ("root=", "cpu=", "pid=", "comm=")  # something is typed behind these
LIVE = ("current", "root=", "half=user", "half=kernel", "cpu=", "pid=", "comm=")


@dataclass
class Side:
    """One side. `tables` is None for a snapshot, or before read()."""

    name: str  # as it was given
    space: AddressSpace
    words: list[str]  # what the space is: "KPTI's user root"
    tables: Tables | None = None
    is_live: bool = False  # the tables are the target's, now
    snapshot: Snapshot | None = None
    other: Side | None = None  # the side that it is compared with

    @cached_property
    def made(self) -> Map:
        """The exact map."""
        if self.snapshot is not None:
            return self.snapshot.map
        assert self.tables is not None, "read() was forgotten"
        if not self.is_live:
            return maps.exact(self.space, self.tables)
        last = self.space.paging.last_offset
        return scanned.of(self.space).whole.view(0, last, split_physical=True, split_sizes=True)

    @cached_property
    def labels(self) -> list[Label]:
        if self.snapshot is not None:
            return self.snapshot.labels
        return space_labels.of(self.space).core()

    @property
    def cut(self) -> bool:
        """Whether a limit ended the reading of its tables."""
        return self.tables is not None and self.tables.cut

    def read(self) -> None:
        """Reads the tables of a live side."""
        if self.other is not None and self.other.snapshot is not None:
            # The same PAT names memory types on both sides: else only their names would differ.
            reader = replace(self.space.reader, pat=self.other.snapshot.pat)
            self.space = self.space.through(reader)
        self.tables = scanned.of(self.space).whole.tables


def is_file(word: str) -> bool:
    """Whether an operand looks like the file name of a snapshot."""
    key, equals, _ = word.partition("=")
    return word != "current" and not (equals and key in _EVALUATED + _WORDS)


def side(word: str, mode: str | None) -> Side:
    """The side of an operand; a live one is not read yet. Error: Refusal."""
    if is_file(word):
        return _stored(word)
    if word == "current":
        return live(word, {}, mode)
    key, _, value = word.partition("=")
    if not value:
        raise Refusal(f"{word} needs a value")
    if key == "half" and value not in _HALVES:
        raise Refusal(f"{word}: a half is one of {', '.join(_HALVES)}")
    if key == "cpu":
        with cpus.selected(evaluate(value)):
            return live(word, {}, mode)
    if key == "root":
        return live(word, {key: value_of(Option(key, "PA"), value)}, mode)
    return live(word, {key: evaluate(value) if key in _EVALUATED else value}, mode)


def live(name: str, options: Options, mode: str | None = None) -> Side:
    """A space of the target. Error: Refusal, also if paging is off."""
    space = selection.resolve(options | ({"mode": mode} if mode else {}))
    if space.paging_is_off:
        raise Refusal("paging is off (CR0.PG=0): there is no map, every address is physical")
    return Side(name, space, [], is_live=True)


def _words(space: AddressSpace) -> list[str]:
    """What a live space is, in words."""
    half = kpti.half(space)
    words = [f"KPTI's {half} root"] if half else []
    if recognition.find(space):
        words.append("Linux")
    return [*words, *space.notes]


def last_map(space: AddressSpace) -> Side:
    """The last map of this root by an earlier command. Error: Refusal if there is none."""
    last = last_maps.find(space)
    if last is None:
        raise Refusal(
            f"this session has no earlier map of the root {space.root:#x}: `ptmap` makes one, and "
            "later this command shows what has changed; or name two (help ptmap diff)"
        )
    if last.tables is None:
        raise Refusal(
            f"the last map of this root has {last.count} tables, too many to keep: "
            "`ptmap save FILE` keeps it in a file"
        )
    before = last.space.through(space.reader)
    return Side(f"the last map ({last.command})", before, [], last.tables)


def _stored(path: str) -> Side:
    try:
        stored = snapshots.load(path)
    except Refusal as refusal:
        if "/" in path or "." in path or os.path.exists(path):
            raise
        known = ", ".join(word + ("..." if word in _VALUED else "") for word in LIVE)
        raise Refusal(f"{refusal}; nor is it one of {known}") from None
    return Side(path, snapshots.space_of(stored), stored.words, snapshot=stored)


def read(sides: list[Side]) -> None:
    """Reads the tables of all live sides, before anything else is read for one."""
    living = [one for one in sides if one.is_live]
    with living[0].space.memory.reading() if living else nullcontext():
        for one in living:
            one.read()
    for one in living:
        one.words = _words(one.space)
