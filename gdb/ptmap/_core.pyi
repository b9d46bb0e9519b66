"""ptmap's native core. Addresses, sizes (bytes) and entries are ints from 0 to 2^64-1.

Most of it is for the commands; scripts use what ptmap.Space returns: Walk, Step, Range, Gap, Table.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, Union, overload

# A callable as _Memory. For each (physical address, length) it returns the bytes, or why not;
# Interrupted() if Ctrl-C came before it.
_Fetch = Callable[[list[tuple[int, int]]], Sequence[Union[bytes, str, "Interrupted"]]]
_Memory = Union["PhysicalMemory", _Fetch]
# Long work calls it with the amount done; an exception from it ends the work.
_Pulse = Callable[[int], object]
_Blocks = Sequence[tuple[int, int, int]]
_Segment = tuple[int, int, int, int]  # base, limit, selector, flags
_Access = Literal["read", "write", "fetch"]
_Right = Literal["user", "write", "exec"]
# What a part of a text is, so that it can have a colour.
_Role = Literal["plain", "address", "rights", "label", "heading", "reason"]
_Conflict = Literal["write+exec", "user+kernel"]
_Interval = tuple[int, int]  # first, last: both inclusive
_Total = tuple[int, int]  # bytes, stretches

class Interrupted:
    """An answer of a source: Ctrl-C came before the read."""

    def __init__(self) -> None: ...

class PhysicalMemory:
    def __call__(self, wanted: Sequence[tuple[int, int]]) -> list[bytes | str]:
        """Bytes, or the reason why there are none, for each (address, length)."""

class ReadOnce(PhysicalMemory):
    def __init__(self, source: _Memory) -> None: ...
    def forget(self) -> None: ...
    def forget_failures(self) -> None: ...
    @property
    def bytes(self) -> int:
        """Bytes read from the source so far."""
    @property
    def seconds(self) -> float:
        """How long that took."""

class LinearMemory:
    """What a root's tables map; see native/paging/linear_memory.h."""

    def __init__(
        self,
        paging: Paging,
        root: int,
        memory: PhysicalMemory,
        known: Sequence[tuple[int, int, int]] = ...,
    ) -> None:
        """KNOWN has (address, size, physical address): for these addresses no table is read."""
    def translate(self, va: int) -> int | None:
        """The physical address; None if it is not mapped, or a table cannot be read."""
    def read(self, va: int, length: int) -> bytes | str:
        """The bytes, or why one of them cannot be read."""

class Level:
    """A level of a paging mode, with the SDM's names."""

    @property
    def number(self) -> int:
        """1 is PT, 5 is PML5."""
    @property
    def table_name(self) -> str:
        """ "PT", "PD", "PDPT", "PML4" or "PML5"."""
    @property
    def entry_name(self) -> str:
        """ "PTE" and so on."""
    @property
    def entry_span(self) -> int:
        """Bytes of linear address that an entry translates."""
    @property
    def table_span(self) -> int: ...
    @property
    def entries(self) -> int: ...

class Paging:
    """How entries are read under these control registers. ValueError if paging is off."""

    def __init__(self, cr0: int, cr3: int, cr4: int, efer: int, maxphyaddr: int) -> None: ...
    @property
    def mode(self) -> str:
        """ "32-bit", "pae", "4-level" or "5-level"."""
    @property
    def va_bits(self) -> int: ...
    @property
    def canonical(self) -> bool:
        """Whether linear addresses are sign-extended."""
    @property
    def entry_bytes(self) -> int:
        """4 or 8."""
    @property
    def has_nx(self) -> bool:
        """Whether a page can be no-exec."""
    @property
    def has_keys(self) -> bool:
        """Whether user or supervisor pages have protection keys."""
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

class Step:
    """One entry of a Walk."""

    @property
    def level(self) -> int:
        """1 is PT, 5 is PML5."""
    @property
    def entry_name(self) -> str:
        """ "PTE", "PDE", "PDPTE", "PML4E" or "PML5E"."""
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
        """The entry; 0 if it could not be read."""
    @property
    def kind(self) -> Literal["not-present", "table", "page", "malformed"]: ...
    @property
    def target(self) -> int:
        """The address that a table or page entry holds, else 0."""
    @property
    def user(self) -> bool:
        """Whether all entries down to this one let the user through; write and exec likewise."""
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
        """The memory's reason, if the outcome is "unreadable"."""
    # The rest only if the outcome is "mapped".
    @property
    def pa(self) -> int:
        """The physical address of `va` itself. ValueError if it is not mapped."""
    @property
    def page_size(self) -> int:
        """Bytes; 0 if it is not mapped."""
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
        """For example "ur-xg"; empty if it is not mapped."""
    @property
    def cache_slot(self) -> int:
        """The slot of IA32_PAT, 0 to 7."""
    @property
    def key(self) -> int:
        """The protection key, 0 if keys are off."""

class PageAttributes:
    """The attributes of one page."""

    def __init__(self, walk: Walk, pat: int | None) -> None:
        """ValueError if it is not mapped."""
    def __str__(self) -> str:
        """For example "user read exec, 4K, WB"."""

class Condition:
    """A condition on attributes, parsed; see native/space/condition.h."""

    def holds(self, page: PageAttributes) -> bool | None:
        """None if the memory type decides and is not known."""
    @property
    def rights_asked(self) -> list[_Right]:
        """Rights that the first term asks for, in its order."""
    @property
    def rights_named(self) -> list[_Right]:
        """Rights that any word is about, in order."""
    @property
    def names_page_size(self) -> bool:
        """Whether a word is about page sizes: then the ranges it is asked of must have one each."""

class ConditionError:
    """Why a text is not a condition."""

    @property
    def is_contradiction(self) -> bool: ...
    @property
    def part(self) -> str:
        """The unknown word, or the term that contradicts itself."""

class Tables:
    """All tables below a root, as they were read. See scan()."""

    @property
    def root(self) -> int: ...
    @property
    def tables(self) -> int:
        """The number of distinct tables, with the root."""
    @property
    def cut(self) -> bool:
        """Whether max_tables was reached."""

class Label:
    """A name for the addresses FIRST to LAST."""

    def __init__(self, first: int, last: int, name: str, source: str, apart: bool = True) -> None:
        """ValueError if `source` is not read, deduced or documented."""
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
        """The address after its last byte: up to 2^64."""
    @property
    def pa(self) -> int | None:
        """Of its first byte, None if the frames are not contiguous."""
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
        """The memory type: "WB", "UC-", or "PAT1" if it is not known (`set ptmap pat`)."""
    @property
    def rights(self) -> str:
        """For example "ur-xg"."""
    @property
    def page_sizes(self) -> int:
        """Bits: 1 4K, 2 2M, 4 4M, 8 1G."""
    @property
    def flags(self) -> int:
        """The flags of a row of Map.buffer()."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

class Counts:
    """How often the core did its long work since it was loaded."""

    @property
    def scans(self) -> int:
        """Scans of the tables below a root, or of the user's tables only."""
    @property
    def flattenings(self) -> int:
        """Maps made of a scan."""

class Gap:
    """A part of the space that a map does not know."""

    @property
    def va(self) -> int: ...
    @property
    def size(self) -> int:
        """Bytes of linear address."""
    @property
    def table(self) -> int:
        """Physical address of the unreadable table, or of the table with the malformed entry."""
    @property
    def level(self) -> int:
        """The level of that table, 1 is PT."""
    @property
    def why(self) -> str:
        """For example "not RAM", "reserved PS"."""
    @property
    def interrupted(self) -> bool:
        """Whether only Ctrl-C kept the table from being read."""

class Gaps:
    """A sequence; its elements are copies."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Gap]: ...
    @overload
    def __getitem__(self, index: int, /) -> Gap: ...
    @overload
    def __getitem__(self, index: slice, /) -> list[Gap]: ...

class Text:
    """A text in pieces; those of a long text have some 64 KiB."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[str]: ...
    def spans(self, piece: int) -> list[tuple[_Role, str]]:
        """The piece with this number as (role, characters). All of it is plain unless the text was
        made with roles."""

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
        """Pages without a byte of RAM, if RAM was given."""
    @property
    def pages(self) -> dict[str, int]:
        """By size: {"4K": 1, "2M": 0, "4M": 0, "1G": 0}."""
    @property
    def unreadable(self) -> Gaps: ...
    @property
    def malformed(self) -> Gaps: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Range]: ...
    def __getitem__(self, index: int) -> Range:
        """A range, by rising address."""
    def at(self, va: int) -> Range | None:
        """The range that holds an address, or None."""
    def last_user_write(self, first: int, end: int) -> Range | None:
        """The last range that begins in [first, end) and that the user may write, or None."""
    def user_write_around(self, va: int, hole: int) -> _Interval | None:
        """The memory around an address that the user may write, over holes of up to HOLE bytes, or
        None."""
    def json(
        self,
        labels: Sequence[Label] = ...,
        more: str = "",
        pulse: _Pulse | None = None,
        kind: str = "map",
    ) -> Text:
        """A document of schema ptmap/1, in pieces of some 64 KiB. `more` are further members: ',
        "pa": "0x0"'."""
    def ranges_text(
        self, labels: Sequence[Label] = ..., pulse: _Pulse | None = None, roles: bool = False
    ) -> Text:
        """Lines, in pieces of some 64 KiB."""

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
        scan. BufferError if the table could not be read."""
    @property
    def pa(self) -> int:
        """Physical address."""
    @property
    def level(self) -> int:
        """1 is PT, 5 is PML5."""
    @property
    def name(self) -> str:
        """ "PT", "PD", "PDPT", "PML4" or "PML5"."""
    @property
    def size(self) -> int:
        """Bytes: 4096, or 32 (PAE's root)."""
    @property
    def readable(self) -> bool: ...
    @property
    def why(self) -> str:
        """Why it could not be read; empty if it was."""

class AliasMapping:
    """One of the mappings of the frames of an AliasGroup."""

    @property
    def va(self) -> int:
        """The address that maps the group's `pa`."""
    @property
    def range(self) -> int:
        """Index of its range in the map."""
    @property
    def run(self) -> _Interval:
        """The neighbouring ranges with equal attributes."""

class AliasGroup:
    """Stretches of physical memory that the same runs of linear memory map."""

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
        """By rising address. If there are many it has some, with each combination of rights."""

class Aliases:
    """Physical memory that is mapped in conflicting ways; see native/space/find.h."""

    @property
    def groups(self) -> list[AliasGroup]:
        """By rising physical address."""
    @property
    def ungrouped(self) -> int:
        """Stretches in no group, because there are too many groups."""
    @property
    def write_exec(self) -> _Total:
        """(bytes of physical memory, stretches) of all, in groups or not."""
    @property
    def in_one(self) -> _Total:
        """The part that can be written and executed through one address."""
    @property
    def user_kernel(self) -> _Total: ...
    @property
    def first_write_exec(self) -> AliasGroup | None:
        """Only the first of these stretches, or None."""
    @property
    def first_user_kernel(self) -> AliasGroup | None: ...

class DiffSide:
    """Pages of one size with equal attributes: a Difference before, or after."""

    @property
    def pa(self) -> int | None:
        """Of the first byte, None if the frames are not contiguous."""
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
        """The memory type: "WB", "UC-", or "PAT1" if it is not known (`set ptmap pat`)."""
    @property
    def rights(self) -> str:
        """For example "ur-xg"."""
    @property
    def page_sizes(self) -> int:
        """One bit: 1 4K, 2 2M, 4 4M, 8 1G."""

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
        """Mapped only after, only before, or differently; or one side could not be read."""
    @property
    def changed(self) -> list[Literal["rights", "frame", "page_size", "global", "cache"]]:
        """What has changed, if `what` is "changed"; else empty."""
    @property
    def unknown_before(self) -> bool:
        """Whether that side could not be read; only if `what` is "unknown"."""
    @property
    def unknown_after(self) -> bool: ...
    @property
    def before(self) -> DiffSide | None:
        """How it was mapped; None if `what` is "added" or "unknown"."""
    @property
    def after(self) -> DiffSide | None:
        """How it is mapped; None if `what` is "gone" or "unknown"."""

class Differences:
    """By rising address."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Difference: ...
    def counts(self, pulse: _Pulse | None = None) -> tuple[dict[str, _Total], dict[str, _Total]]:
        """({"added": (stretches, bytes), ...}, {"rights": (stretches, bytes), ...}): by
        Difference.what, and by Difference.changed; a difference may count in several of these."""
    def text(
        self,
        digits: int,
        before: Sequence[Label] = ...,
        after: Sequence[Label] = ...,
        pulse: _Pulse | None = None,
        roles: bool = False,
    ) -> Text:
        """Lines, in pieces, with the labels of either side; `digits` of an address."""
    def json(
        self,
        before: Sequence[Label] = ...,
        after: Sequence[Label] = ...,
        pulse: _Pulse | None = None,
    ) -> Text:
        """The elements of a list, in pieces."""

class PartShare:
    """The root's entries for a part of two spaces."""

    @property
    def before(self) -> int:
        """Present entries."""
    @property
    def after(self) -> int: ...
    @property
    def either(self) -> int:
        """Indices at which at least one of the two is present."""
    @property
    def shared(self) -> int:
        """Entries that name the same table or page, with the same rights."""
    @property
    def other_rights(self) -> int:
        """Entries that name the same table or page, with different rights."""

class Intervals:
    """A sequence; its elements are copies."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[_Interval]: ...
    @overload
    def __getitem__(self, index: int, /) -> _Interval: ...
    @overload
    def __getitem__(self, index: slice, /) -> list[_Interval]: ...

class Sharing:
    """What two spaces have physically in common."""

    @property
    def parts(self) -> list[PartShare]:
        """In the order in which they were given."""
    @property
    def levels(self) -> list[int]:
        """Distinct tables in common at each level, root first."""
    @property
    def tables(self) -> int:
        """The sum of `levels`."""
    @property
    def below(self) -> Intervals:
        """Memory that the same tables translate below different entries of the root."""
    @property
    def cut(self) -> bool:
        """Whether `below` is not complete: max_steps was reached."""

class Snapshot:
    """A map from a file, with its registers and words; see native/space/snapshot.h."""

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
        """For example "EFER.NXE=1"."""
    @property
    def labels(self) -> list[Label]: ...
    def bytes(self, pulse: _Pulse | None = None) -> bytes:
        """The bytes that it was read from."""

class ElfFunction:
    """A function that an ELF image exports."""

    @property
    def name(self) -> str: ...
    @property
    def offset(self) -> int:
        """From the image's first byte."""
    @property
    def size(self) -> int: ...
    @property
    def version(self) -> str:
        """Empty if it has none."""
    @property
    def weak(self) -> bool: ...

class Elf:
    """The contents of an ELF image; see native/elf/image.h."""

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
    def is_vdso(self) -> bool:
        """By its SONAME."""
    @property
    def build_id(self) -> bytes: ...
    @property
    def functions(self) -> list[ElfFunction]: ...
    @property
    def problems(self) -> list[str]: ...

class FileError(Exception): ...

class SourceGone(Exception):
    """The source can no longer be read: the file is shorter, the process has ended."""

class CpuRegisters:
    """A CPU's registers, from a dump's notes."""

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
    def efer(self) -> tuple[int | None, list[str]]:
        """(EFER by the other registers, or None; what is assumed)."""

class Vmcoreinfo:
    """What a crashed Linux tells of itself."""

    @property
    def release(self) -> bytes: ...
    @property
    def problem(self) -> str:
        """Why it tells no root; or ""."""

class CrashedKernel:
    """The registers of a crashed Linux, for its own space; see native/machine/dump_spaces.h."""

    @property
    def cr0(self) -> int: ...
    @property
    def cr3(self) -> int: ...
    @property
    def cr4(self) -> int: ...
    @property
    def efer(self) -> int: ...
    @property
    def assumed(self) -> list[str]:
        """For example "CR0.WP=1"."""
    @property
    def deduced(self) -> list[str]:
        """With the reason: "EFER.NXE=1: an entry has XD"."""

class Dump(PhysicalMemory):
    """A dump file; see native/sources/dump.h. FileError if it is not one."""

    def __init__(self, path: str | bytes) -> None: ...
    @property
    def format(self) -> str: ...
    @property
    def ram(self) -> list[_Interval]: ...
    @property
    def requests(self) -> int: ...
    @property
    def cut(self) -> bool: ...
    @property
    def cpus(self) -> list[CpuRegisters]: ...
    @property
    def problem(self) -> str: ...
    @property
    def vmcoreinfo(self) -> Vmcoreinfo | None:
        """Only of a crash dump."""
    @property
    def kernel(self) -> CrashedKernel | None:
        """Of a crash dump whose VMCOREINFO tells the root."""
    @property
    def changed(self) -> str: ...

class FlatFile(PhysicalMemory):
    """FileError if it cannot be read. Pieces are (address, size, offset)."""

    def __init__(self, path: str | bytes, pieces: _Blocks = ...) -> None: ...
    @property
    def ram(self) -> list[_Interval]: ...
    @property
    def size(self) -> int: ...
    @property
    def requests(self) -> int: ...
    @property
    def replaced(self) -> bool: ...

class QemuProcess(PhysicalMemory):
    """`ram` has (first, last, host address of the first byte), sorted."""

    def __init__(self, pid: int, ram: _Blocks) -> None: ...
    @property
    def requests(self) -> int:
        """System calls so far."""

class RamFile(PhysicalMemory):
    """`file` is a descriptor, copied. `ram` has (first, last, offset of the first byte), sorted;
    `rest` reads all other memory."""

    def __init__(self, file: int, ram: _Blocks, rest: _Memory) -> None: ...
    @property
    def requests(self) -> int:
        """System calls so far, without the rest's."""

class EntryPiece:
    """Memory that the processor needs to enter a kernel; see native/explain/entry_piece.h."""

    def __init__(
        self,
        name: str,
        short: str,
        address: int,
        pages: Sequence[int],
        access: _Access,
        before_switch: bool = True,
        is_stack: bool = False,
    ) -> None:
        """The name of a stack is without that word."""
    @property
    def name(self) -> str:
        """For example "GDT", "RSP0 stack"."""
    @property
    def address(self) -> int: ...
    @property
    def pages(self) -> list[int]:
        """All pages that the processor touches."""
    @property
    def before_switch(self) -> bool:
        """Whether it is needed before entry code could load another CR3."""

class EntryPieceState:
    """How one root maps an EntryPiece."""

    @property
    def text(self) -> str:
        """For example "supervisor read write", "ONLY 1 of 2 pages", "FAULTS: read-only"."""

class EntryRow:
    """An EntryPiece and how it is mapped."""

    def __init__(
        self, piece: EntryPiece, here: EntryPieceState, user: EntryPieceState | None
    ) -> None: ...
    @property
    def piece(self) -> EntryPiece: ...
    @property
    def here(self) -> EntryPieceState: ...

class EntryNeeds:
    """What entering the kernel of one CPU needs; see native/explain/descriptors.h."""

    @property
    def pieces(self) -> list[EntryPiece]: ...
    @property
    def unread(self) -> list[str]:
        """Tables that could not be read whole: "GDT", "IDT", "LDT", "TSS"."""
    @property
    def knows_stacks(self) -> bool:
        """Whether the TSS could be read, so that its stacks are known."""
    @property
    def ldtr_base(self) -> int:
        """The whole base; the given one may be only its low 32 bits."""
    @property
    def tr_base(self) -> int: ...

def entry_needs(
    paging: Paging,
    root: int,
    memory: _Memory,
    *,
    gdtr: tuple[int, int],
    idtr: tuple[int, int],
    ldtr: _Segment,
    tr: _Segment,
) -> EntryNeeds:
    """Reads the descriptor tables through a root that has the kernel mapped. GDTR and IDTR are
    (base, limit)."""

def entry_piece_state(
    piece: EntryPiece, paging: Paging, root: int, memory: _Memory, pkru: int | None = None
) -> EntryPieceState:
    """Walks every page of a piece below a root."""

def rights_words(walk: Walk) -> str:
    """For example "supervisor read exec"; the address must be mapped."""

def kpti_roots(paging: Paging, root: int, memory: _Memory) -> tuple[int, int] | None:
    """(kernel root, user root): KPTI's pair that a root belongs to, or None."""

def split_of(paging: Paging, map: Map) -> int | None:
    """The address where the supervisor's part of a 32-bit space begins, None if there is no
    such place. `map` is of the whole space."""

def supervisor_part(paging: Paging, map: Map) -> int | None:
    """The same; 0 if there is no user page; None if user and supervisor pages are mixed."""

class KptiShare:
    """Bytes of the supervisor's part: those that the kernel root maps, and those of them that the
    user root maps to the same frames. A frame counts once, however often it is mapped."""

    @property
    def kernel(self) -> int: ...
    @property
    def kernel_frames(self) -> int: ...
    @property
    def user(self) -> int: ...
    @property
    def user_frames(self) -> int: ...

def kpti_share(kernel: Map, user: Map, pulse: _Pulse | None = None) -> KptiShare | None:
    """From two maps of that part, split physically. None if a table could not be read."""

class RegistersReport:
    """What `ptmap regs` shows; see native/text/registers_text.h."""

    def __init__(
        self,
        *,
        registers: Sequence[tuple[str, int | None, bool, Sequence[str]]],
        mode: str | None,
        paging: Paging | None,
        root: int | None,
        pair: tuple[int, int] | None,
        cr2_now: str,
        tables: tuple[tuple[int, int], tuple[int, int], _Segment, _Segment] | None,
        rows: Sequence[EntryRow],
        notes: Sequence[str],
        why_not: str,
        assumed: Sequence[str],
        deduced: Sequence[str],
    ) -> None:
        """A register is its name, its value, whether the user gave it, and its assumed bits;
        `assumed` and `deduced` are those of registers that are not known."""
    def text(self, roles: bool = False) -> Text: ...
    def json(self) -> str: ...

def outcome_text(walk: Walk) -> str:
    """For example "supervisor read at physical 0x1000", "not present: the walk ends at the PDE"."""

def short_size(bytes: int) -> str:
    """For example "4K", "15.9T": rounded, five characters at most."""

def size_words(bytes: int) -> str:
    """For example "4 KiB", "1 GiB": in the largest unit that divides it."""

# Texts: native/text/summary_text.h, grid_text.h and overview_text.h.

def head_text(
    mode: str,
    root: int,
    half: str | None,
    is_linux: bool,
    notes: Sequence[str],
    roles: bool = False,
) -> Text:
    """Which space it is. `half` is "user", "kernel", or None without KPTI."""

def split_text(split: int, roles: bool = False) -> Text: ...
def kpti_text(share: KptiShare, kernel: int, user: int, half: str, roles: bool = False) -> Text:
    """KERNEL and USER are the roots."""

def counts_text(map: Map, roles: bool = False) -> Text:
    """Tables and pages."""

def missing_text(map: Map, tables_cut: bool, indent: int = 0, roles: bool = False) -> Text:
    """What the map lacks."""

def missing_json(map: Map, indented: bool = False) -> Text:
    """The same as members of a JSON object that has others before them: "complete", "truncated",
    "unreadable", "malformed". Each begins with its comma."""

def grid_text(paging: Paging, grid: Grid, width: int = 0, roles: bool = False) -> Text:
    """For a screen of `width` columns; 0 for any width."""

def parts_text(
    map: Map,
    labels: Sequence[Label],
    parts: Sequence[Label],
    pulse: _Pulse | None = None,
    roles: bool = False,
) -> Text:
    """A line for each name among `parts`, which are some of the labels."""

def overview_text(
    tables: Tables,
    map: Map,
    labels: Sequence[Label],
    *,
    width: int,
    height: int,
    other_lines: int,
    pulse: _Pulse | None = None,
    roles: bool = False,
) -> Text:
    """A 64-bit space on one screen; `other_lines` is the number of lines above and below it."""

def walk(paging: Paging, root: int, va: int, memory: _Memory) -> Walk: ...

class ExplainedAddress:
    """One address explained."""

class ExplainedSpace:
    """The space of explained addresses: see native/text/explanation_text.h. Hints may be empty."""

    def __init__(
        self,
        *,
        mode: str,
        root: int,
        notes: Sequence[str],
        assumed: Sequence[str],
        maxphyaddr: int,
        maxphyaddr_is_assumed: bool,
        pat_hint: str,
        pkru_hint: str,
    ) -> None:
        """ValueError if `mode` is not a mode."""

def explain(
    walk: Walk,
    paging: Paging,
    *,
    ac: bool,
    pkru: int | None,
    pat: int | None,
    notes: Sequence[tuple[str, str, str]] = ...,
    expect_json: str = "",
) -> ExplainedAddress:
    """Explains an address under these registers. `notes` are what is known of the operating
    system there, each as (the JSON's member, its JSON, a line of text). Given JSON must be indented
    by one space a level."""

def explain_without_paging(va: int) -> ExplainedAddress: ...
def explanations_text(space: ExplainedSpace, addresses: Sequence[ExplainedAddress]) -> Text: ...
def explanations_json(
    space: ExplainedSpace, addresses: Sequence[ExplainedAddress], expect_json: str = ""
) -> Text:
    """The document "pte"; the rule of -expect is given as a JSON string, or empty."""

class ResponsibleEntry:
    """The entry that is responsible for a finding."""

    @property
    def level(self) -> int: ...
    @property
    def entry_name(self) -> str: ...
    @property
    def table(self) -> int:
        """Physical address."""
    @property
    def index(self) -> int: ...
    @property
    def entry_address(self) -> int:
        """Physical."""
    @property
    def raw(self) -> int | None:
        """None if it could not be read."""
    @property
    def says(self) -> str:
        """For example "RW=0", "not present (P=0)"."""
    @property
    def text(self) -> str:
        """For example "PTE 72 at 0x206120 = 0x01000025: RW=0"."""

def responsible_entry(
    walk: Walk, paging: Paging, right: str | None = None
) -> ResponsibleEntry | None:
    """The entry that takes a right (user, write, exec) away if the page lacks it, else the last
    one. None for an address that is not canonical. ValueError for another word."""

def table_entry(walk: Walk, paging: Paging, step: int) -> ResponsibleEntry:
    """An entry of a walk that names a table. IndexError."""

def end_text(walk: Walk) -> str:
    """For example "PTE 72 at 0x206120 is not present"; empty if the address is not canonical."""

def scan(
    paging: Paging,
    root: int,
    memory: _Memory,
    first: int = 0,
    last: int = ...,
    max_tables: int = ...,
    pulse: _Pulse | None = None,
) -> Tables:
    """Reads all tables for the offsets FIRST to LAST. A pulse is by tables."""

def make_map(
    tables: Tables,
    first: int = 0,
    last: int = ...,
    split_physical: bool = False,
    split_sizes: bool = False,
    pat: int | None = None,
    as_: str | None = None,
    ac: bool = False,
    wanted: Condition | None = None,
    max_ranges: int = ...,
    ram: Sequence[_Interval] = ...,
    pulse: _Pulse | None = None,
    split_from: int = 0,
    counted: bool = True,
) -> Map:
    """The ranges of the offsets FIRST to LAST; see native/space/map.h. A pulse is by ranges."""

def view(
    tables: Tables,
    exact: Map,
    first: int = 0,
    last: int = ...,
    split_physical: bool = False,
    split_sizes: bool = False,
    as_: str | None = None,
    ac: bool = False,
    wanted: Condition | None = None,
    max_ranges: int = ...,
    ram: Sequence[_Interval] = ...,
    pulse: _Pulse | None = None,
    counted: bool = True,
) -> Map:
    """The map that make_map() would make, made from a map that tells at least as much; see
    native/space/view.h. Without `counted` its numbers of pages and tables mean nothing."""

def counts() -> Counts: ...
@overload
def find(
    tables: Tables,
    first: int,
    last: int,
    pat: int | None = None,
    max_ranges: int = ...,
    pulse: _Pulse | None = None,
) -> Map:
    """A map of the pages that map the physical bytes FIRST to LAST; each range is contiguous and
    cut to them. `pages` counts pages that hold a byte of them. The cost follows tables and
    output."""

@overload
def find(map: Map, first: int, last: int) -> list[Range]:
    """The same from a map that was made with split_physical, by rising address. A range keeps the
    page sizes of the range that it was cut from. Ranges without one `pa` are skipped."""

def aliases(map: Map, wanted: Sequence[_Conflict] = ..., pulse: _Pulse | None = None) -> Aliases:
    """The frames of a map, made with split_physical, that are mapped in conflicting ways.
    ValueError if a word is not a conflict."""

def aliases_json(
    map: Map,
    wanted: Sequence[_Conflict] = ...,
    labels: Sequence[Label] = ...,
    pulse: _Pulse | None = None,
) -> Text:
    """The stretches, as the elements of a JSON list, in pieces."""

def diff(
    before: Map, after: Map, split_physical: bool = False, pulse: _Pulse | None = None
) -> Differences:
    """The differences of two exact maps (split_physical and split_sizes). With `split_physical` a
    difference ends where frames stop being contiguous. ValueError for other maps, or two modes."""

def share(
    before: Tables,
    after: Tables,
    parts: Sequence[_Interval],
    max_steps: int = ...,
    pulse: _Pulse | None = None,
) -> Sharing:
    """Which tables two spaces have in common. `parts` are offsets. `max_steps` limits
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
    """An exact map as bytes, without a checksum. ValueError if it is not exact."""

def read_snapshot(data: bytes | bytearray | memoryview, pulse: _Pulse | None = None) -> Snapshot:
    """ValueError, with one phrase, if it is not a snapshot or is damaged."""

def check_is_snapshot(data: bytes | bytearray | memoryview) -> None:
    """ValueError if the bytes are not a snapshot's, or a newer version's."""

def matches(
    map: Map,
    first: int,
    last: int,
    condition: Condition | None,
    truth: bool | None,
    pulse: _Pulse | None = None,
) -> tuple[Range | None, int]:
    """(the first range, cut to the addresses FIRST to LAST; how many) of the ranges for which the
    condition's truth is `truth`: True, False, or None for unknown. A condition of None holds for
    all."""

def first_hole(map: Map, first: int, last: int) -> int | None:
    """The first address from FIRST to LAST that is certainly not mapped, or None."""

def unknown(map: Map, first: int, last: int) -> tuple[Gap | None, bool, int, bool]:
    """What a map does not know of the addresses FIRST to LAST: (the first gap, whether it is a
    reserved bit, the number of gaps, whether a limit cut the map there)."""

def draw_grid(
    tables: Tables, position: int, first: int = 0, last: int = ..., pulse: _Pulse | None = None
) -> Grid: ...
def paging_mode(cr0: int, cr4: int, efer: int, /) -> str:
    """ "off", "32-bit", "pae", "4-level" or "5-level"."""

def registers_for(
    mode: str, cr0: int | None, cr4: int | None, efer: int | None, /
) -> tuple[int, int, int]:
    """CR0, CR4 and EFER in this mode, changed only as far as the mode needs. None: the register is
    not known; then CR0.WP, CR4.PSE, CR4.PGE and EFER.NXE are set."""

def register_mask(register: Literal["CR0", "CR4", "EFER"], /, *bits: str) -> int:
    """The bits with these names: "NXE". ValueError if there is none."""

def memory_types(pat: int | None, /) -> list[str]:
    """The types of the eight slots of IA32_PAT."""

def parse_condition(text: str) -> Condition | ConditionError: ...
def condition_words() -> list[str]:
    """All words of conditions, for people."""

def page_size_names(sizes: int = 15) -> list[str]:
    """The names of a set of page sizes (Range.page_sizes)."""

def type_names() -> list[str]:
    """Memory types by their number in a range's flags."""

def range_rows(map: Map, pulse: _Pulse | None = None) -> Rows:
    """va, size, pa (2^64-1: frames not contiguous), flags of each range."""

def page_rows(
    tables: Tables,
    first: int = 0,
    last: int = ...,
    max_pages: int = ...,
    pulse: _Pulse | None = None,
) -> tuple[Rows, bool]:
    """(va, size, pa, flags, entry of each page, whether there are more)."""

def table_count(tables: Tables) -> int:
    """The number of tables; a table counts once for each level at which it is used."""

def table(tables: Tables, index: int) -> Table:
    """The root is table 0. IndexError."""

def elf_sections(file: int) -> list[tuple[bytes, int, int, bool, bool, bool]]:
    """(name, link address, size, writable, executable, whether it has memory of its own) of each
    section with SHF_ALLOC of the ELF file that is open as this descriptor. Error: ValueError."""

class KernelFile:
    """A Linux kernel's vmlinux, by link addresses; see native/elf/kernel_file.h."""

    @property
    def text(self) -> int:
        """The symbol _text."""
    @property
    def end(self) -> int:
        """The symbol _end."""
    @property
    def init_begin(self) -> int:
        """The symbol __init_begin, or 0: what is freed after boot begins there."""
    @property
    def init_end(self) -> int:
        """The symbol __init_end, or 0."""
    @property
    def banner_at(self) -> int:
        """The symbol linux_banner."""
    @property
    def banner(self) -> bytes:
        """Without its newline."""
    @property
    def per_cpu_from_zero(self) -> bool:
        """Whether .data..percpu is linked at 0."""

def read_kernel_file(file: int) -> KernelFile:
    """Reads the file that is open as this descriptor. Error: ValueError if it is no Linux kernel
    with symbols."""

def elf_build_id(file: int) -> tuple[int, bytes] | None:
    """The link address and the bytes of the build id of the file that is open as this descriptor;
    None if it has none. Error: ValueError if it is no ELF file."""

def read_elf(image: bytes) -> Elf:
    """Reads a vDSO's image, which may be damaged or cut off. ValueError if it is not an image."""

class Auxv:
    """An auxiliary vector; see native/elf/auxv.h."""

    @property
    def va(self) -> int:
        """The address of its first pair."""
    @property
    def word(self) -> int:
        """Bytes; a pair has two."""
    @property
    def values(self) -> list[tuple[int, int]]:
        """Pairs of type and value, in the vector's order."""
    @property
    def vdso(self) -> int | None:
        """Where exec put the vDSO; None if it put none."""
    @property
    def abi(self) -> str:
        """As Elf.abi."""

def find_auxv(
    memory: LinearMemory, start: int, end: int, wide: bool, pulse: _Pulse | None = None
) -> Auxv | None:
    """The auxiliary vector in a stack. WIDE: the process may be 64-bit. The pulse is by pages."""

class LinearImage:
    """An ELF image in linear memory; see native/elf/linear_image.h."""

    @property
    def va(self) -> int: ...
    @property
    def size(self) -> int:
        """Whole pages, in bytes."""
    @property
    def elf(self) -> Elf: ...

def linear_image_at(memory: LinearMemory, va: int, size: int | None = None) -> LinearImage | None:
    """The image that begins at VA; None if there is none, or if a part is missing."""

def linear_image_around(memory: LinearMemory, va: int) -> LinearImage | None:
    """The image that a page belongs to."""

def linear_images(
    memory: LinearMemory, parts: Sequence[tuple[int, int, int]], pulse: _Pulse | None = None
) -> list[LinearImage]:
    """The images in parts of a space: (address, size, physical address). A pulse is by pages."""

class ImagePage:
    """A page of an image."""

    @staticmethod
    def of_kernel(va: int, pa: int, kernel_va: int) -> ImagePage:
        """A page whose bytes are the kernel's copy."""
    @property
    def va(self) -> int: ...
    @property
    def pa(self) -> int | None:
        """The physical address of its bytes; None if they are not known."""
    @property
    def source(self) -> Literal["process", "kernel"] | None:
        """Whose memory has them."""
    @property
    def kernel_va(self) -> int | None:
        """The address of the kernel's copy, if `source` is "kernel"."""
    @property
    def why(self) -> str:
        """Why they are not known."""

class UserImage:
    """An image at an address of a process."""

    @property
    def va(self) -> int: ...
    @property
    def elf(self) -> Elf: ...
    @property
    def pages(self) -> list[ImagePage]: ...

class UserCodePages:
    """Iterates over (address, physical address) of pages."""

    def __iter__(self) -> UserCodePages: ...
    def __next__(self) -> tuple[int, int]: ...

class UserCode:
    """The user's pages that are executable; see native/vdso/user_code.h."""

    @overload
    def __init__(
        self, paging: Paging, root: int, memory: _Memory, pulse: _Pulse | None = None
    ) -> None:
        """A pulse is by tables."""
    @overload
    def __init__(self, tables: Tables, pulse: _Pulse | None = None) -> None:
        """From Tables that has all tables."""
    @property
    def unreadable(self) -> int:
        """Tables that could not be read."""
    def pages(self, writable: bool) -> UserCodePages:
        """The pages that user space can write, or cannot; likely ones for a vDSO first."""

class ImageSearch:
    """The images found, and how complete the search was."""

    @property
    def images(self) -> list[UserImage]: ...
    @property
    def rejected(self) -> list[tuple[int, str]]:
        """The address of an ELF header, and why it does not begin an image."""
    @property
    def looked(self) -> int:
        """Pages that were searched."""
    @property
    def pages(self) -> int:
        """All pages."""
    @property
    def cut(self) -> bool:
        """There may be more: a limit was reached."""

def search_images(
    paging: Paging, code: UserCode, memory: _Memory, pulse: _Pulse | None = None
) -> ImageSearch:
    """Every image behind CODE; see native/vdso/image_search.h. A pulse is by pages."""

def look_at_image(paging: Paging, code: UserCode, memory: _Memory, va: int) -> ImageSearch:
    """The same for the page at one address only."""

def image_pages(code: UserCode, memory: _Memory, va: int, count: int) -> list[ImagePage]:
    """COUNT pages of CODE from VA on; those that are missing say why."""

def read_image(memory: _Memory, pages: Sequence[ImagePage]) -> bytes:
    """The pages' bytes, with zeros for unknown pages. ValueError if a page that was read before can
    no longer be read."""

def fits(paging: Paging, va: int, size: int) -> bool:
    """Whether SIZE bytes from VA on all have valid addresses."""
