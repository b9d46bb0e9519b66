"""What a diff compares: spaces as they are now, the last map of a root, snapshots."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from . import address_space, cpus, last_maps, maps, snapshots, space_labels
from .address_space import AddressSpace
from .command import Option, evaluate, value_of
from .errors import Refusal
from .linux import kernel

if TYPE_CHECKING:
    from ._core import Label, Map, Snapshot, Space

_HALVES = ("user", "kernel")
_EVALUATED = ("root", "cpu", "pid")  # the words before "=", and what stays text
_WORDS = ("half", "comm")
LIVE = ("current", "root=", "half=user", "half=kernel", "cpu=", "pid=", "comm=")


@dataclass
class Side:
    """One of the two. `scanned` is there where its tables are at hand."""

    name: str  # as it was given
    space: AddressSpace
    words: list[str]  # which space it is: "KPTI's user root"
    scanned: Space | None = None
    is_live: bool = False  # the tables are those of now
    snapshot: Snapshot | None = None
    other: Side | None = None  # that it is compared with

    @cached_property
    def made(self) -> Map:
        """The exact map."""
        if self.snapshot is not None:
            return self.snapshot.map
        assert self.scanned is not None, "read() was forgotten"
        if self.other is not None and self.other.snapshot is not None:
            # Memory types named by the same PAT, known or not: else they differ by name alone.
            return maps.exact(self.space, self.scanned, pat=self.other.snapshot.pat)
        return maps.exact(self.space, self.scanned)

    @cached_property
    def labels(self) -> list[Label]:
        if self.snapshot is not None:
            return self.snapshot.labels
        return space_labels.of(self.space, self.space.paging.last_offset).core()

    @property
    def cut(self) -> bool:
        """Whether a limit ended the reading of its tables."""
        return self.scanned is not None and self.scanned.cut

    def read(self) -> None:
        """Of a live one: its tables."""
        if self.is_live:
            self.scanned = maps.scan(self.space, 0, self.space.paging.last_offset)


def is_file(word: str) -> bool:
    """Whether an operand is a snapshot's, by what it looks like."""
    key, equals, _ = word.partition("=")
    return word != "current" and not (equals and key in _EVALUATED + _WORDS)


def side(word: str, mode: str | None) -> Side:
    """An operand, not read yet where it is live. Error: Refusal."""
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


def live(name: str, options: dict[str, Any], mode: str | None = None) -> Side:
    """A space of the target. Error: Refusal, with paging off too."""
    space = address_space.resolve(options | ({"mode": mode} if mode else {}))
    if space.paging is None:
        raise Refusal("paging is off (CR0.PG=0): there is no map, every address is physical")
    words = [f"KPTI's {space.half} root"] if space.half else []
    if kernel.find(space):
        words.append("Linux")
    return Side(name, space, [*words, *space.told], is_live=True)


def last_map(space: AddressSpace) -> Side:
    """Of this root, by an earlier command. Error: Refusal where there is none."""
    last = last_maps.find(space)
    if last is None:
        raise Refusal(
            f"no map of the root {space.root:#x} was made before in this session: `ptmap` makes "
            "one, and this command then tells what has changed since; or name two (help ptmap diff)"
        )
    if last.scanned is None:
        raise Refusal(
            f"the last map of this root has {last.tables} tables, too many to keep: "
            "`ptmap save FILE` keeps it in a file"
        )
    return Side(f"the last map ({last.command})", last.space, [], last.scanned)


def _stored(path: str) -> Side:
    try:
        stored = snapshots.load(path)
    except Refusal as refusal:
        if "/" in path or "." in path or os.path.exists(path):
            raise
        known = ", ".join(word + ("..." if word.endswith("=") else "") for word in LIVE)
        raise Refusal(f"{refusal}; nor is it one of {known}") from None
    return Side(path, snapshots.space_of(stored), stored.words, snapshot=stored)


def read(sides: list[Side]) -> None:
    """The tables of those that are live, each root once."""
    living = [one for one in sides if one.is_live]
    with living[0].space.memory.reading() if living else nullcontext():
        for one in living:
            same = [o for o in living if o.scanned and _key(o) == _key(one)]
            if same:
                one.scanned = same[0].scanned
            else:
                one.read()


def _key(one: Side) -> tuple[object, ...]:
    """What tables are read by: two CPUs may have one root and other rules (EFER.NXE, CR4.PGE)."""
    space = one.space
    return space.mode, space.root, space.cr0, space.cr4, space.efer
