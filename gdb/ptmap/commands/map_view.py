"""The map of one space that `ptmap` shows, as text or JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Iterable

import gdb

from ..base import native
from ..base.errors import Refusal
from ..base.interval import Interval
from ..base.option import Options
from ..base.text import Part
from ..context import space_labels
from ..debugger import progress
from ..debugger.numbers import evaluate
from ..spaces import address_space, attributes, kpti, scanned, split, walks
from ..spaces.address_space import AddressSpace
from ..spaces.scanned import ScannedPart
from . import summary
from .command import json_members

if TYPE_CHECKING:
    from .._core import Label, Map, Tables, Text, Walk

_SCREEN = 80, 24  # if GDB sets no limit
_OTHER_LINES = 9  # around an overview: head, parts, legends, summary, prompt; with KPTI one more
_IMPLY_RANGES = ("ranges", "phys", "filter", "as", "trampoline")


@dataclass
class MapView:
    """A space, what was read of it, and what is shown."""

    space: AddressSpace
    options: Options
    position: int  # of the level that a grid shows, in paging.levels
    window: Interval  # offsets
    tables: Tables
    made: Map
    walk: Walk | None  # to the table of -at; None without -at
    whole: bool  # no window, and not one table
    known: space_labels.Known

    @classmethod
    def of(cls, space: AddressSpace, options: Options, words: list[str]) -> MapView:
        position = _position(space, options)
        if "level" in options and position == 0:
            options.setdefault("at", 0)  # there is only one such table
        if "at" in options:
            options["at"] = address_space.in_space(space, options["at"])
            window = _table_window(space, position, options["at"], words)
        elif "trampoline" in options:
            if words:
                raise Refusal("-trampoline cannot go with START END")
            window = _kernel_window(space)
        else:
            window = _window(space, words)
        wanted = attributes.parse(options["filter"]) if "filter" in options else None
        whole = not words and "at" not in options and "trampoline" not in options
        # The kernel's labels need the whole upper part, so a window there comes after them. They
        # read registers, for which GDB may read code: that must not happen inside reading().
        known = space_labels.of(space, window) if _is_upper(space, window) else None
        with space.memory.reading():
            part = scanned.of(space).whole if whole else _part(space, window)
            walk = walks.walk(space, options["at"]) if "at" in options else None
        known = known or space_labels.of(space, window)
        made = part.view(
            *window,
            split_physical="phys" in options,
            as_=options.get("as"),
            wanted=wanted,
            with_ram=True,
        )
        return cls(space, options, position, window, part.tables, made, walk, whole, known)

    def json(self, more: dict[str, object] | None = None) -> Iterable[str]:
        """The JSON, in pieces because it may be long."""
        members = dict(more or {})
        if "filter" in self.options:
            members["filter"] = self.options["filter"]  # it filters "ranges", not "pages"
        halves: dict[str, str | None] = {}
        if pair := kpti.roots(self.space):
            members["kpti"] = halves
            halves["half"] = kpti.half(self.space)
            halves["kernel_root"] = hex(pair.kernel)
            halves["user_root"] = hex(pair.user)
        if self.known.kernel:
            members["regions"] = [
                {
                    "va": hex(label.start),
                    "size": hex(label.end - label.start),
                    "label": label.name,
                    "label_source": label.source,
                }
                for label in self.known.kernel
            ]
        if self.whole:
            if (sizes := split.shared(self.space)) is not None:
                halves |= {
                    "kernel_bytes": hex(sizes.kernel),
                    "in_user_root": hex(sizes.user),
                    "kernel_frames": hex(sizes.kernel_frames),
                    "frames_in_user_root": hex(sizes.user_frames),
                }
            if (begins := split.split_of(self.space)) is not None:
                members["split"] = hex(begins)
        text = "".join(json_members(members))
        return self.made.json(self.known.core(), text, progress.writing)

    def text(self) -> list[Part]:
        space, labels = self.space, self.known.core()
        lines: list[Part] = [summary.head(space, self.known.linux)]
        lines += [f"assuming {what}\n" for what in space.assumed]
        only_ranges = any(option in self.options for option in _IMPLY_RANGES)
        has_table = self.walk is None or len(self.walk.steps) > self.position
        is_overview = space.paging.canonical and self.walk is None
        if self.walk is not None:
            lines.append(_table_line(space, self.walk, self.position))
        if only_ranges or is_overview and not self.whole:
            listed = self.made.ranges_text(labels, progress.writing)
            if not len(listed):
                lines.append("no such range\n")
            lines.append(listed)
        elif is_overview:
            lines.append(self._overview(labels))
        elif has_table:
            grid = native.core.draw_grid(
                self.tables, self.position, *self.window, progress.flattening
            )
            width = gdb.parameter("width") or 0  # None or 0 is no limit, as in batch mode
            lines.append(native.core.grid_text(space.paging, grid, width))
            if self.whole:
                parts = self.known.parts()
                lines.append(native.core.parts_text(self.made, labels, parts, progress.flattening))
        if has_table or only_ranges:
            lines += self._summary()
        return [*lines, *self._hints(only_ranges)]

    def _overview(self, labels: list[Label]) -> Text:
        """The overview, with as many rows as fit GDB's screen."""
        width, height = _SCREEN
        return native.core.overview_text(
            self.tables,
            self.made,
            labels,
            width=gdb.parameter("width") or width,
            height=gdb.parameter("height") or height,
            other_lines=_OTHER_LINES + (kpti.roots(self.space) is not None),
            pulse=progress.flattening,
        )

    def _summary(self) -> list[Part]:
        lines: list[Part] = []
        if self.whole:
            lines += summary.parts(self.space)
        if "filter" in self.options:
            lines.append("before -filter: ")
        lines.append(native.core.counts_text(self.made))
        lines.append(summary.missing(self.made, self.tables.cut))
        if "as" in self.options and self.space.has_keys:
            lines.append("protection keys are not counted (pte counts them)\n")
        if self.known.linux and self.known.linux.wrong_symbols:
            lines.append("the symbols loaded are another kernel's: not used\n")
        return lines

    def _hints(self, only_ranges: bool) -> list[str]:
        """Commands that show a lower or a higher level."""
        levels = self.space.paging.levels
        if only_ranges:
            return []
        if self.walk is not None:
            words = []
            if self.position + 1 < len(levels) and len(self.walk.steps) > self.position:
                words.append(f"deeper: ptmap -at VA -level {levels[self.position + 1].table_name}")
            back = f"ptmap -at VA -level {levels[self.position - 1].table_name}"
            words.append(f"back: {back if self.position > 1 else 'ptmap'}")
            return ["; ".join(words) + "\n"]
        if self.space.paging.canonical and self.whole:
            return ["deeper: ptmap -at VA; all: ptmap -ranges [START END]\n"]
        return []


def _is_upper(space: AddressSpace, window: Interval) -> bool:
    return 0 < space.paging.upper_part <= window.first


def _part(space: AddressSpace, window: Interval) -> ScannedPart:
    """The tables of a window. If the window cuts a cell of the classic grid, the cell must show
    only the part inside: then the scan has the window alone."""
    span = space.paging.levels[-2].entry_span
    cuts_cells = not space.paging.canonical and any(at % span for at in (window.first, window.end))
    return scanned.of(space).alone(*window) if cuts_cells else scanned.of(space).window(*window)


def _kernel_window(space: AddressSpace) -> Interval:
    """The supervisor's part."""
    first = split.supervisor_part(space)
    if first is None:
        raise Refusal("-trampoline: user and supervisor pages are mixed here: there is no split")
    return Interval(first, space.paging.last_offset)


def _window(space: AddressSpace, words: list[str]) -> Interval:
    """First and last offset of START END; without them, of the whole space."""
    if not words:
        return Interval(0, space.paging.last_offset)
    if len(words) != 2:
        raise Refusal(
            f"{words[0]!r} is not a subcommand or option (help ptmap); a window is START END, "
            "each one word (quote an expression with spaces)"
        )
    start, end = map(evaluate, words)
    return address_space.window(space, start, end, shown=" ".join(words))


def _position(space: AddressSpace, options: Options) -> int:
    """The index in paging.levels of the level that the grid shows: -level; else the PD if addresses
    have 32 bits, or the root, and with -at the level below that."""
    levels = space.paging.levels
    overview = 0 if space.paging.canonical else len(levels) - 2
    if "level" not in options:
        return overview + 1 if "at" in options else overview
    for position, level in enumerate(levels):
        if level.number == address_space.LEVELS[options["level"]]:
            if position not in (overview, 0) and "at" not in options:
                raise Refusal("-level needs -at VA: there is more than one such table")
            return position
    names = ", ".join(level.table_name for level in levels)
    raise Refusal(f"{space.mode} paging has no level {options['level']}; it has {names}")


def _table_window(space: AddressSpace, position: int, va: int, words: list[str]) -> Interval:
    """First and last offset of the table that translates VA at a level."""
    if words:
        raise Refusal("-at shows one table: it cannot go with START END")
    if not space.paging.translatable(va):
        raise Refusal(f"{va:#x} is not canonical under {space.mode} paging")
    span = space.paging.levels[position].table_span
    first = space.paging.offset_of(va) & ~(span - 1)
    return Interval.of_size(first, span)


def _table_line(space: AddressSpace, walk: Walk, position: int) -> str:
    """The line about the table of -at, or why there is none."""
    level = space.paging.levels[position]
    if len(walk.steps) > position:
        return (
            f"{level.table_name} at {walk.steps[position].table:#x}, "
            f"which translates {space.hex(walk.va)}\n"
        )
    return (
        f"no {level.table_name} translates {space.hex(walk.va)}:\n"
        f"  {native.core.end_text(walk)}\n"
    )
