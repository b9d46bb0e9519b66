"""The command ptmap diff: what differs between two address spaces, and what they share."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from itertools import starmap
from typing import TYPE_CHECKING, Iterable

import gdb

from ..base import native
from ..base.errors import Refusal
from ..base.interval import Interval
from ..base.option import JSON, Option, Options
from ..base.text import Part, Text, plural, printable, short_size
from ..context import sides
from ..context.sides import Side
from ..debugger import progress, settings
from ..spaces import split
from ..spaces.address_space import MODES
from ..spaces.reader import Plan
from . import summary
from .command import Command, Completions, json_pieces, write, write_json

if TYPE_CHECKING:
    from .._core import Differences, Sharing

_COLUMNS = 80
_STRETCHES_SHOWN = 6
_KINDS = {"added": "added", "gone": "gone", "changed": "changed", "unknown": "not known"}


class DiffCommand(Command):
    """Show what differs between two address spaces, and what they share.

    ptmap diff [-phys] [-mode MODE] [-json FILE|-] [A [B]]

    It compares A with B; or A with the current space; or, without both, the
    last map that a command of this session made of this root (ptmap, ptmap
    save, ptmap diff) with the same root as it is now.

    To compare two files no target is needed. A and B are one of
      current       the space of the selected CPU
      root=PA       the tables below this root; a pointer such as
                    init_mm.pgd is translated
      half=user, half=kernel
                    KPTI's user or kernel root of the current space
      cpu=N         the current space of this CPU, counted from 0
      pid=N         a Linux process (needs the kernel's symbols)
      comm=NAME     the Linux process with this name (the same)
      FILE          a file of `ptmap save`; write ./current for a file whose
                    name is one of the words above

    A line begins with "+" for what is mapped only in B, "-" only in A, "~"
    for a difference, which the line under it shows after "->". "?" could not
    be read on one side, so whether it differs is not known. Neighbours with
    the same differences are one line; physical is - if their frames are not
    contiguous.

    For two spaces of the target it says how many of the root's entries are
    shared (they point to the same table or page, with the same rights) and
    how many tables both use.

      -phys         lines end where frames stop being contiguous
      -mode MODE    read live spaces as 32-bit, pae, 4-level or 5-level
      -json FILE|-  the differences as JSON (schema ptmap/1) to a file, or to
                    GDB's output
      -o FILE       write to a file what would be shown

    Examples:
      ptmap diff
      ptmap save before.ptmap
      ptmap diff before.ptmap
      ptmap diff half=kernel half=user
      ptmap diff pid=1 root=init_mm.pgd"""

    makes_maps = True
    no_option = "a file of that name is ./{0}"
    options = (
        Option("phys", "", "lines end where frames stop being contiguous"),
        Option("mode", "MODE", "read live spaces in this paging mode", choices=MODES),
        JSON,
    )

    def plan(self, options: Options, words: list[str]) -> Plan:
        return Plan(whole=True, exact=True)

    def needs_target(self, words: list[str]) -> bool:
        return not (len(words) == 2 and all(map(sides.is_file, words)))

    def run(self, options: Options, words: list[str]) -> None:
        view = _View.of(_sides(words, options.get("mode")), "phys" in options)
        if "json" in options:
            write_json(options["json"], view.json())
        else:
            write(view.text())

    def completions(self, before: list[str], current: str) -> Completions:
        found = super().completions(before, current)
        if found != gdb.COMPLETE_EXPRESSION:
            return found
        live = [one for one in sides.LIVE if current and one.startswith(current)]
        return live or gdb.COMPLETE_FILENAME


def _sides(words: list[str], mode: str | None) -> tuple[Side, Side]:
    """The sides before and after, already read. Error: Refusal."""
    if len(words) > 2:
        raise Refusal(f"compares two spaces, but {words[2]!r} was given too")
    if words:
        before = sides.side(words[0], mode)
        after = sides.side(words[1] if len(words) > 1 else "current", mode)
    else:
        after = sides.live("current", {}, mode)
        before = sides.last_map(after.space)
    if before.space.mode != after.space.mode:
        raise Refusal(
            f"{printable(before.name)} is a space of {before.space.mode} paging, "
            f"{printable(after.name)} one of {after.space.mode}: they cannot be compared"
        )
    before.other, after.other = after, before
    sides.read([before, after])
    return before, after


@dataclass
class _View:
    """Two sides and their differences; `sharing` only for two live sides with different roots."""

    before: Side
    after: Side
    found: Differences
    parts: list[tuple[str, Interval]]  # name, offsets
    sharing: Sharing | None

    @classmethod
    def of(cls, both: tuple[Side, Side], split_physical: bool) -> _View:
        before, after = both
        found = native.core.diff(before.made, after.made, split_physical, progress.writing)
        if not (before.is_live and after.is_live) or before.space.root == after.space.root:
            return cls(before, after, found, [], None)
        assert before.tables is not None and after.tables is not None
        parts = _parts(after)
        sharing = native.core.share(
            before.tables,
            after.tables,
            [offsets for _, offsets in parts],
            settings.limit("max-ranges"),
            progress.comparing,
        )
        return cls(before, after, found, parts, sharing)

    @property
    def complete(self) -> bool:
        return self.before.made.complete and self.after.made.complete

    def text(self) -> Text:
        after = self.after
        lines: list[Part] = [*_head("before", self.before), *_head("after", after)]
        lines.append(self._listed())
        lines += self._counts()
        if self.before.is_live and after.is_live and self.sharing is None:
            lines.append("both have the same root\n")
        if self.sharing is not None:
            lines += self._shared(self.sharing)
        return lines

    def _listed(self) -> Iterable[str]:
        labels = self.before.labels, self.after.labels
        return self.found.text(self.after.space.digits, *labels, progress.writing)

    def _counts(self) -> list[str]:
        kinds, changes = self.found.counts(progress.writing)
        if not len(self.found):
            return ["no differences\n"]
        words = [
            f"{plural(number, 'stretch', 'stretches')} {_KINDS[kind]} ({short_size(size)})"
            for kind, (number, size) in kinds.items()
            if number
        ]
        changed = [
            f"{what.replace('_', ' ')} of {number}"
            for what, (number, _size) in changes.items()
            if number
        ]
        line = ", ".join(words) + ("; changed: " + ", ".join(changed) if changed else "")
        return [row + "\n" for row in textwrap.wrap(line, _COLUMNS, subsequent_indent="  ")]

    def _shared(self, sharing: Sharing) -> list[str]:
        lines = []
        for (name, _), part in zip(self.parts, sharing.parts):
            if not part.either:
                lines.append(f"{name}: no root entries\n")
                continue
            line = f"{name}: {part.shared} of {plural(part.either, 'root entry', 'root entries')} "
            line += "shared"
            if part.other_rights:
                line += f"; {part.other_rights} with the same table, but other rights"
            lines.append(line + "\n")
        levels = zip(self.after.space.paging.levels, sharing.levels)
        by_level = ", ".join(f"{count} {level.table_name}" for level, count in levels if count)
        of = f"{self.before.made.tables} and {self.after.made.tables}"
        lines.append(
            f"{plural(sharing.tables, 'table')} in common, of {of}"
            + (f": {by_level}\n" if by_level else "\n")
        )
        if sharing.below:
            lines.append("below other root entries the same tables translate\n")
        for one in starmap(Interval, sharing.below[:_STRETCHES_SHOWN]):
            end = one.end & (1 << 4 * self.after.space.digits) - 1
            hex_ = self.after.space.hex
            lines.append(f"  {hex_(one.first)} {hex_(end)} {short_size(one.size):>5}\n")
        if len(sharing.below) > _STRETCHES_SHOWN:
            lines.append(f"  and {len(sharing.below) - _STRETCHES_SHOWN} more (-json names all)\n")
        if sharing.cut:
            lines.append("  and more: the limit is reached (set ptmap max-ranges)\n")
        return lines

    def json(self) -> Text:
        kinds, changes = self.found.counts(progress.writing)
        head = {
            "schema": "ptmap/1",
            "kind": "diff",
            "mode": self.after.space.mode,
            "root": hex(self.after.space.root),
            "complete": self.complete,
            "before": _side_json(self.before),
            "after": _side_json(self.after),
            "counts": {
                kind: {"stretches": number, "bytes": hex(size)}
                for kind, (number, size) in (kinds | changes).items()
            },
            "shared": self._shared_json(),
        }
        text = ["{"]
        for key, value in head.items():
            text += [f'"{key}": ', *json_pieces(value), ",\n"]
        labels = self.before.labels, self.after.labels
        listed = self.found.json(*labels, progress.writing)
        return [*text, '"differences": [', listed, "]}\n"]

    def _shared_json(self) -> dict[str, object] | None:
        sharing = self.sharing
        if sharing is None:
            return None
        levels = zip(self.after.space.paging.levels, sharing.levels)
        return {
            "parts": [
                {
                    "part": name,
                    "before": part.before,
                    "after": part.after,
                    "either": part.either,
                    "shared": part.shared,
                    "other_rights": part.other_rights,
                }
                for (name, _), part in zip(self.parts, sharing.parts)
            ],
            "tables": sharing.tables,
            "levels": {level.table_name: count for level, count in levels},
            "below": [
                {"va": hex(one.first), "size": hex(one.size)}
                for one in starmap(Interval, sharing.below)
            ],
            "cut": sharing.cut,
        }


def _head(which: str, one: Side) -> list[str]:
    """Which space a side is, its counts, and what is missing."""
    about = [f"{one.space.mode} paging, root {one.space.root:#x}", *one.words]
    rows = textwrap.wrap(
        f"{which:<6} {printable(one.name)}: {', '.join(about)}",
        _COLUMNS,
        subsequent_indent=" " * 7,
        break_on_hyphens=False,
    )
    rows += [f"       assuming {what}" for what in one.space.assumed]
    lines = [row + "\n" for row in rows]
    lines += ["       ", *native.core.counts_text(one.made)]
    if not one.made.complete:
        lines += summary.missing(one.made, one.cut, indent=5)
    return lines


def _parts(one: Side) -> list[tuple[str, Interval]]:
    """The lower and the upper part in offsets; the whole space if there is no split."""
    last = one.space.paging.last_offset
    upper = one.space.paging.upper_part or split.split_of(one.space)
    if not upper:
        return [("root", Interval(0, last))]
    return [("lower part", Interval.until(0, upper)), ("upper part", Interval(upper, last))]


def _side_json(one: Side) -> dict[str, object]:
    made = one.made
    return {
        "name": printable(one.name),
        "live": one.is_live,
        "root": hex(one.space.root),
        "words": one.words,
        "complete": made.complete,
        "truncated": made.truncated,
        "unreadable": len(made.unreadable),
        "malformed": len(made.malformed),
        "tables": made.tables,
        "pages": made.pages,
        "ranges": len(made),
    }


def register() -> None:
    DiffCommand("ptmap diff")
