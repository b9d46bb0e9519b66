"""An address space: which tables are read, and under which registers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from ..base import native
from ..base.errors import Refusal
from . import kpti
from .reader import Memory, Reader

if TYPE_CHECKING:
    from .._core import Paging, Space, Walk

MODES = ("32-bit", "pae", "4-level", "5-level")
LEVELS = {"1": 1, "2": 2, "3": 3, "4": 4, "5": 5,
          "PT": 1, "PD": 2, "PDPT": 3, "PML4": 4, "PML5": 5}  # fmt: skip

_EFER_NXE = 1 << 11
_CR4_PKE, _CR4_PKS = 1 << 22, 1 << 24


@dataclass(frozen=True)
class AddressSpace:
    """Everything that decides what an address means, but for the memory itself."""

    cr0: int
    cr3: int
    cr4: int
    efer: int
    ac: bool  # EFLAGS.AC
    mode: str  # "off" too
    root: int
    _paging: Paging | None  # None with paging off
    assumed: tuple[str, ...] = ()  # what was assumed, in words
    told: tuple[str, ...] = ()  # what the user should know about which space this is
    pair: kpti.Roots | None = None  # KPTI's, if it is known without a look at the tables
    _reader: Reader | None = field(default=None, compare=False, repr=False)

    @property
    def paging_is_off(self) -> bool:
        return self._paging is None

    @property
    def paging(self) -> Paging:
        """How its entries are read. With paging off there is none."""
        assert self._paging is not None
        return self._paging

    @property
    def reader(self) -> Reader:
        """What it is read through. Of a space that only a file tells of there is none."""
        assert self._reader is not None
        return self._reader

    @property
    def memory(self) -> Memory:
        """The machine's physical memory. Error: Refusal if there is none."""
        return self.reader.memory()

    def through(self, reader: Reader) -> AddressSpace:
        """The same space, read through another."""
        return replace(self, _reader=reader)

    def walk(self, va: int) -> Walk:
        """One address from the root to its page, or to where the walk ends."""
        memory = self.memory
        with memory.reading():
            walk: Walk = native.core.walk(self.paging, self.root, va, memory.core)
        return walk

    def scan(self, first: int, last: int, max_tables: int) -> Space:
        """All tables for the offsets FIRST to LAST."""
        memory = self.memory
        with memory.reading():
            space: Space = native.core.scan(
                self.paging,
                self.root,
                memory.core,
                first,
                last,
                max_tables=max_tables,
                pulse=self.reader.progress.scanning,
            )
        return space

    @cached_property
    def kpti_roots(self) -> kpti.Roots | None:
        """The pair of KPTI roots, None without KPTI."""
        if self.pair is not None or self.paging_is_off:
            return self.pair
        return kpti.roots(self.paging, self.root, self.memory)

    @property
    def half(self) -> str | None:
        """Which of them the root is; None without KPTI."""
        if self.kpti_roots is None:
            return None
        return "user" if self.root == self.kpti_roots.user else "kernel"

    @cached_property
    def kernel(self) -> AddressSpace:
        """The space that has the kernel mapped: this one, or under KPTI the kernel root's."""
        pair = self.kpti_roots
        return self if pair is None else self.below(pair.kernel, pair=pair)

    def below(
        self, root: int, told: tuple[str, ...] = (), pair: kpti.Roots | None = None
    ) -> AddressSpace:
        """The same registers with another root; PAIR are KPTI's roots where that is known."""
        pair = pair or self.pair
        if pair is not None and root not in (pair.kernel, pair.user):
            pair = None
        return replace(self, root=root, told=self.told + told, pair=pair)

    @property
    def has_keys(self) -> bool:
        """Protection keys, of user or supervisor pages (CR4.PKE, CR4.PKS)."""
        return bool(self.cr4 & (_CR4_PKE | _CR4_PKS))

    @property
    def no_nx(self) -> str | None:
        """Why whatever is mapped is executable here; None where a page can be no-exec."""
        if self.mode == "32-bit":
            return "32-bit paging has no NX"
        return None if self.efer & _EFER_NXE else "NX is off (EFER.NXE=0)"

    @property
    def digits(self) -> int:
        """Of an address on show."""
        return 16 if self.mode in ("4-level", "5-level") else 8

    def hex(self, address: int) -> str:
        return f"0x{address:0{self.digits}x}"


def in_space(space: AddressSpace, value: int) -> int:
    """An evaluated number as a linear address of this space: 0 .. 2^64-1, canonical or not.

    Without 4- or 5-level paging a negative one (or one that GDB sign-extended) means its low 32
    bits. Error: Refusal where it is wider than the space's addresses.
    """
    if not -(1 << 63) <= value < 1 << 64:
        raise Refusal(f"{value:#x} is wider than 64 bits")
    if space.mode not in ("4-level", "5-level"):
        if value >= (1 << 64) - (1 << 31):
            value -= 1 << 64
        if not -(1 << 31) <= value < 1 << 32:
            raise Refusal(
                f"{value:#x} is no address here: "
                "without 4- or 5-level paging linear addresses are 32-bit"
            )
        return value & 0xFFFFFFFF
    return value & (1 << 64) - 1


def stretch(space: AddressSpace, start: int, end: int, shown: str = "") -> tuple[int, int]:
    """First and last address of START .. END - 1; END may be 0 for the top. Of one that is not
    canonical it is the next canonical one. Error: Refusal where there is nothing between them."""
    top = (1 << (64 if space.paging.canonical else 32)) - 1
    first = _canonical(space, start, upwards=True)
    last = top if end in (0, top + 1) else _canonical(space, end - 1, upwards=False)
    if last < first:
        shown = shown or f"{start:#x} {end:#x}"
        raise Refusal(f"{shown} is empty: END comes after START")
    return first, last


def window(space: AddressSpace, start: int, end: int, shown: str = "") -> tuple[int, int]:
    """The same in offsets. Error: Refusal."""
    first, last = stretch(space, start, end, shown)
    return space.paging.offset_of(first), space.paging.offset_of(last)


def _canonical(space: AddressSpace, value: int, upwards: bool) -> int:
    address = in_space(space, value)
    if space.paging.translatable(address):
        return address
    offset = space.paging.upper_part
    return int(space.paging.address_of(offset if upwards else offset - 1))
