"""What is read of a space, for all rules together."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from ..base import native
from ..base.errors import Refusal
from ..base.interval import Interval
from ..base.text import plural
from ..debugger import progress, settings
from ..debugger.numbers import evaluate
from ..context import hints
from ..linux import kernel, recognition
from ..spaces import address_space, scanned, walks
from ..spaces.address_space import AddressSpace
from ..vdso import vdso
from . import sections as elf
from .finding import OK, UNDECIDED, Finding, Result

if TYPE_CHECKING:
    from .._core import Condition, Gap, Grid, Map, PageAttributes, Range, Tables, Walk


class Evidence:
    """A space, and what was read of it so far. Nothing is read or computed twice."""

    def __init__(self, space: AddressSpace) -> None:
        self.space = space
        self.has_map = False  # whether some rule needed the whole space

    # Addresses

    @property
    def top(self) -> int:
        """The last address."""
        return (1 << (64 if self.space.paging.canonical else 32)) - 1

    @property
    def everything(self) -> Interval:
        return Interval(0, self.top)

    def address(self, word: str) -> int:
        """An expression as a linear address. Error: Refusal if it is not one in this space."""
        return address_space.in_space(self.space, evaluate(word))

    def stretch(self, start: str, end: str) -> Interval:
        """First and last address of START END; END is exclusive, and 0 is the top. A rule is about
        every address between: one that is not canonical is not mapped."""
        first, after = self.address(start), evaluate(end)
        beyond = after in (0, self.top + 1)
        last = self.top if beyond else address_space.in_space(self.space, after - 1)
        if last < first:
            raise Refusal(f"{start} {end} is empty: END must be above START")
        return Interval(first, last)

    def shown(self, first: int, last: int) -> str:
        end = (last + 1) & self.top
        return f"{self.space.hex(first)} - {self.space.hex(end)}"

    # What was read

    @cached_property
    def tables(self) -> Tables:
        return scanned.of(self.space).whole.tables

    @cached_property
    def _exact(self) -> Map:
        last = self.space.paging.last_offset
        whole = scanned.of(self.space).whole
        exact = whole.view(0, last, split_physical=True, split_sizes=True)
        self.has_map = True
        return exact

    def _require_whole(self) -> None:
        """Raises KeyboardInterrupt if Ctrl-C cut the reading short: then no rule can be decided."""
        if any(gap.interrupted for gap in self._exact.unreadable):
            raise KeyboardInterrupt

    @cached_property
    def made(self) -> Map:
        """The exact map."""
        self._require_whole()
        return self._exact

    @cached_property
    def merged(self) -> Map:
        """The map as `ptmap -ranges` shows it."""
        self._require_whole()
        return scanned.of(self.space).whole.view(0, self.space.paging.last_offset)

    @cached_property
    def grid(self) -> Grid:
        """The classic grid."""
        self._require_whole()
        return native.core.draw_grid(
            self.tables, len(self.space.paging.levels) - 2, pulse=progress.flattening
        )

    @cached_property
    def _sections(self) -> list[elf.Section] | Refusal:
        try:
            return elf.loaded()
        except Refusal as refusal:
            return refusal

    @property
    def sections(self) -> list[elf.Section]:
        """Sections of the ELF files that GDB has loaded. Error: Refusal."""
        if isinstance(self._sections, Refusal):
            raise Refusal(str(self._sections))
        return self._sections

    def placed(self, found: list[elf.Section]) -> elf.Placed:
        """The sections at their places in this space. Error: Refusal."""
        linux = self._linux if any(section.kernel for section in found) else None
        return elf.placed(self.space, linux, found)

    @cached_property
    def _linux(self) -> kernel.Kernel | None:
        return recognition.find(self.space)

    @cached_property
    def vdso(self) -> vdso.Vdso:
        return vdso.find(self.space)

    # Questions

    def walk(self, va: int) -> Walk:
        return walks.walk(self.space, va)

    def page(self, walk: Walk) -> PageAttributes:
        """The page of a walk; the walk must be mapped."""
        return native.core.PageAttributes(walk, settings.get("pat"))

    def found(self, walk: Walk) -> str:
        """What is at an address, in words."""
        if walk.outcome == "mapped":
            page = self.page(walk)
            return f"{page} at physical {walk.pa:#x}"
        return {
            "not-present": "not mapped",
            "not-canonical": "not canonical",
            "reserved-bit": "an entry with a reserved bit set",
            "unreadable": f"an entry that could not be read ({walk.why})",
        }[walk.outcome]

    def at(self, result: Result, why: str, walk: Walk, right: str | None = None) -> Finding:
        """A finding about the address of a walk."""
        entry = native.core.responsible_entry(walk, self.space.paging, right)
        hint = hints.of(self.space, walk.va) if walk.outcome == "not-present" else None
        return Finding(result, why, walk.va, self.found(walk), entry, (hint,) if hint else ())

    def matches(
        self, stretch: Interval, condition: Condition | None, truth: bool | None
    ) -> tuple[Range | None, int]:
        """The first range for which the condition's truth is TRUTH (None: unknown), and how many
        there are. A condition of None holds for all."""
        first, count = native.core.matches(
            self.made, *stretch, condition, truth, progress.flattening
        )
        progress.show(f"{count} ranges")
        return first, count

    def first_hole(self, stretch: Interval) -> int | None:
        hole: int | None = native.core.first_hole(self.made, *stretch)
        return hole

    def unless_unknown(self, stretch: Interval) -> Finding:
        """OK, or UNDECIDED with the part of the stretch that is not known."""
        gap, malformed, count, truncated = native.core.unknown(self.made, *stretch)
        if gap is not None:
            return Finding(UNDECIDED, self._gap_text(gap, malformed, count), gap.va)
        if truncated:
            return Finding(UNDECIDED, self._limit_text())
        return Finding(OK)

    def _gap_text(self, gap: Gap, malformed: bool, count: int) -> str:
        levels = {level.number: level for level in self.space.paging.levels}
        last = gap.va + gap.size - 1
        is_all = gap.va == 0 and last == self.top
        what = "all of the space" if is_all else self.shown(gap.va, last)
        if malformed:
            level = levels[gap.level]
            why = f"an entry of the {level.table_name} at {gap.table:#x} has {gap.why} set"
        else:
            why = f"the {levels[gap.level].table_name} at {gap.table:#x} is unreadable: {gap.why}"
        more = f" (and {plural(count - 1, 'more part')})" if count > 1 else ""
        return f"{what} is not known, {why}{more}"

    def _limit_text(self) -> str:
        limit = "max-tables" if self.tables.cut else "max-ranges"
        return f"the map is cut short: the limit of {limit[4:]} is reached (set ptmap {limit})"
