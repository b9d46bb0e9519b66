"""ptmap as a library of scripts inside GDB: `import ptmap` once ptmap-gdb.py is loaded.

    space = ptmap.space()                      # of the selected CPU, now
    walk = space.walk(0x401000)
    print(hex(walk.pa) if walk.outcome == "mapped" else walk.outcome)
    for r in space.map(filter="write+exec"):   # a ptmap.Map: a sequence of ptmap.Range
        print(hex(r.va), r.size, r.rights)

    before = ptmap.load("before.ptmap")        # or a Map of an earlier moment
    for d in ptmap.diff(before, space.map(sizes=True)):
        print(d.what, hex(d.va), d.size)       # a ptmap.Difference each

Addresses and sizes are ints, in bytes. Linear addresses are canonical, from 0 to 2^64-1 (below 4
GiB without 4- or 5-level paging); an argument may also be a gdb.Value. A window is START and END,
END exclusive, as in `ptmap START END`.

A Space is registers: a root and how to read it. Each of its methods reads the tables anew: a Space
made at an earlier stop tells what its root maps now. A method returns data, which does not change
and stays valid when the target runs.

If something cannot be done Error is raised; its text is one sentence that says why: there is no
target, it is running, a register or the kernel's symbols are missing. "Not mapped" is an answer,
not an Error. Ctrl-C raises KeyboardInterrupt. All of it is for GDB's own thread only.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from operator import index
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, Union, cast, overload

import gdb

from ..base import native
from ..base.errors import Refusal
from ..base.interval import Interval
from ..context import selection, snapshots
from ..debugger import failures, numbers, progress, settings
from ..linux import tasks
from ..linux.processes import Process, Processes
from ..machine import cpus, question, target
from ..machine.sources import choose
from ..spaces import address_space, attributes, maps, walks
from ..spaces.address_space import AddressSpace

if TYPE_CHECKING:
    from .. import _core
    from .._core import Gap, Label, Range, Table, Walk

Error = Refusal  # as scripts call it
Address = Union[int, gdb.Value]

# Flags of a row: the rights that all levels allow, the page sizes of a range, the memory type.
USER, WRITE, EXEC, GLOBAL, READ = 1, 2, 4, 8, 16
PAGE_4K, PAGE_2M, PAGE_4M, PAGE_1G = 1 << 8, 1 << 9, 1 << 10, 1 << 11
_TYPE_SHIFT = 16
_PA_TOP = 1 << 52  # physical addresses have at most 52 bits
NO_PA = (1 << 64) - 1  # a range's physical address if its frames are not contiguous


def memory_type(flags: int) -> str:
    """The memory type in the flags of a Map's row: "WB", "UC-", or "PAT1" if it is not known (`set
    ptmap pat`). MTRRs are not considered. Error: if they are not flags of a row."""
    names: list[str] = native.core.type_names()
    number = flags >> _TYPE_SHIFT
    if not 0 <= number < len(names):
        raise Error(f"{flags:#x} are not the flags of a row")
    return names[number]


@dataclass(frozen=True)
class Registers:
    """The control registers that decide what a Space is. `set ptmap cr0` and the like replace the
    target's values."""

    cr0: int
    cr3: int
    cr4: int
    efer: int


@dataclass(frozen=True)
class Mapping:
    """Contiguous linear addresses that map contiguous physical memory."""

    va: int
    pa: int
    size: int  # bytes
    range: Range  # the map's range that they belong to; it has their rights


def space(
    root: Address | str | None = None,
    *,
    mode: str | None = None,
    half: str | None = None,
    cpu: int | None = None,
    pid: int | None = None,
    comm: str | None = None,
) -> Space:
    """The address space that the commands' options of these names select; by default that of the
    selected CPU (kgdb: task).

    root   physical address of the root table; or a pointer to it (a gdb.Value, or an expression
           such as "init_mm.pgd", which KASLR may have moved)
    mode   "32-bit", "pae", "4-level", "5-level"; by default the one that the registers select
    half   KPTI's "user" or "kernel" root
    cpu    a CPU, counted from 0; not in a condition
    pid    of a Linux process; needs the kernel's symbols
    comm   a Linux process's name; needs the kernel's symbols

    Error: if there is no such space, or paging is off.
    """
    given = {"mode": mode, "half": half, "pid": pid, "comm": comm}
    options: dict[str, object] = {name: value for name, value in given.items() if value is not None}
    for name, words in (("mode", address_space.MODES), ("half", ("user", "kernel"))):
        if options.get(name, words[0]) not in words:
            raise Error(f"{name}={options[name]!r} is not one of {', '.join(words)}")
    with _refusing():
        question.begin()
        with cpus.selected(_number(cpu, "cpu")) if cpu is not None else nullcontext():
            if root is not None:
                options["root"] = _root(root)
            resolved = selection.resolve(options)
            if resolved.paging_is_off:
                raise Error("paging is off (CR0.PG=0): there is no address space")
            question.end()
            return Space(resolved)


def processes(*, kernel_threads: bool = False) -> list[Process]:
    """A Linux's processes, as `ptmap ps` lists them; with KERNEL_THREADS as `ptmap ps -all` does.

    space(pid=one.pid) is the address space of one; its root is `one.root`. Reads the tables of each
    process. Error: without the kernel's symbols, or if its list of tasks is damaged.
    """
    try:
        with _refusing():
            question.begin()
            progress.begin()
            resolved = selection.resolve({})
            if resolved.paging_is_off:
                raise Error("paging is off (CR0.PG=0): there are no processes yet")
            found = Processes(resolved, tasks.linux(resolved), bool(kernel_threads))
            listed = list(found)
            if found.damage is not None:
                raise Error(found.damage)
            question.end()
            return listed
    finally:
        progress.erase()


@contextmanager
def _refusing() -> Iterator[None]:
    """Turns expected failures, GDB's own among them, into Error."""
    try:
        yield
    except failures.EXPECTED as error:
        text = failures.sentence(error)
        if text is None:
            raise
        raise Error(text) from None


def _number(value: Address, what: str) -> int:
    """Error: if it is not an integer."""
    if isinstance(value, gdb.Value):
        return numbers.number_of(value, what)
    try:
        return index(value)
    except TypeError:
        raise Error(f"{what} is an int or a gdb.Value, not {value!r}") from None


def _root(root: Address | str) -> numbers.Number | numbers.Unread:
    if isinstance(root, str):
        option = next(option for option in selection.OPTIONS if option.name == "root")
        return numbers.value_of(option, root)
    if isinstance(root, gdb.Value):
        return numbers.number_of(root, "root")
    return numbers.Number(_number(root, "root"))


class Space:
    """An address space: made by ptmap.space()."""

    def __init__(self, resolved: AddressSpace) -> None:
        self._space = resolved
        self._maxphyaddr = selection.maxphyaddr()  # with which its tables are read
        self._source = choose.key()

    def __repr__(self) -> str:
        return f"<ptmap.Space {self.mode} root {self.root:#x}>"

    @property
    def mode(self) -> str:
        """ "32-bit", "pae", "4-level" or "5-level"."""
        return self._space.mode

    @property
    def root(self) -> int:
        """Physical address of the root table."""
        return self._space.root

    @property
    def registers(self) -> Registers:
        """The registers that it was made of. If a root or half was given `cr3` is not the root."""
        one = self._space
        return Registers(one.cr0, one.cr3, one.cr4, one.efer)

    @property
    def notes(self) -> tuple[str, ...]:
        """In words: whose space it is, and what was assumed. `pte` prints the same."""
        return (*self._space.notes, *(f"assuming {what}" for what in self._space.assumed))

    def walk(self, va: Address) -> Walk:
        """One address from the root to its page, or to where the walk ends; see Walk.outcome.

        Reads one entry a level. Error: if there is no way to read memory.
        """
        return self.walks([va])[0]

    def walks(self, vas: Iterable[Address]) -> list[Walk]:
        """walk() for many addresses at one moment: far less work than many calls of walk()."""
        with _question(self):
            at = [_linear(self._space, va) for va in vas]
            with self._space.memory.reading():
                return [walks.walk(self._space, va) for va in at]

    def map(
        self,
        start: Address = 0,
        end: Address = 0,
        *,
        filter: str | None = None,
        physical: bool = True,
        sizes: bool = False,
        view: str | None = None,
    ) -> Map:
        """The ranges from START to END (0: to the top), by rising address: maximal runs of pages
        with equal rights, global bit and memory type.

        filter    only ranges with these attributes: "write+exec,user", as in `ptmap -filter`
        physical  a range ends where its frames stop being contiguous
        sizes     a range ends where the page size changes
        view      "user" or "kernel": rights as that mode has them now (CR0.WP, SMEP, SMAP)

        Reads every table there once. `set ptmap max-tables` and `max-ranges` are limits: if one is
        reached, or a table cannot be read, Map.complete is False. Error: a wrong filter, an empty
        window.
        """
        if not isinstance(filter, (str, type(None))):
            raise Error(f"filter is a str of attributes, not {filter!r}")
        if view not in (None, "user", "kernel"):
            raise Error(f"view={view!r} is not one of user, kernel")
        with _question(self):
            wanted = attributes.parse(filter) if filter is not None else None
            window, tables = self._scan(start, end)
            made = maps.flatten(
                self._space,
                tables,
                *window,
                split_physical=bool(physical),
                split_sizes=bool(sizes),
                as_=view,
                wanted=wanted,
            )
        exact = physical and sizes and filter is None and view is None
        return Map(made, self._origin(window, exact))

    def _origin(self, window: Interval, exact: bool) -> _Origin:
        under = snapshots.Conditions(self._maxphyaddr, settings.get("pat"))
        return _Origin(self._space, under, window, exact, self._space.notes)

    def pages(self, start: Address = 0, end: Address = 0) -> Pages:
        """Every page that touches START to END, with its leaf entry: it has the accessed and dirty
        bits, and other bits that a Map lacks. 40 bytes a page; `set ptmap max-ranges` is the
        limit."""
        with _question(self):
            window, tables = self._scan(start, end)
            rows, cut = native.core.page_rows(
                tables, *window, settings.limit("max-ranges"), progress.flattening
            )
            made = maps.flatten(self._space, tables, *window)
        return Pages(rows, cut or tables.cut, made.complete)

    def tables(self, start: Address = 0, end: Address = 0) -> Tables:
        """The page tables that translate START to END, the root first."""
        with _question(self):
            return Tables(self._scan(start, end)[1])

    def find(self, pa: Address, length: int = 1) -> Map:
        """A Map of only those pages that map the physical addresses PA to PA + LENGTH - 1, as
        `ptmap find` shows them. For many questions about one moment make one map() and use its
        find().

        Reads all tables; if Map.complete is False there may be more mappings. Error: if LENGTH is
        not positive.
        """
        first, last = _stretch(_number(pa, "the physical address"), length)
        with _question(self):
            window, tables = self._scan(0, 0)
            made = maps.find(self._space, tables, first, last)
        return Map(made, self._origin(window, False))

    def _scan(self, start: Address, end: Address) -> tuple[Interval, _core.Tables]:
        window = address_space.window(self._space, _number(start, "START"), _number(end, "END"))
        with self._space.memory.reading():
            return window, maps.scan(self._space, *window)


def _linear(one: AddressSpace, va: Address) -> int:
    """An address as `pte` takes it."""
    return address_space.in_space(one, _number(va, "the address"))


@contextmanager
def _question(of: Space) -> Iterator[None]:
    """Surrounds the reads of one call."""
    try:
        with _refusing():
            question.begin()
            progress.begin()
            if choose.key() != of._source:
                raise Error(
                    "this space belongs to another target, or to an earlier `set ptmap memory`: "
                    "make it anew by ptmap.space()"
                )
            of._space = of._space.through(selection.reader())
            yield
            question.end()
    finally:
        progress.erase()


_T = TypeVar("_T")
_Item = TypeVar("_Item", covariant=True)


class _Makes(Protocol[_Item]):
    """A list of the native module, which makes a new Python object for each item asked for."""

    def __getitem__(self, index: int, /) -> _Item:
        ...


class _Lazy(Sequence[_T]):
    """The items of such a list, each made when it is asked for."""

    def __init__(self, items: _Makes[_T], indices: range) -> None:
        self._items, self._indices = items, indices

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, index: int) -> _T:
        ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[_T]:
        ...

    def __getitem__(self, index: int | slice) -> _T | Sequence[_T]:
        if isinstance(index, slice):
            return _Lazy(self._items, self._indices[index])
        return self._items[self._indices[index]]

    def __iter__(self) -> Iterator[_T]:
        return map(self._items.__getitem__, self._indices)


@contextmanager
def _asking_nothing() -> Iterator[None]:
    """Surrounds work that does not use the target."""
    if not question.in_command():
        target.leave_alone()
    progress.begin()
    try:
        yield
    finally:
        progress.erase()


_EXACTLY = "with physical=True, sizes=True and without filter and view"


@dataclass(frozen=True)
class _Origin:
    """What a map was made of, and how."""

    space: AddressSpace
    under: snapshots.Conditions
    window: Interval  # offsets
    exact: bool  # made as _EXACTLY says: only such maps can be compared
    words: tuple[str, ...]  # see Snapshot.words and labels
    labels: tuple[Label, ...] = ()

    @property
    def whole(self) -> bool:
        return self.window == (0, self.space.paging.last_offset)


def _stretch(pa: int, length: int) -> Interval:
    """First and last byte. Error: if it is not physical memory."""
    if length <= 0 or not 0 <= pa < _PA_TOP:
        raise Error(f"find: {pa:#x}, {length} bytes, is not physical memory")
    return Interval.until(pa, min(pa + length, _PA_TOP))


def _view(rows: Any) -> memoryview:  # for mypy, which with Python 3.11 knows no buffers
    return memoryview(rows)


class Map(_Lazy["Range"]):
    """What an address space mapped when it was read: a sequence of ptmap.Range by rising address.

    A Range is made when it is asked for, so a map of a million ranges costs 32 bytes for each.
    buffer() gives all of them at once.
    """

    def __init__(self, made: _core.Map, origin: _Origin) -> None:
        super().__init__(made, range(len(made)))
        self._made, self._origin = made, origin

    def __repr__(self) -> str:
        more = "" if self.complete else ", not complete"
        return f"<ptmap.Map {self.mode} of {len(self)} ranges{more}>"

    @property
    def mode(self) -> str:
        """As Space.mode."""
        return self._made.mode

    @property
    def root(self) -> int:
        """Physical address of the root table."""
        return self._origin.space.root

    @property
    def complete(self) -> bool:
        """Whether nothing is missing: no part is unreadable or malformed, no limit was reached."""
        return self._made.complete

    @property
    def truncated(self) -> bool:
        """Whether a limit of the settings was reached."""
        return self._made.truncated

    @property
    def unreadable(self) -> list[Gap]:
        """Parts whose table could not be read."""
        return [gap for gap in self._made.unreadable]  # not list(), which Ctrl-C cannot end

    @property
    def malformed(self) -> list[Gap]:
        """Parts whose entry has a reserved bit set."""
        return [gap for gap in self._made.malformed]

    @property
    def tables(self) -> int:
        """The number of tables that were read, each counted once, with the root."""
        return self._made.tables

    @property
    def pages(self) -> dict[str, int]:
        """The number of pages of each size, before the filter: {"4K": 12, "2M": 0, ...}."""
        return self._made.pages

    def at(self, va: Address) -> Range | None:
        """The range that holds an address, or None. Error: if it is not an address of this mode."""
        return self._made.at(_linear(self._origin.space, va))

    def buffer(self) -> memoryview:
        """All ranges as numbers: a read-only view of shape (len(map), 4), format "Q" (unsigned, 64
        bits, the host's order): va, size, pa (NO_PA where frames are not contiguous), flags (USER
        and so on; memory_type() for the type). It outlives the map. For example

            numpy.asarray(made.buffer())
            array.array("Q", made.buffer().tobytes())
        """
        return _view(native.core.range_rows(self._made, progress.writing))

    def rows(self) -> Iterator[tuple[int, int, int, int]]:
        """The rows of buffer() one by one: va, size, pa, flags. Faster than ranges."""
        return cast("Iterator[tuple[int, int, int, int]]", struct.iter_unpack("4Q", self.buffer()))

    def find(self, pa: Address, length: int = 1) -> list[Mapping]:
        """Every mapping of the physical addresses PA to PA + LENGTH - 1, by rising linear address.
        The map should have physical=True: ranges whose frames are not contiguous are skipped.
        Error: if LENGTH is not positive."""
        first, last = _stretch(_number(pa, "the physical address"), length)
        cut: list[Range] = native.core.find(self._made, first, last)
        return [
            Mapping(one.va, one.pa, one.size, whole)
            for one in cut
            if one.pa is not None and (whole := self._made.at(one.va)) is not None
        ]

    def save(self, path: str) -> None:
        """Writes a file that load() and `ptmap diff` read; whole or not at all. The file has no
        labels, because the map is of an earlier moment; of words about the space it has only
        Space.notes. `ptmap save` writes all of them.

        Error: for a map that diff() does not take, or of a window; if the file cannot be written.
        """
        origin = self._origin
        if not origin.exact or not origin.whole:
            raise Error(f"save: this map was not made {_EXACTLY}, of a whole space")
        with _asking_nothing():
            snapshots.store(
                path,
                snapshots.encode(
                    origin.space, self._made, origin.words, origin.labels, origin.under
                ),
            )


def load(path: str) -> Map:
    """The map in a file that `ptmap save` or Map.save() wrote. It needs no target.

    Error: if the file is not a snapshot, or is damaged.
    """
    with _asking_nothing():
        stored = snapshots.load(path)
    space = snapshots.space_of(stored)
    under = snapshots.Conditions(stored.maxphyaddr, stored.pat)
    window = Interval(0, space.paging.last_offset)
    words, labels = tuple(stored.words), tuple(stored.labels)
    return Map(stored.map, _Origin(space, under, window, True, words, labels))


class Differences(_Lazy["_core.Difference"]):
    """What differs between two maps: a sequence of ptmap.Difference by rising address, each made
    when it is asked for."""

    def __init__(self, found: _core.Differences, complete: bool) -> None:
        super().__init__(found, range(len(found)))
        self._found, self._complete = found, complete

    def __repr__(self) -> str:
        more = "" if self.complete else ", not complete"
        return f"<ptmap.Differences, {len(self)} stretches{more}>"

    @property
    def complete(self) -> bool:
        """Whether both maps are complete. A part that one of them does not know is "unknown"."""
        return self._complete

    def counts(self) -> dict[str, tuple[int, int]]:
        """(stretches, bytes) for each value of Difference.what, and for each word in
        Difference.changed; a difference may have several of these words."""
        kinds, changes = self._found.counts()
        return kinds | changes


def diff(before: Map, after: Map, *, physical: bool = False) -> Differences:
    """What differs from one map to another: maps of two moments, of two spaces, or from a file
    (load()). Both have the same window and are made with physical=True, sizes=True and without
    filter and view. Neighbours with the same differences are one; with `physical` only while their
    frames are contiguous.

    Reads nothing. Error: for other maps, or maps of two paging modes.
    """
    for which, one in (("before", before), ("after", after)):
        if not isinstance(one, Map):
            raise Error(f"diff compares two Maps, not {one!r} (load() makes one of a file)")
        if not one._origin.exact:
            raise Error(f"diff: the map {which} was not made {_EXACTLY}")
    if before.mode != after.mode:
        raise Error(
            f"diff: one map is of {before.mode} paging, the other of {after.mode}: they cannot be "
            "compared"
        )
    if before._origin.window != after._origin.window:
        raise Error("diff: the maps are of different windows")
    with _asking_nothing():
        found = native.core.diff(before._made, after._made, physical, progress.comparing)
    return Differences(found, before.complete and after.complete)


class Pages:
    """Pages of an address space by rising address, as numbers."""

    def __init__(self, rows: _core.Rows, cut: bool, complete: bool) -> None:
        self._rows, self._cut, self._complete = rows, cut, complete

    @property
    def complete(self) -> bool:
        """As Map.complete."""
        return self._complete and not self._cut

    @property
    def truncated(self) -> bool:
        """Whether a limit of the settings was reached: there are more."""
        return self._cut

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[tuple[int, int, int, int, int]]:
        """va, size, pa, flags (USER and so on, of the whole path), entry (the leaf's raw value)."""
        return cast(
            "Iterator[tuple[int, int, int, int, int]]", struct.iter_unpack("5Q", self.buffer())
        )

    def buffer(self) -> memoryview:
        """The same five columns, as Map.buffer()."""
        return _view(self._rows)


class Tables(Sequence["Table"]):
    """Page tables of an address space as they were read, the root first. A table that is used at
    two levels is there twice. See ptmap.Table: Table.entries() is a view of the raw entries."""

    def __init__(self, tables: _core.Tables) -> None:
        self._tables = tables
        self._indices = range(native.core.table_count(tables))

    @property
    def truncated(self) -> bool:
        """Whether `set ptmap max-tables` was reached."""
        return self._tables.cut

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, index: int) -> Table:
        ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Table]:
        ...

    def __getitem__(self, index: int | slice) -> Table | Sequence[Table]:
        if isinstance(index, slice):
            return [self[i] for i in self._indices[index]]
        table: Table = native.core.table(self._tables, self._indices[index])
        return table
