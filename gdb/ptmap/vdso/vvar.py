"""The vvar pages: data that the vDSO's functions read instead of calling the kernel.

They lie before the image. Their order and their fields come from the types of vmlinux; without
types, from a table of the versions whose source was read.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Callable, NamedTuple

from ..base.symbols import Symbols
from ..linux.kernel import Kernel, is_special
from ..linux.structures import NoType, Structures
from ..spaces import walks
from ..spaces.address_space import AddressSpace
from ..spaces.virtual_memory import Unreadable
from .elf_images import PAGE, Image
from .vdso_images import Copies

if TYPE_CHECKING:
    from .._core import Walk


@dataclass(frozen=True)
class Fields:
    """Where the first clock's fields are in the data page, in bytes from its beginning."""

    seq: int
    clock_mode: int
    mult: int
    shift: int


class Layout(NamedTuple):
    """Of some versions; first and last of them."""

    first: tuple[int, int]
    last: tuple[int, int]
    pages: tuple[str, ...]  # by rising address, the last one directly before the image
    fields: Fields | None  # None: not known
    special: bool = True  # its pages are marked so; since 6.15 by some versions only

    def __str__(self) -> str:
        return "Linux {}.{} to {}.{}".format(*self.first, *self.last)


# The pages: arch/x86/entry/vdso/vdso-layout.lds.S; since 6.15 enum vdso_pages of
# include/vdso/datapage.h and behind them those of arch/x86/include/asm/vdso/vsyscall.h.
# The fields: struct vsyscall_gtod_data (arch/x86/include/asm/vgtod.h) until 5.2, then struct
# vdso_data (include/vdso/datapage.h), at 128 bytes (arch/x86/include/asm/vvar.h); since 6.15
# struct vdso_time_data, whose first member is a struct vdso_clock.
_OLD_PAGES = ("data", "pvclock", "hvclock")
_LAYOUTS = (
    Layout((4, 19), (5, 5), _OLD_PAGES, Fields(128, 132, 152, 156)),
    Layout((5, 6), (6, 9), (*_OLD_PAGES, "timens"), Fields(128, 132, 152, 156)),
    # With max_cycles before mult.
    Layout((6, 10), (6, 12), (*_OLD_PAGES, "timens"), Fields(128, 132, 160, 164)),
    Layout((6, 13), (6, 14), ("data", "timens", "pvclock", "hvclock"), None),
    Layout(
        (6, 15),
        (7, 2),
        ("data", "timens", "rng", "arch", "pvclock", "hvclock"),
        Fields(0, 4, 32, 36),
        special=False,
    ),
)
_VCLOCK_PAGES = ("pvclock", "hvclock")  # in no type: asm/vdso/vsyscall.h


class ClockMode(Enum):
    """VDSO_CLOCKMODE_*, include/vdso/clocksource.h and arch/x86/include/asm/vdso/clocksource.h;
    VCLOCK_* before 5.7."""

    NONE = 0
    TSC = 1
    PVCLOCK = 2
    HVCLOCK = 3


_TIMENS = 0x7FFFFFFF  # VDSO_CLOCKMODE_TIMENS: the data is in the page "timens"


@dataclass(frozen=True)
class VvarPage:
    """A vvar page, as the process has it."""

    va: int
    name: str | None
    walk: Walk
    special: bool = True  # whether Linux marks it so (is_special())

    @property
    def mapped(self) -> bool:
        return self.walk.outcome == "mapped"

    @property
    def is_other(self) -> bool:
        """Whether another page is mapped at its address: the vDSO was moved, or is not there."""
        if self.name is None or not self.mapped:
            return False
        return not self.walk.user or self.walk.write or self.special and not is_special(self.walk)


@dataclass(frozen=True)
class Clock:
    """The fields from which the vDSO computes the time."""

    layout: Layout | None  # None: as vmlinux's types say
    seq: int  # odd while the kernel changes the fields
    clock_mode: ClockMode
    mult: int  # nanoseconds per cycle, << shift
    shift: int
    in_namespace: bool  # the process is in a time namespace
    from_kernel: bool  # the process has not mapped the data: read from the kernel's memory

    @property
    def without_syscall(self) -> bool:
        """Whether CLOCK_REALTIME and CLOCK_MONOTONIC need no system call."""
        return self.clock_mode is not ClockMode.NONE


@dataclass(frozen=True)
class Vvar:
    """The pages before a vDSO."""

    pages: list[VvarPage]
    clock: Clock | None
    no_clock: str = ""  # why there is no clock, if one was looked for

    @property
    def notes(self) -> list[str]:
        return [f"clock: {self.no_clock}"] if self.no_clock else []


def of(space: AddressSpace, image: Image, linux: Kernel | None, copies: Copies | None) -> Vvar:
    """The pages before IMAGE. COPIES: the kernel's; None if IMAGE may be a copy of the vDSO."""
    known = _known(linux, copies, image) if linux is not None and copies is not None else None
    if known is None or image.va < len(known.pages) * PAGE:
        why = _no_layout(linux) if known is None and copies is not None else ""
        return Vvar(_guessed(space, image), None, why)
    pages = [
        _page(space, image.va - (len(known.pages) - index) * PAGE, name, known.special)
        for index, name in enumerate(known.pages)
    ]
    if any(page.is_other for page in pages):
        return Vvar(pages, None, "not known: other pages are where its data should be")
    if known.fields is None:
        return Vvar(pages, None, f"not known: {known.why}")
    return Vvar(pages, *_clock(space, pages, known))


def _no_layout(linux: Kernel | None) -> str:
    """Why no layout is known of this version; "" if there is no version."""
    if linux is None or linux.version is None:
        return ""
    versions = "Linux {}.{} to {}.{}".format(*_LAYOUTS[0].first, *_LAYOUTS[-1].last)
    own = "{}.{}".format(*linux.version)
    return f"not known: ptmap knows its place in {versions}, and this is {own}"


@dataclass(frozen=True)
class _Known:
    """Of the pages of one kernel."""

    pages: tuple[str, ...]
    fields: Fields | None
    special: bool  # as in Layout
    layout: Layout | None  # as in Clock
    kernels_data: Callable[[], bytes | None]  # the data page, as the kernel has it
    why: str = ""  # no fields: why


def _known(linux: Kernel, copies: Copies, image: Image) -> _Known | None:
    structures = Structures(linux)
    kernels_data = partial(_kernels_data, linux)
    by_image = _pages_by_image(linux.symbols, structures, copies, image)
    # Types of another kernel say nothing of this one.
    pages = by_image or (_pages_by_enumeration(linux.symbols) if linux.offset is not None else None)
    if pages is not None:
        fields = _fields_by_types(linux, structures)
        why = "no loaded type has its place"
        return _Known(pages, fields, by_image is not None, None, kernels_data, why)
    for layout in _LAYOUTS:
        if linux.version is not None and layout.first <= linux.version <= layout.last:
            why = f"ptmap does not know its place in {layout}"
            return _Known(layout.pages, layout.fields, layout.special, layout, kernels_data, why)
    return None


def _pages_by_image(
    symbols: Symbols, structures: Structures, copies: Copies, image: Image
) -> tuple[str, ...] | None:
    """Until 6.14: struct vdso_image's sym_vvar_start and sym_*_page, offsets from the image."""
    found = next((copy.image for copy in copies.by_symbols if copy.elf.abi == image.elf.abi), None)
    if found is None:
        return None
    try:
        bits = 8 * structures.pointer
        start = structures.read(found, "vdso_image.sym_vvar_start") - (1 << bits)
        count = -start // PAGE
        if start % PAGE or not 0 < count <= 16:
            return None
        names = [""] * count
        for field in symbols.members("vdso_image"):
            if field.startswith("sym_") and field.endswith("_page"):
                at = structures.read(found, f"vdso_image.{field}") - (1 << bits) - start
                if at % PAGE == 0 and 0 <= at < count * PAGE:
                    name = field[len("sym_") : -len("_page")]
                    names[at // PAGE] = "data" if name == "vvar" else name
    except (NoType, Unreadable):
        return None
    return tuple(names) if "data" in names else None


def _pages_by_enumeration(symbols: Symbols) -> tuple[str, ...] | None:
    """Since 6.15: enum vdso_pages, such as VDSO_TIMENS_PAGE_OFFSET = 1."""
    values = symbols.enumerators("vdso_pages")
    count = values.get("VDSO_NR_PAGES", 0)
    if not 0 < count <= 16:
        return None
    names = ["arch"] * count
    for name, value in values.items():
        word = name.removeprefix("VDSO_").removesuffix("_PAGE_OFFSET")
        if name == f"VDSO_{word}_PAGE_OFFSET" and value < count:
            names[value] = "data" if word == "TIME" else word.lower()
    return (*names, *_VCLOCK_PAGES) if "data" in names else None


def _guessed(space: AddressSpace, image: Image) -> list[VvarPage]:
    """The user's read-only pages that end where the image begins, at most 16."""
    pages: list[VvarPage] = []
    while len(pages) < 16 and image.va >= (len(pages) + 1) * PAGE:
        page = _page(space, image.va - (len(pages) + 1) * PAGE, None)
        if not page.mapped or not page.walk.user or page.walk.write:
            break
        pages.insert(0, page)
    return pages


def _page(space: AddressSpace, va: int, name: str | None, special: bool = True) -> VvarPage:
    return VvarPage(va, name, walks.walk(space, va), special)


# Their fields


def _clock(space: AddressSpace, pages: list[VvarPage], known: _Known) -> tuple[Clock | None, str]:
    places = known.fields
    assert places is not None
    by_name = {page.name: page for page in pages}
    data = by_name["data"]
    raw = _content(space, data) if data.mapped else known.kernels_data()
    if raw is None:
        return None, (
            "not known: the data page is not mapped, and only symbols tell where the kernel has it "
            "(`ptmap kaslr VMLINUX` loads them)"
        )
    in_namespace = _number(raw, places.clock_mode) == _TIMENS
    if in_namespace:
        # In a time namespace "data" and "timens" are swapped (arch/x86/entry/vdso/vma.c).
        timens = by_name.get("timens")
        raw = _content(space, timens) if timens is not None else None
        if raw is None:
            return None, "not known: the time namespace's data page is not mapped"
    mode, shift = _number(raw, places.clock_mode), _number(raw, places.shift)
    if mode not in {known.value for known in ClockMode}:
        return None, f"not decoded: its mode {mode:#x} is not known"
    if shift > 63:
        return None, f"not decoded: its shift {shift:#x} is more than 63 bits"
    return (
        Clock(
            known.layout,
            _number(raw, places.seq),
            ClockMode(mode),
            _number(raw, places.mult),
            shift,
            in_namespace,
            from_kernel=not data.mapped,
        ),
        "",
    )


def _number(raw: bytes, at: int) -> int:
    return int.from_bytes(raw[at : at + 4], "little")


def _fields_by_types(linux: Kernel, structures: Structures) -> Fields | None:
    """By the types of vmlinux."""
    try:
        if structures.has("vdso_time_data.clock_data"):
            first, name = structures.at(0, "vdso_time_data.clock_data"), "vdso_clock"
        else:
            page, data = linux.symbol("__vvar_page"), linux.symbol("_vdso_data")
            if page is None or data is None or not 0 <= data - page < PAGE:
                return None
            first, name = data - page, "vdso_data"
        places = [structures.at(first, f"{name}.{one.name}") for one in fields(Fields)]
    except NoType:
        return None
    return Fields(*places)


def _kernels_data(linux: Kernel) -> bytes | None:
    """The data page in the kernel's memory, by symbol."""
    where = linux.symbol("__vvar_page") or linux.word("vdso_k_time_data")
    try:
        return linux.memory.read(where, PAGE) if where else None
    except Unreadable:
        return None


def _content(space: AddressSpace, page: VvarPage) -> bytes | None:
    if not page.mapped:
        return None
    with space.memory.reading():
        (content,) = space.memory([(page.walk.pa, PAGE)])
    return content if isinstance(content, bytes) else None
