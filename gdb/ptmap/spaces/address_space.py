"""An address space: the tables to read, and the registers that decide what they mean."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ..base.errors import Refusal
from ..base.interval import Interval
from .reader import Memory, Reader
from .registers import Roots

if TYPE_CHECKING:
    from .._core import Paging

MODES = ("32-bit", "pae", "4-level", "5-level")
_TABLES = ("PT", "PD", "PDPT", "PML4", "PML5")
LEVELS = {str(level): level for level in range(1, 6)} | {
    name: level for level, name in enumerate(_TABLES, 1)
}


@dataclass(frozen=True)
class AddressSpace:
    """Everything that decides what an address means, except the memory itself. walks.py reads its
    tables, kpti.py says which roots belong together."""

    cr0: int
    cr3: int
    cr4: int
    efer: int
    ac: bool  # EFLAGS.AC
    mode: str  # one of MODES, or "off"
    root: int
    _paging: Paging | None  # None if paging is off
    assumed: tuple[str, ...] = ()  # what was assumed, in words
    notes: tuple[str, ...] = ()  # what the user should know about which space this is
    pair: Roots | None = None  # KPTI's roots, if they are known without reading the tables
    _reader: Reader | None = field(default=None, compare=False, repr=False)

    @property
    def paging_is_off(self) -> bool:
        return self._paging is None

    @property
    def paging(self) -> Paging:
        """How its entries are read. Only if paging is on."""
        assert self._paging is not None
        return self._paging

    @property
    def reader(self) -> Reader:
        """What it is read through. A space from a snapshot has none."""
        assert self._reader is not None
        return self._reader

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for spaces with the same tables under the same rules: two CPUs may have the same
        root and differ in EFER.NXE or CR4.PGE."""
        return self.mode, self.root, self.cr0, self.cr4, self.efer

    @property
    def memory(self) -> Memory:
        """The machine's physical memory. Error: Refusal if there is none."""
        return self.reader.memory()

    def through(self, reader: Reader) -> AddressSpace:
        """The same space, read through another reader."""
        return replace(self, _reader=reader)

    def below(
        self, root: int, notes: tuple[str, ...] = (), pair: Roots | None = None
    ) -> AddressSpace:
        """The space with the same registers and another root. PAIR: KPTI's roots, if known."""
        pair = pair or self.pair
        if pair is not None and root not in (pair.kernel, pair.user):
            pair = None
        return replace(self, root=root, notes=self.notes + notes, pair=pair)

    @property
    def has_keys(self) -> bool:
        """Whether user or supervisor pages have protection keys (CR4.PKE, CR4.PKS)."""
        return self.paging.has_keys

    @property
    def no_nx(self) -> str | None:
        """Why every mapped page is executable here; None if a page can be no-exec."""
        if self.mode == "32-bit":
            return "32-bit paging has no NX"
        return None if self.paging.has_nx else "NX is off (EFER.NXE=0)"

    @property
    def digits(self) -> int:
        """Hexadecimal digits of an address in a text."""
        return 16 if self.mode in ("4-level", "5-level") else 8

    def hex(self, address: int) -> str:
        return f"0x{address:0{self.digits}x}"


def in_space(space: AddressSpace, value: int) -> int:
    """A number as a linear address of this space: 0 .. 2^64-1, canonical or not.

    Without 4- or 5-level paging a negative number (or one that GDB sign-extended) means its low 32
    bits. Error: Refusal if it is wider than the space's addresses.
    """
    if not -(1 << 63) <= value < 1 << 64:
        raise Refusal(f"{value:#x} is wider than 64 bits")
    if space.mode not in ("4-level", "5-level"):
        if value >= (1 << 64) - (1 << 31):
            value -= 1 << 64
        if not -(1 << 31) <= value < 1 << 32:
            raise Refusal(
                f"{value:#x} is too wide: "
                "without 4- or 5-level paging linear addresses are 32-bit"
            )
        return value & 0xFFFFFFFF
    return value & (1 << 64) - 1


def stretch(space: AddressSpace, start: int, end: int, shown: str = "") -> Interval:
    """First and last address of START .. END - 1; an END of 0 is the top. If one is not canonical
    the next canonical address inside counts. Error: Refusal if nothing lies between them."""
    top = (1 << (64 if space.paging.canonical else 32)) - 1
    first = _canonical(space, start, upwards=True)
    last = top if end in (0, top + 1) else _canonical(space, end - 1, upwards=False)
    if last < first:
        shown = shown or f"{start:#x} {end:#x}"
        raise Refusal(f"{shown} is empty: END must be above START")
    return Interval(first, last)


def window(space: AddressSpace, start: int, end: int, shown: str = "") -> Interval:
    """As stretch(), in offsets. Error: Refusal."""
    first, last = stretch(space, start, end, shown)
    return Interval(space.paging.offset_of(first), space.paging.offset_of(last))


def _canonical(space: AddressSpace, value: int, upwards: bool) -> int:
    address = in_space(space, value)
    if space.paging.translatable(address):
        return address
    offset = space.paging.upper_part
    return space.paging.address_of(offset if upwards else offset - 1)
