"""ptmap's native core. Addresses, sizes (bytes) and entries are ints from 0 to 2^64-1.

Most of it is for the commands; scripts use what ptmap.Space returns: Walk, Step, Range, Gap, Table.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, Union, overload

# _Memory that a callable reads: for each (physical address, length) its bytes, or why there are none.
_Fetch = Callable[[list[tuple[int, int]]], Sequence[Union[bytes, str]]]
_Memory = Union["PhysicalMemory", _Fetch]
# Called now and then with how much is done; what it raises ends the work.
_Pulse = Callable[[int], object]
_Blocks = Sequence[tuple[int, int, int]]
_Segment = tuple[int, int, int, int]  # base, limit, selector, flags
_Conflict = Literal["write+exec", "user+kernel"]
_Total = tuple[int, int]  # bytes, stretches

class PhysicalMemory:
    def __call__(self, wanted: Sequence[tuple[int, int]]) -> list[bytes | str]:
        """Bytes, or the reason why there are none, for each (address, length)."""

class ReadOnce(PhysicalMemory):
    def __init__(self, source: _Memory) -> None: ...
    def forget(self) -> None: ...
    def forget_failures(self) -> None: ...
    @property
    def bytes(self) -> int:
        """From the source, so far."""
    @property
    def seconds(self) -> float:
        """That reading them took."""

class Level:
    """Of a paging mode, by the SDM's names."""

    @property
    def number(self) -> int:
        """1 is PT, 5 is PML5."""
    @property
    def table_name(self) -> str:
        """"PT", "PD", "PDPT", "PML4", "PML5"."""
    @property
    def entry_name(self) -> str:
        """"PTE" and so on."""
    @property
    def entry_span(self) -> int:
        """Bytes of linear address that an entry translates."""
    @property
    def table_span(self) -> int: ...
    @property
    def entries(self) -> int: ...

class Paging:
    """How entries are read under these control registers. ValueError with paging off."""

    def __init__(
        self, cr0: int, cr3: int, cr4: int, efer: int, maxphyaddr: int
    ) -> None: ...
    @property
    def mode(self) -> str:
        """"32-bit", "pae", "4-level", "5-level"."""
    @property
    def va_bits(self) -> int: ...
    @property
    def canonical(self) -> bool:
        """Whether linear addresses are sign-extended."""
    @property
    def entry_bytes(self) -> int:
        """4 or 8."""
    @property
    def levels(self) -> list[Level]:
        """Root first."""
    @property
    def last_offset(self) -> int: ...
    @property
    def upper_part(self) -> int: ...
    def root_of(self, cr3: int) -> int: ...
    def translatable(self, va: int) -> bool: ...
    def offset_of(self, va: int) -> int: ...
    def address_of(self, offset: int) -> int: ...
    def decode(self, level: int, raw: int) -> list[tuple[str, str, int]]:
        """The fields of a present entry of a level (1 is PT) that are not 0: (name, meaning, value)
        each, meaning being used, ignored, reserved, or load. ValueError where there is no such
        level."""

class Step:
    """One entry on the way of a Walk."""

    @property
    def level(self) -> int:
        """1 is PT, 5 is PML5."""
    @property
    def entry_name(self) -> str:
        """"PTE", "PDE", "PDPTE", "PML4E", "PML5E"."""
    @property
    def table(self) -> int:
        """Physical address of the table."""
    @property
    def index(self) -> int:
        """Of the entry in the table."""
    @property
    def entry_address(self) -> int:
        """Physical."""
    @property
    def raw(self) -> int:
        """The entry; 0 where it could not be read."""
    @property
    def kind(self) -> Literal["not-present", "table", "page", "malformed"]: ...
    @property
    def target(self) -> int:
        """The address that a table or page entry holds, else 0."""
    @property
    def user(self) -> bool:
        """Whether all entries down to here let the user through; write and exec likewise."""
    @property
    def write(self) -> bool: ...
    @property
    def exec(self) -> bool: ...

class Walk:
    """One address, root to leaf, as the processor translates it."""

    @property
    def va(self) -> int: ...
    @property
    def outcome(
        self,
    ) -> Literal["mapped", "not-present", "reserved-bit", "not-canonical", "unreadable"]: ...
    @property
    def steps(self) -> list[Step]:
        """Root first; the last is where the walk ended."""
    @property
    def why(self) -> str:
        """What the memory said, where the outcome is "unreadable"."""
    # The rest only where the outcome is "mapped".
    @property
    def pa(self) -> int:
        """The physical address of `va` itself. ValueError where it is not mapped."""
    @property
    def page_size(self) -> int:
        """Bytes; 0 where it is not mapped."""
    @property
    def user(self) -> bool:
        """Rights are those of the whole path."""
    @property
    def write(self) -> bool: ...
    @property
    def exec(self) -> bool: ...
    @property
    def global_(self) -> bool: ...
    @property
    def rights(self) -> str:
        """As "ur-xg"; empty where it is not mapped."""
    @property
    def cache_slot(self) -> int:
        """Of IA32_PAT, 0 to 7."""
    @property
    def key(self) -> int:
        """The protection key, 0 where keys are off."""

class Space:
    """All tables below a root, as they were read. See scan()."""

    @property
    def root(self) -> int: ...
    @property
    def tables(self) -> int:
        """Distinct ones, the root included."""
    @property
    def cut(self) -> bool:
        """Whether max_tables was reached."""

class Wanted:
    """One way for a range to be wanted: see gdb/ptmap/attributes.py."""

    def __init__(
        self,
        rights_set: int = 0,
        rights_clear: int = 0,
        global_: bool | None = None,
        sizes_any: int = 0,
        sizes_none: int = 0,
        large: bool = False,
        types: Sequence[str] | None = None,
    ) -> None: ...

class Label:
    """A name for the addresses FIRST to LAST."""

    def __init__(
        self, first: int, last: int, name: str, source: str, apart: bool = True
    ) -> None: ...
    @property
    def name(self) -> str: ...
    @property
    def source(self) -> str: ...

class Range:
    """A run of pages with equal attributes."""

    @property
    def va(self) -> int:
        """Of its first byte."""
    @property
    def size(self) -> int:
        """Bytes."""
    @property
    def end(self) -> int:
        """Behind its last byte: up to 2^64."""
    @property
    def pa(self) -> int | None:
        """Of its first byte, None where the frames are not contiguous."""
    @property
    def user(self) -> bool: ...
    @property
    def write(self) -> bool: ...
    @property
    def exec(self) -> bool: ...
    @property
    def global_(self) -> bool: ...
    @property
    def cache(self) -> str:
        """The memory type: "WB", "UC-", or "PAT1" where it is not known (`set ptmap pat`)."""
    @property
    def rights(self) -> str:
        """As "ur-xg"."""
    @property
    def page_sizes(self) -> int:
        """Bits: 1 4K, 2 2M, 4 4M, 8 1G."""
    @property
    def flags(self) -> int:
        """As a row of Map.buffer() has them."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

class Gap:
    """A part of the space that a map cannot speak of."""

    @property
    def va(self) -> int: ...
    @property
    def size(self) -> int:
        """Bytes of linear address."""
    @property
    def table(self) -> int:
        """Physical address of the unreadable table, or of that which holds a malformed entry."""
    @property
    def level(self) -> int:
        """Of that table, 1 is PT."""
    @property
    def why(self) -> str:
        """"not RAM", "reserved PS"."""

class Map:
    """Ranges by rising address, lower part first."""

    @property
    def mode(self) -> str: ...
    @property
    def complete(self) -> bool: ...
    @property
    def truncated(self) -> bool: ...
    @property
    def tables(self) -> int: ...
    @property
    def outside_ram(self) -> int:
        """Pages without a byte of RAM, where RAM was given."""
    @property
    def pages(self) -> dict[str, int]:
        """By size: {"4K": 1, "2M": 0, "4M": 0, "1G": 0}."""
    @property
    def unreadable(self) -> list[Gap]: ...
    @property
    def malformed(self) -> list[Gap]: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Range]: ...
    def __getitem__(self, index: int) -> Range:
        """A range, by rising address."""
    def at(self, va: int) -> Range | None:
        """The range that holds an address, or None."""
    def last_user_write(self, first: int, end: int) -> Range | None:
        """The last range that begins in [first, end) and that the user may write, or None."""
    def user_write_around(self, va: int, hole: int) -> tuple[int, int] | None:
        """All that the user may write around an address, over holes of so many bytes: (start, end),
        or None."""
    @property
    def split(self) -> int | None:
        """Where the supervisor's part begins, None where there is no such place."""
    def json(
        self,
        labels: Sequence[Label] = ...,
        more: str = "",
        pulse: _Pulse | None = None,
        kind: str = "map",
    ) -> str:
        """A document of schema ptmap/1; `more` are members to put into it: ', "pa": "0x0"'."""
    def ranges_text(self, labels: Sequence[Label] = ..., pulse: _Pulse | None = None) -> str: ...
    def common(self, other: Map) -> tuple[int, int]:
        """(bytes that both map to the same frames, bytes of those frames); both split
        physically."""

class Stretch:
    """A row of the overview."""

    @property
    def va(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def mapped(self) -> int: ...
    @property
    def empty(self) -> int: ...
    @property
    def all_user(self) -> bool: ...
    @property
    def all_write(self) -> bool: ...
    @property
    def all_exec(self) -> bool: ...
    @property
    def labelled(self) -> bool: ...
    @property
    def cells(self) -> str: ...
    @property
    def user(self) -> bool: ...
    @property
    def write(self) -> bool: ...
    @property
    def exec(self) -> bool: ...

class Grid:
    @property
    def level(self) -> int: ...
    @property
    def first(self) -> int: ...
    @property
    def cell_size(self) -> int: ...
    @property
    def cells(self) -> str: ...
    @property
    def mixed(self) -> int: ...

class Rows:
    """Rows of unsigned 64-bit numbers, a read-only buffer of two dimensions (format "Q"). It
    outlives what it was made of."""

    def __len__(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    @property
    def columns(self) -> int: ...

class Entries:
    """What Table.entries() is a view of."""

    def __buffer__(self, flags: int, /) -> memoryview: ...

class Table:
    """A page table of a scan, used at one level."""

    def entries(self) -> memoryview:
        """The entries, raw: a read-only view of format "Q" ("I" in 32-bit mode) that keeps the
        scan. BufferError where the table could not be read."""
    @property
    def pa(self) -> int:
        """Physical address."""
    @property
    def level(self) -> int:
        """1 is PT, 5 is PML5."""
    @property
    def name(self) -> str:
        """"PT", "PD", "PDPT", "PML4", "PML5"."""
    @property
    def size(self) -> int:
        """Bytes: 4096, or 32 (PAE's root)."""
    @property
    def readable(self) -> bool: ...
    @property
    def why(self) -> str:
        """Why it could not be read; empty where it was."""

class AliasMapping:
    """One of the ways to the frames of an AliasGroup."""

    @property
    def va(self) -> int:
        """That maps the group's `pa`."""
    @property
    def range(self) -> int:
        """Index of the range that it is in, in the map."""
    @property
    def run(self) -> tuple[int, int]:
        """(start, bytes) of the neighbouring ranges with equal attributes."""

class AliasGroup:
    """Stretches of physical memory whose mappings lie in the same runs of linear memory."""

    @property
    def conflicts(self) -> list[_Conflict]: ...
    @property
    def in_one(self) -> bool:
        """Whether one address alone is both writable and executable."""
    @property
    def pa(self) -> int:
        """Of the first stretch."""
    @property
    def bytes(self) -> int:
        """Of all stretches."""
    @property
    def stretches(self) -> int: ...
    @property
    def count(self) -> int:
        """Mappings of each stretch."""
    @property
    def mappings(self) -> list[AliasMapping]:
        """By rising address; some, where there are many, with each combination of rights."""

class Aliases:
    """Physical memory that is mapped in conflicting ways; see native/core/find.h."""

    @property
    def groups(self) -> list[AliasGroup]:
        """By rising physical address."""
    @property
    def ungrouped(self) -> int:
        """Stretches that are in no group, as there were too many."""
    @property
    def write_exec(self) -> _Total:
        """Of all, in groups or not: (bytes of physical memory, stretches)."""
    @property
    def in_one(self) -> _Total:
        """Of these, what one address alone may write and execute."""
    @property
    def user_kernel(self) -> _Total: ...
    @property
    def first_write_exec(self) -> AliasGroup | None:
        """The first of these stretches alone or None, however many groups there are."""
    @property
    def first_user_kernel(self) -> AliasGroup | None: ...

class DiffSide:
    """Pages of one size with equal attributes: a Difference before, or after."""

    @property
    def pa(self) -> int | None:
        """Of the first byte, None where the frames are not contiguous."""
    @property
    def user(self) -> bool: ...
    @property
    def write(self) -> bool: ...
    @property
    def exec(self) -> bool: ...
    @property
    def global_(self) -> bool: ...
    @property
    def cache(self) -> str:
        """The memory type: "WB", "UC-", or "PAT1" where it is not known (`set ptmap pat`)."""
    @property
    def rights(self) -> str:
        """As "ur-xg"."""
    @property
    def page_sizes(self) -> int:
        """Bits, one of them: 1 4K, 2 2M, 4 4M, 8 1G."""

class Difference:
    """A maximal stretch with one kind of difference, and equal attributes on either side."""

    @property
    def va(self) -> int:
        """Of its first byte."""
    @property
    def size(self) -> int:
        """Bytes."""
    @property
    def what(self) -> Literal["added", "gone", "changed", "unknown"]:
        """Mapped only after, only before, otherwise; or one side could not be read there."""
    @property
    def changed(self) -> list[Literal["rights", "frame", "page_size", "global", "cache"]]:
        """What of it, where `what` is "changed"; else nothing."""
    @property
    def unknown_before(self) -> bool:
        """Whether that side could not be read; only where `what` is "unknown"."""
    @property
    def unknown_after(self) -> bool: ...
    @property
    def before(self) -> DiffSide | None:
        """How it was mapped; None for what is added or unknown."""
    @property
    def after(self) -> DiffSide | None:
        """How it is mapped; None for what is gone or unknown."""

class Differences:
    """By rising address."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Difference: ...
    def counts(self) -> tuple[dict[str, _Total], dict[str, _Total]]:
        """({"added": (stretches, bytes), ...}, {"rights": (stretches, bytes), ...}): by
        Difference.what, and by Difference.changed; one may count in several of the second."""
    def text(
        self,
        digits: int,
        before: Sequence[Label] = ...,
        after: Sequence[Label] = ...,
        pulse: _Pulse | None = None,
    ) -> str:
        """Lines, with the labels of either side; `digits` of an address."""
    def json(
        self,
        before: Sequence[Label] = ...,
        after: Sequence[Label] = ...,
        pulse: _Pulse | None = None,
    ) -> str:
        """The elements of a list."""

class PartShare:
    """The root's entries for a part of two spaces."""

    @property
    def before(self) -> int:
        """Present ones."""
    @property
    def after(self) -> int: ...
    @property
    def either(self) -> int:
        """Indices at which one of the two is present."""
    @property
    def shared(self) -> int:
        """That name the same table or page with the same rights."""
    @property
    def other_rights(self) -> int:
        """That name the same with other rights."""

class Sharing:
    """What two spaces have physically in common."""

    @property
    def parts(self) -> list[PartShare]:
        """As they were asked for."""
    @property
    def levels(self) -> list[int]:
        """Distinct tables in common at each level, root first."""
    @property
    def tables(self) -> int:
        """Of all levels."""
    @property
    def below(self) -> list[tuple[int, int]]:
        """(va, size) that the same tables translate below different entries of the root."""
    @property
    def cut(self) -> bool:
        """Whether `below` is not all of it: max_steps was reached."""

class Snapshot:
    """A map of a file and what it was made under; see native/core/snapshot.h."""

    @property
    def map(self) -> Map:
        """Split physically and by page sizes, of a whole space."""
    @property
    def root(self) -> int: ...
    @property
    def cr0(self) -> int: ...
    @property
    def cr3(self) -> int: ...
    @property
    def cr4(self) -> int: ...
    @property
    def efer(self) -> int: ...
    @property
    def maxphyaddr(self) -> int:
        """Bits."""
    @property
    def pat(self) -> int | None: ...
    @property
    def words(self) -> list[str]:
        """Which space it is: "KPTI's user root"."""
    @property
    def assumed(self) -> list[str]:
        """"EFER.NXE=1"."""
    @property
    def labels(self) -> list[Label]: ...
    def bytes(self, pulse: _Pulse | None = None) -> bytes:
        """Those that it was read from."""

class ElfFunction:
    """A function that an ELF image defines for others."""

    @property
    def name(self) -> str: ...
    @property
    def offset(self) -> int:
        """From the image's first byte."""
    @property
    def size(self) -> int: ...
    @property
    def version(self) -> str:
        """Empty for none."""
    @property
    def weak(self) -> bool: ...

class Elf:
    """What an ELF image says of itself; see native/elf/image.h."""

    @property
    def abi(self) -> str: ...
    @property
    def base(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def dynamic(self) -> bool: ...
    @property
    def soname(self) -> str: ...
    @property
    def build_id(self) -> bytes: ...
    @property
    def functions(self) -> list[ElfFunction]: ...
    @property
    def problems(self) -> list[str]: ...

class FileError(Exception): ...

class SourceGone(Exception):
    """All memory that was asked for is gone: the file is shorter, the process has ended."""

class CpuRegisters:
    """Of a CPU, from a dump's notes."""

    @property
    def cr0(self) -> int: ...
    @property
    def cr2(self) -> int: ...
    @property
    def cr3(self) -> int: ...
    @property
    def cr4(self) -> int: ...
    @property
    def rflags(self) -> int: ...
    @property
    def rsp(self) -> int: ...
    @property
    def cs(self) -> int: ...
    @property
    def gdtr(self) -> _Segment: ...
    @property
    def idtr(self) -> _Segment: ...
    @property
    def ldtr(self) -> _Segment: ...
    @property
    def tr(self) -> _Segment: ...
    @property
    def long_mode(self) -> bool:
        """EFER.LMA"""
    @property
    def long_mode_told(self) -> bool:
        """Whether by this CPU's own registers."""

class Dump(PhysicalMemory):
    """A dump file; see native/sources/dump.h. FileError where it is none."""

    def __init__(self, path: str) -> None: ...
    @property
    def format(self) -> str: ...
    @property
    def ram(self) -> list[tuple[int, int]]: ...
    @property
    def requests(self) -> int: ...
    @property
    def cut(self) -> bool: ...
    @property
    def cpus(self) -> list[CpuRegisters]: ...
    @property
    def problem(self) -> str: ...
    @property
    def changed(self) -> bool: ...

class FlatFile(PhysicalMemory):
    """FileError where it cannot be read. Pieces are (address, size, offset)."""

    def __init__(self, path: str, pieces: _Blocks = ...) -> None: ...
    @property
    def ram(self) -> list[tuple[int, int]]: ...
    @property
    def size(self) -> int: ...
    @property
    def requests(self) -> int: ...
    @property
    def replaced(self) -> bool: ...

class QemuProcess(PhysicalMemory):
    """`ram`: (first, last, host address of the first byte) each, sorted."""

    def __init__(self, pid: int, ram: _Blocks) -> None: ...
    @property
    def requests(self) -> int:
        """System calls so far."""

class RamFile(PhysicalMemory):
    """`file`: a descriptor, copied. `ram`: (first, last, offset of the first byte) each, sorted;
    `rest` reads all else."""

    def __init__(self, file: int, ram: _Blocks, rest: _Memory) -> None: ...
    @property
    def requests(self) -> int:
        """System calls so far, without the rest's."""

def walk(paging: Paging, root: int, va: int, memory: _Memory) -> Walk: ...
def verdict(
    walk: Walk,
    paging: Paging,
    access: str,
    privilege: str,
    ac: bool = False,
    pkru: int | None = None,
) -> tuple[str, str, int, bool]:
    """(allowed | #PF | #GP | unknown, reason, error code, whether its PK bit is not known)"""

def scan(
    paging: Paging,
    root: int,
    memory: _Memory,
    first: int = 0,
    last: int = ...,
    max_tables: int = ...,
    pulse: _Pulse | None = None,
) -> Space:
    """Reads all tables for the offsets FIRST to LAST. A pulse is by tables."""

def user_executable(
    paging: Paging, root: int, memory: _Memory, max_tables: int = ..., max_leaves: int = ...
) -> tuple[list[tuple[int, int, int, bool]], bool, int]:
    """([(va, size, pa, whether it is writable), ...], whether there are more, tables that could not
    be read): the user's pages that are executable by their leaf entry."""

def make_map(
    space: Space,
    first: int = 0,
    last: int = ...,
    split_physical: bool = False,
    split_sizes: bool = False,
    pat: int | None = None,
    as_: str | None = None,
    ac: bool = False,
    wanted: Sequence[Wanted] = ...,
    max_ranges: int = ...,
    ram: Sequence[tuple[int, int]] = ...,
    pulse: _Pulse | None = None,
) -> Map:
    """The ranges of the offsets FIRST to LAST; see native/core/map.h. A pulse is by ranges."""

@overload
def find(
    space: Space,
    first: int,
    last: int,
    pat: int | None = None,
    max_ranges: int = ...,
    pulse: _Pulse | None = None,
) -> Map:
    """What of a space maps the physical bytes FIRST to LAST, each range contiguous and cut to them;
    `pages` counts those that hold a byte of them. Cost follows tables and what comes out."""

@overload
def find(map: Map, first: int, last: int) -> list[Range]:
    """The same of a map that was made with split_physical, by rising address; a range keeps the
    page sizes of what it was cut from. Ranges without one `pa` are not looked into."""

def aliases(
    map: Map, wanted: Sequence[_Conflict] = ..., pulse: _Pulse | None = None
) -> Aliases:
    """The frames of a map, made with split_physical, that are mapped in conflicting ways.
    ValueError for a word that names no conflict."""

def aliases_json(
    map: Map,
    wanted: Sequence[_Conflict] = ...,
    labels: Sequence[Label] = ...,
    pulse: _Pulse | None = None,
) -> str:
    """The stretches, as the elements of a JSON list."""

def diff(
    before: Map, after: Map, split_physical: bool = False, pulse: _Pulse | None = None
) -> Differences:
    """Of two exact maps (split_physical and split_sizes); with `split_physical` a difference ends
    where frames stop being contiguous. ValueError for others, or of two modes."""

def share(
    before: Space,
    after: Space,
    parts: Sequence[tuple[int, int]],
    max_steps: int = ...,
    pulse: _Pulse | None = None,
) -> Sharing:
    """Which tables two spaces have in common. `parts`: (first, last) offsets. `max_steps` bounds
    the pairs of entries that are compared for Sharing.below. ValueError for spaces of two modes."""

def write_snapshot(
    map: Map,
    *,
    cr0: int,
    cr3: int,
    cr4: int,
    efer: int,
    maxphyaddr: int,
    pat: int | None,
    words: Sequence[str],
    assumed: Sequence[str],
    labels: Sequence[Label],
    pulse: _Pulse | None = None,
) -> bytes:
    """An exact map as bytes, without a checksum. ValueError for others."""

def read_snapshot(data: bytes, pulse: _Pulse | None = None) -> Snapshot:
    """ValueError, with one phrase, for what is none or damaged."""

def check_is_snapshot(data: bytes) -> None:
    """ValueError where the bytes begin as none, or as those of a newer version."""

def matches(
    map: Map, first: int, last: int, wanted: Sequence[Wanted], others: bool = False
) -> tuple[Range | None, int]:
    """(the first range, cut to the addresses FIRST to LAST, how many there are) of those for which
    one of `wanted` holds; with `others`, of those for which none does."""

def first_hole(map: Map, first: int, last: int) -> int | None:
    """The first address from FIRST to LAST where nothing is mapped for certain, or None."""

def unknown(map: Map, first: int, last: int) -> tuple[Gap | None, bool, int, bool]:
    """What a map cannot say about the addresses FIRST to LAST: (the first gap, whether that is a
    reserved bit, how many gaps, whether a limit cut the map there)."""

def overview(
    map: Map, labels: Sequence[Label], rows: int, cells: int
) -> list[tuple[Stretch, list[Label]]]:
    """(Stretch, [Label, ...]) each."""

def draw_grid(space: Space, position: int, first: int = 0, last: int = ...) -> Grid: ...
def paging_mode(cr0: int, cr4: int, efer: int, /) -> str:
    """"off", "32-bit", "pae", "4-level", "5-level"."""

def memory_types(pat: int | None, /) -> list[str]:
    """Of the eight slots of IA32_PAT."""

def type_names() -> list[str]:
    """Memory types by their number in a range's flags."""

def range_rows(map: Map) -> Rows:
    """va, size, pa (2^64-1: frames not contiguous), flags of each range."""

def page_rows(
    space: Space,
    first: int = 0,
    last: int = ...,
    max_pages: int = ...,
    pulse: _Pulse | None = None,
) -> tuple[Rows, bool]:
    """(va, size, pa, flags, entry of each page, whether there are more)."""

def table_count(space: Space) -> int:
    """Tables, counted once for each level that they are used at."""

def table(space: Space, index: int) -> Table:
    """The root is table 0. IndexError."""

def elf_sections(file: int) -> list[tuple[bytes, int, int, bool, bool, bool]]:
    """(name, link address, size, writable, executable, whether it has memory of its own) of each
    section with SHF_ALLOC of the ELF file that is open as this descriptor. Error: ValueError."""

def read_elf(image: bytes) -> Elf:
    """Reads a vDSO's image, which may be damaged or lack its end. ValueError where it is none."""
