"""ptmap's native core. Addresses, sizes (bytes) and entries are ints from 0 to 2^64-1.

Most of it is for the commands; scripts use what ptmap.Space returns: Walk, Step, Range, Gap, Table.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, Union

# _Memory that a callable reads: for each (physical address, length) its bytes, or why there are none.
_Fetch = Callable[[list[tuple[int, int]]], Sequence[Union[bytes, str]]]
_Memory = Union["PhysicalMemory", _Fetch]
# Called now and then with how much is done; what it raises ends the work.
_Pulse = Callable[[int], object]
_Blocks = Sequence[tuple[int, int, int]]
_Segment = tuple[int, int, int, int]  # base, limit, selector, flags

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
        """The physical address of `va` itself."""
    @property
    def page_size(self) -> int:
        """Bytes."""
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
        self, labels: Sequence[Label] = ..., more: str = "", pulse: _Pulse | None = None
    ) -> str: ...
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
) -> Space:
    """Reads all tables for the offsets FIRST to LAST."""

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
) -> Map: ...
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

def read_elf(image: bytes) -> Elf:
    """Reads a vDSO's image, which may be damaged or lack its end. ValueError where it is none."""

