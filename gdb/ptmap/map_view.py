"""What `ptmap` shows of one space: which part of it, read how, as which text or JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from . import address_space, attributes, maps, native, progress, space_labels, summary
from .address_space import AddressSpace
from .command import evaluate
from .text import plural, size_text
from .errors import Refusal
from .grid_text import grid_rows, parts_lines
from .overview_text import legend, overview_lines

_IMPLY_RANGES = ("ranges", "phys", "filter", "as", "trampoline")


@dataclass
class MapView:
    """A space, what was read of it, and what is shown."""

    space: AddressSpace
    options: dict[str, Any]
    position: int  # of the level that a grid shows, in paging.levels
    window: tuple[int, int]  # offsets
    scanned: Any
    made: Any
    walk: Any  # to the table of -at, else None
    whole: bool  # neither a window nor one table
    known: space_labels.Known

    @classmethod
    def of(cls, space: AddressSpace, options: dict[str, Any], words: list[str]) -> MapView:
        position = _position(space, options)
        if "level" in options and position == 0:
            options.setdefault("at", 0)  # there is only one such table
        if "at" in options:
            options["at"] = address_space.in_space(space, options["at"])
            window = _table_window(space, position, options["at"], words)
        elif "trampoline" in options:
            if words:
                raise Refusal("-trampoline is a view of its own: it goes with no START END")
            window = _kernel_window(space)
        else:
            window = _window(space, words)
        wanted = attributes.parse(options["filter"]) if "filter" in options else []
        with space.memory.reading():
            scanned = maps.scan(space, *window)
            walk = space.walk(options["at"]) if "at" in options else None
        made = maps.flatten(
            space, scanned, *window, split_physical="phys" in options, as_=options.get("as"),
            wanted=wanted, ram=space.memory.ram if space.memory.source.knows_ram else [],
        )  # fmt: skip
        whole = not words and "at" not in options and "trampoline" not in options
        known = space_labels.of(space, window[1])
        return cls(space, options, position, window, scanned, made, walk, whole, known)

    def json(self, more: dict[str, Any] | None = None) -> str:
        members = dict(more or {})
        if "filter" in self.options:
            members["filter"] = self.options["filter"]  # of the ranges; pages are not filtered
        if pair := self.space.kpti_roots:
            members["kpti"] = {
                "half": self.space.half, "kernel_root": hex(pair.kernel),
                "user_root": hex(pair.user),
            }  # fmt: skip
        if self.known.kernel:
            members["regions"] = [
                {"va": hex(label.start), "size": hex(label.end - label.start),
                 "label": label.name, "label_source": label.source}
                for label in self.known.kernel
            ]  # fmt: skip
        if self.whole:
            if (sizes := summary.shared(self.space)) is not None:
                members["kpti"] |= {
                    "kernel_bytes": hex(sizes.kernel), "in_user_root": hex(sizes.user),
                    "kernel_frames": hex(sizes.kernel_frames),
                    "frames_in_user_root": hex(sizes.user_frames),
                }  # fmt: skip
            if (split := summary.split_of(self.space)) is not None:
                members["split"] = hex(split)
        text = "".join(f", {json.dumps(key)}: {json.dumps(value)}"
                       for key, value in members.items())  # fmt: skip
        return str(self.made.json(self.known.core(), text, progress.writing))

    def text(self) -> str:
        space, labels = self.space, self.known.core()
        lines = [summary.head(space, self.known.linux)]
        lines += [f"assuming {what}\n" for what in space.assumed]
        only_ranges = any(option in self.options for option in _IMPLY_RANGES)
        has_table = self.walk is None or len(self.walk.steps) > self.position
        is_overview = space.paging.canonical and self.walk is None
        if self.walk is not None:
            lines.append(_table_line(space, self.walk, self.position))
        if only_ranges or is_overview and not self.whole:
            lines.append(self.made.ranges_text(labels, progress.writing) or "no such range\n")
        elif is_overview:
            lines += overview_lines(space, self.scanned, self.made, labels)
            lines.append(legend(bool(labels)))
        elif has_table:
            grid = native.core().draw_grid(self.scanned, self.position, *self.window)
            lines += _grid(space, grid)
            if self.whole:
                lines += parts_lines(space, self.made, self.known)
        if has_table or only_ranges:
            lines += self._summary()
        lines += self._hints(only_ranges)
        return "".join(lines)

    def _summary(self) -> list[str]:
        lines = []
        if self.whole:
            for line in (summary.split_text(self.space), summary.kpti_text(self.space)):
                if line is not None:
                    lines.append(line + "\n")
        before = "before -filter: " if "filter" in self.options else ""
        lines.append(before + summary.counts(self.made))
        lines += summary.missing(self.space, self.made, self.scanned.cut)
        if "as" in self.options and self.space.has_keys:
            lines.append("protection keys are not counted (pte counts them)\n")
        if self.known.linux and self.known.linux.wrong_symbols:
            lines.append("the symbols loaded are another kernel's: not used\n")
        return lines

    def _hints(self, only_ranges: bool) -> list[str]:
        """Where to go from here: deeper and back."""
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


def _kernel_window(space: AddressSpace) -> tuple[int, int]:
    """The supervisor's part."""
    first = summary.supervisor_part(space)
    if first is None:
        raise Refusal("-trampoline: user and supervisor pages are mixed here, there is no split")
    return first, space.paging.last_offset


def _window(space: AddressSpace, words: list[str]) -> tuple[int, int]:
    """First and last offset of START END; everything without them."""
    if not words:
        return 0, space.paging.last_offset
    if len(words) != 2:
        raise Refusal(
            f"{words[0]!r} is no subcommand or option (help ptmap); a window is START END, "
            "each one word (quote an expression with spaces)"
        )
    return window(space, evaluate(words[0]), evaluate(words[1]), shown=" ".join(words))


def window(space: AddressSpace, start: int, end: int, shown: str = "") -> tuple[int, int]:
    """As address_space.stretch, in offsets. Error: Refusal."""
    first, last = address_space.stretch(space, start, end, shown)
    return space.paging.offset_of(first), space.paging.offset_of(last)


def _position(space: AddressSpace, options: dict[str, Any]) -> int:
    """Which of paging.levels the grid shows.

    The PD where addresses have 32 bits, else the root; one below that with -at; or what -level
    says.
    """
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


def _table_window(
    space: AddressSpace, position: int, va: int, words: list[str]
) -> tuple[int, int]:
    """What the table that translates VA at a level spans."""
    if words:
        raise Refusal("-at shows one table; it goes with no START END")
    if not space.paging.translatable(va):
        raise Refusal(f"{va:#x} is not canonical under {space.mode} paging")
    span = space.paging.levels[position].table_span
    first = space.paging.offset_of(va) & ~(span - 1)
    return first, first + span - 1


def _table_line(space: AddressSpace, walk: Any, position: int) -> str:
    """Which table -at shows, or why there is none."""
    level = space.paging.levels[position]
    if len(walk.steps) > position:
        return (
            f"{level.table_name} at {walk.steps[position].table:#x}, "
            f"which translates {space.hex(walk.va)}\n"
        )
    last = walk.steps[-1]
    ends = {
        "mapped": f"maps a page of {size_text(walk.page_size)}",
        "not-present": "is not present",
        "reserved-bit": "has a reserved bit set",
        "unreadable": f"could not be read ({walk.why})",
    }[walk.outcome]
    return (
        f"no {level.table_name} translates {space.hex(walk.va)}:\n"
        f"  {last.entry_name} {last.index} at {last.entry_address:#x} {ends}\n"
    )


def _grid(space: AddressSpace, grid: Any) -> list[str]:
    lines = [f"a cell is {size_text(grid.cell_size)}\n"]
    lines += grid_rows(space, grid)
    if grid.mixed:
        lines.append(
            f"{plural(grid.mixed, 'cell hides', 'cells hide')} a mix: "
            "a cell shows its first present page\n"
        )
    return lines
