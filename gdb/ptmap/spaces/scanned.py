"""What a command has scanned: each root's tables are read once and flattened once.

A command asks several things of the same tables: the map itself, which Linux this is, labels, the
stack, the split. The first of them scans the tables, and one map of them answers all. A command
about a window reads the window, and besides only what is needed to recognise the kernel.

If a limit cut a scan short, a part that lies behind the cut is read by a scan of its own: so a map
of a space with too many tables still has its labels.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from ..base import native
from ..base.interval import Interval
from ..base.lifetimes import Lifetime
from ..base.option import Options
from . import kpti, walks
from .reader import Plan

if TYPE_CHECKING:
    from .._core import Condition, Map, Tables
    from .address_space import AddressSpace

# The first is more than any view of a process has. In the kernel's part each run of frames counts.
_LEAST_RANGES, _KERNEL_RANGES = 1 << 20, 1 << 18


class ScannedPart:
    """A window of a root: its tables, and their one map."""

    def __init__(self, space: AddressSpace, first: int, last: int, plan: Plan) -> None:
        """FIRST and LAST are offsets. Error: Refusal if there is no memory."""
        self.space, self.first, self.last = space, first, last
        self.exact, self._counts = plan.exact, plan.counts
        self.tables: Tables = walks.scan(space, first, last)

    @cached_property
    def flat(self) -> Map:
        """The map: each range has contiguous frames and one page size. If the plan is not exact
        ranges in the lower part are merged: a process may have a million runs of frames, and few
        commands need them."""
        space = self.space
        return native.core.make_map(
            self.tables,
            self.first,
            self.last,
            split_physical=True,
            split_sizes=True,
            pat=space.reader.pat,
            max_ranges=max(space.reader.max_ranges, _LEAST_RANGES) + _KERNEL_RANGES,
            ram=_ram(space) if self._counts and not self.exact else [],
            counted=self._counts,
            pulse=space.reader.progress.flattening,
            split_from=0 if self.exact else space.paging.upper_part,
        )

    def tells(
        self, first: int, last: int, split_physical: bool = False, split_sizes: bool = False
    ) -> bool:
        """Whether `flat` is enough for such a view: merged ranges cannot be cut or split."""
        if self.exact or first >= self.space.paging.upper_part:
            return True
        is_whole_lower = first == self.first and last >= min(
            self.last, self.space.paging.upper_part - 1
        )
        return is_whole_lower and not split_physical and not split_sizes

    def covers(self, first: int, last: int) -> bool:
        return self.first <= first and last <= self.last

    @property
    def is_limited(self) -> bool:
        """Whether a limit was reached: then the rest is not known."""
        return self.tables.cut or self.flat.truncated

    def view(
        self,
        first: int,
        last: int,
        *,
        split_physical: bool = False,
        split_sizes: bool = False,
        as_: str | None = None,
        wanted: Condition | None = None,
        with_ram: bool = False,
        max_ranges: int | None = None,
        counted: bool = True,
    ) -> Map:
        """A map of these offsets, as _core.make_map makes it. WITH_RAM: it counts pages outside of
        RAM. Without COUNTED its numbers of pages and tables mean nothing."""
        split_sizes = split_sizes or wanted is not None and wanted.names_page_size
        space, make = self.space, native.core.make_map
        limit = space.reader.max_ranges if max_ranges is None else max_ranges
        options: Options = {
            "split_physical": split_physical,
            "split_sizes": split_sizes,
            "as_": as_,
            "ac": space.ac,
            "wanted": wanted,
            "max_ranges": limit,
            "ram": _ram(space) if with_ram else [],
            "pulse": space.reader.progress.flattening,
            "counted": counted,
        }
        flat = self.flat
        if self.exact and split_physical and split_sizes and not with_ram:
            is_all = (first, last) == (self.first, self.last) and not wanted and as_ is None
            if is_all and len(flat) + len(flat.unreadable) + len(flat.malformed) <= limit:
                return flat
        # A map cut at its limit may end too early for a view, whose merged ranges reach further.
        tells = self._counts and self.tells(first, last, split_physical, split_sizes)
        if flat.truncated or counted and not tells:
            return make(self.tables, first, last, pat=space.reader.pat, **options)
        return native.core.view(self.tables, flat, first, last, **options)


class Scanned:
    """The tables of one root that a command has asked for so far. Made by of()."""

    def __init__(self, space: AddressSpace) -> None:
        self._space = space
        self.plan = Plan()
        self._parts: list[ScannedPart] = []
        self.memo = Lifetime()  # what was worked out of them

    @property
    def whole(self) -> ScannedPart:
        """The whole space."""
        whole = self.part(0, self._space.paging.last_offset)
        self._space.reader.remember_tables(self._space, whole.tables)
        return whole

    def known(self, first: int, last: int) -> ScannedPart | None:
        """A part with these offsets, if one was scanned."""
        return next((part for part in self._parts if part.covers(first, last)), None)

    def part(self, first: int, last: int) -> ScannedPart:
        """A part with these offsets, scanned now if none was. Of a 64-bit space it reads only these
        offsets or the upper part, unless the plan is for the whole."""
        known = self.known(first, last)
        if known is not None:
            return known
        paging = self._space.paging
        if self.plan.whole or not paging.canonical:
            return self._read(0, paging.last_offset)
        if first >= paging.upper_part:
            return self._read(paging.upper_part, paging.last_offset)
        return self._read(first, last)

    def window(self, first: int, last: int) -> ScannedPart:
        """The same for a window that a command shows: nothing outside of it is read."""
        known = self.known(first, last)
        if known and not known.is_limited and known.tells(first, last):
            return known
        return self._read(first, last)

    def alone(self, first: int, last: int) -> ScannedPart:
        """A scan of these offsets and no others, for when a larger one was cut by a limit."""
        return ScannedPart(self._space, first, last, self.plan)

    def _read(self, first: int, last: int) -> ScannedPart:
        made = ScannedPart(self._space, first, last, self.plan)
        self._parts.append(made)
        return made

    def around(self, first: int, last: int) -> Map:
        """A merged map of a few offsets: only their rights. Frames, page sizes and counts are not
        in it."""
        part = self.part(first, last)
        if part.tables.cut:
            part = self.alone(first, last)
        return part.view(first, last, counted=False)

    def contiguous(self, first: int, last: int, max_tables: int, max_ranges: int) -> Map:
        """A map of offsets in the upper part, of ranges whose frames are contiguous. If a limit of
        the settings was reached these offsets are scanned alone, under the limits given here."""
        part = self.part(first, last)
        if not part.is_limited:
            return part.view(first, last, split_physical=True, max_ranges=max_ranges, counted=False)
        tables = walks.scan(self._space, first, last, max_tables)
        return native.core.make_map(tables, first, last, split_physical=True, max_ranges=max_ranges)


def of(space: AddressSpace, aside: bool = False) -> Scanned:
    """What this command has scanned of a space's root; more is scanned when it is asked for.
    ASIDE: the command is about another root and needs only a part of this one."""
    scans = space.reader.scans
    key = *space.key, space.reader.pat
    scanned = scans.by_root.get(key)
    if not isinstance(scanned, Scanned):
        scanned = scans.by_root[key] = Scanned(space)
    if not aside:
        scanned.plan = scans.plan
    return scanned


def of_kernel(space: AddressSpace) -> Scanned:
    """The same for the space that has the kernel mapped."""
    kernel = kpti.kernel_of(space)
    return of(kernel, aside=kernel.root != space.root)


def _ram(space: AddressSpace) -> list[Interval]:
    """The machine's RAM; empty if it is not known."""
    return space.memory.ram if space.memory.source.knows_ram else []
