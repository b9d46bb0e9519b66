"""ptmap find -all: what maps physical memory in the spaces of all of a Linux's processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..base import native
from ..base.interval import Interval
from ..base.text import Part, Text, flat, plural, size_text
from ..context import space_labels
from ..debugger import progress
from ..linux import processes, tasks
from ..linux.tasks import Task
from ..spaces import kpti, maps, walks
from ..spaces.address_space import AddressSpace
from . import summary
from .command import json_members

if TYPE_CHECKING:
    from .._core import Map


def document(made: Map, known: space_labels.Known, stretch: Interval, more: str = "") -> Text:
    """JSON of what maps a stretch; MORE are further members."""
    names = known.core()
    shared = native.core.aliases_json(made, labels=names, pulse=progress.writing)
    members = f', "pa": "{stretch.first:#x}", "size": "{stretch.size:#x}"{more}'
    members += f', "aliases": [{"".join(shared)}]'
    return made.json(names, members, progress.writing, kind="find")


@dataclass
class _Part:
    """A process's part of a space, or the kernel's part, and what of it maps the stretch."""

    space: AddressSpace
    owners: list[Task]  # whose space it is; empty for the kernel's part
    window: Interval  # offsets
    made: Map
    cut: bool

    @classmethod
    def of(
        cls, space: AddressSpace, owners: list[Task], window: Interval, stretch: Interval
    ) -> _Part:
        tables = walks.scan(space, *window)
        return cls(space, owners, window, maps.find(space, tables, *stretch), tables.cut)

    @property
    def known(self) -> space_labels.Known:
        return space_labels.of(self.space, self.window)

    @property
    def title(self) -> str:
        if not self.owners:
            return "the kernel's part, in every process:"
        return f"{', '.join(map(str, self.owners))}, root {self.space.root:#x}:"


@dataclass
class InAll:
    """What maps a stretch of physical memory in the spaces of all processes."""

    space: AddressSpace
    stretch: Interval  # of physical memory
    parts: list[_Part]  # the kernel's is the last
    why_more: list[str]

    @classmethod
    def of(cls, space: AddressSpace, stretch: Interval) -> InAll:
        """Error: Refusal without a Linux and its symbols."""
        kernel = tasks.linux(space)
        end, top = processes.user_end(kernel), space.paging.last_offset
        lower = Interval.until(0, end)
        roots = processes.roots(space, kernel)
        parts = [
            _Part.of(space.below(root, pair=kernel.pair(root)), who, lower, stretch)
            for root, who in roots.tasks.items()
        ]
        parts.append(_Part.of(kernel.space, [], Interval(end, top), stretch))
        return cls(space, stretch, parts, roots.why_more)

    @property
    def complete(self) -> bool:
        return not self.why_more and all(part.made.complete for part in self.parts)

    @property
    def tables(self) -> int:
        return sum(part.made.tables for part in self.parts)

    def json(self) -> Text:
        members = {
            "kind": "find",
            "mode": self.space.mode,
            "root": hex(kpti.kernel_of(self.space).root),
            "complete": self.complete,
            "truncated": any(part.made.truncated for part in self.parts),
            "unreadable": [],
            "malformed": [],
            "tables": self.tables,
            "aliases": [],
            "pa": hex(self.stretch.first),
            "size": hex(self.stretch.size),
            **({"why": self.why_more} if self.why_more else {}),
        }
        text: list[Part] = ['{"schema": "ptmap/1"', json_members(members), ', "spaces": [\n']
        for index, part in enumerate(self.parts):
            who = [{"pid": one.pid, "comm": one.comm} for one in part.owners]
            more = "".join(json_members({"processes": who})) if who else ""
            text.append(",\n" if index else "")
            text += flat(document(part.made, part.known, self.stretch, more))
        return [*text, "]}\n"]

    def text(self) -> Text:
        size = self.stretch.size
        hits = [part for part in self.parts if len(part.made)]
        lines: list[Part] = [
            f"physical {self.stretch.first:#x}"
            + (f", {size_text(size)}" if size > 1 else "")
            + ("" if hits else ": no process maps it, nor does the kernel")
            + "\n"
        ]
        for part in hits:
            lines += [f"{part.title}\n", part.made.ranges_text(part.known.core(), progress.writing)]
        count = sum(bool(part.owners) for part in hits)
        lines.append(
            f"mapped in {count} of {plural(len(self.parts) - 1, 'space')} of processes; "
            f"{plural(self.tables, 'table')}; "
            f"{'complete' if self.complete else 'INCOMPLETE: there may be more'}\n"
        )
        lines += [f"{why}\n" for why in self.why_more]
        for part in self.parts:
            if not part.made.complete:
                lines += [f"{part.title}\n", summary.missing(part.made, part.cut)]
        return lines
