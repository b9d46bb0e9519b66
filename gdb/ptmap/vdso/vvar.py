"""The vvar pages: data that the vDSO's functions read instead of calling the kernel.

They lie before the image. Their order and their fields come from the types of vmlinux; without
types, from a table of the versions whose source was read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..debugger import lookup
from ..linux.kernel import Kernel, is_special
from ..linux.structures import NoType, Structures
from ..spaces.address_space import AddressSpace
from ..spaces.virtual_memory import Unreadable
from .elf_images import PAGE, Image
from .vdso_images import Copies

if TYPE_CHECKING:
    from .._core import Walk

# arch/x86/entry/vdso/vdso-layout.lds.S: (first and last version, the pages by rising address).
_PAGES = (
    ((4, 19), (5, 5), ("data", "pvclock", "hvclock")),
    ((5, 6), (6, 9), ("data", "pvclock", "hvclock", "timens")),
)
# struct vsyscall_gtod_data (arch/x86/include/asm/vgtod.h) until 5.2, then struct vdso_data
# (include/vdso/datapage.h) with the same beginning; at offset 128 (arch/x86/include/asm/vvar.h).
_DATA_AT = 128
_FIELDS = {"seq": (0, 4), "clock_mode": (4, 4), "mult": (24, 4), "shift": (28, 4)}

# VDSO_CLOCKMODE_*, include/vdso/clocksource.h and arch/x86/include/asm/vdso/clocksource.h;
# VCLOCK_* before 5.7.
CLOCK_MODES = {0: "NONE", 1: "TSC", 2: "PVCLOCK", 3: "HVCLOCK"}
_TIMENS = 0x7FFFFFFF  # VDSO_CLOCKMODE_TIMENS: the data is in the page "timens"


@dataclass(frozen=True)
class VvarPage:
    """A vvar page, as the process has it."""

    va: int
    name: str | None
    walk: Walk

    @property
    def mapped(self) -> bool:
        return bool(self.walk.outcome == "mapped")

    @property
    def is_other(self) -> bool:
        """Whether another page is mapped at its address: the vDSO was moved, or is not there."""
        if self.name is None or not self.mapped:
            return False
        return not self.walk.user or self.walk.write or not is_special(self.walk)


@dataclass(frozen=True)
class Clock:
    """The fields from which the vDSO computes the time."""

    layout: str  # how the fields are known: "types", "Linux 5.6 to 6.9"
    seq: int  # odd while the kernel changes the fields
    clock_mode: str
    mult: int  # nanoseconds per cycle, << shift
    shift: int
    in_namespace: bool  # the process is in a time namespace
    from_kernel: bool  # the process has not mapped the data: read from the kernel's memory

    @property
    def without_syscall(self) -> bool:
        """Whether CLOCK_REALTIME and CLOCK_MONOTONIC need no system call."""
        return self.clock_mode in ("TSC", "PVCLOCK", "HVCLOCK")


@dataclass(frozen=True)
class Vvar:
    """The pages before a vDSO."""

    pages: list[VvarPage]
    clock: Clock | None
    no_clock: str = ""  # why there is no clock, if one was searched

    @property
    def notes(self) -> list[str]:
        return [f"clock: {self.no_clock}"] if self.no_clock else []


def of(space: AddressSpace, image: Image, linux: Kernel | None, copies: Copies | None) -> Vvar:
    names, layout = _names(linux, copies, image)
    if names is None or image.va < len(names) * PAGE:
        return Vvar(_guessed(space, image), None)
    pages = [
        _page(space, image.va - (len(names) - index) * PAGE, name)
        for index, name in enumerate(names)
    ]
    if linux is None or copies is None or not layout:
        return Vvar(pages, None)
    if any(page.is_other for page in pages):
        return Vvar(pages, None, "not known: other pages are where its data should be")
    return Vvar(pages, *_clock(space, pages, linux, copies, layout))


def _names(
    linux: Kernel | None, copies: Copies | None, image: Image
) -> tuple[tuple[str, ...] | None, str]:
    """The pages' names; how they are known: "types", "Linux 5.6 to 6.9" or ""."""
    if linux is None or copies is None:
        return None, ""
    named = _by_types(linux, copies, image)
    if named is not None:
        return named, "types"
    if linux.version is not None:
        for first, last, names in _PAGES:
            if first <= linux.version <= last:
                return names, f"Linux {first[0]}.{first[1]} to {last[0]}.{last[1]}"
    return None, ""


def _by_types(linux: Kernel, copies: Copies, image: Image) -> tuple[str, ...] | None:
    """struct vdso_image's sym_vvar_start and sym_*_page, offsets from the image."""
    found = next((copy.image for copy in copies.by_symbols if copy.elf.abi == image.elf.abi), None)
    if found is None:
        return None
    structures = Structures(linux)
    try:
        bits = 8 * structures.pointer
        start = structures.read(found, "vdso_image.sym_vvar_start") - (1 << bits)
        count = -start // PAGE
        if start % PAGE or not 0 < count <= 16:
            return None
        names = [""] * count
        for field in lookup.members("vdso_image"):
            if field.startswith("sym_") and field.endswith("_page"):
                at = structures.read(found, f"vdso_image.{field}") - (1 << bits) - start
                if at % PAGE == 0 and 0 <= at < count * PAGE:
                    name = field[len("sym_") : -len("_page")]
                    names[at // PAGE] = "data" if name == "vvar" else name
    except (NoType, Unreadable):
        return None
    return tuple(names) if "data" in names else None


def _guessed(space: AddressSpace, image: Image) -> list[VvarPage]:
    """The user's read-only pages that end where the image begins, at most 16."""
    pages: list[VvarPage] = []
    while len(pages) < 16 and image.va >= (len(pages) + 1) * PAGE:
        page = _page(space, image.va - (len(pages) + 1) * PAGE, None)
        if not page.mapped or not page.walk.user or page.walk.write:
            break
        pages.insert(0, page)
    return pages


def _page(space: AddressSpace, va: int, name: str | None) -> VvarPage:
    return VvarPage(va, name, space.walk(va))


# Their fields


def _clock(
    space: AddressSpace, pages: list[VvarPage], linux: Kernel, copies: Copies, layout: str
) -> tuple[Clock | None, str]:
    fields, at = _FIELDS, _DATA_AT
    if layout == "types":
        known = _typed(linux)
        if known is None:
            return None, "not known: the types loaded have no struct vdso_data"
        fields, at = known
    names = [page.name for page in pages]
    raw = _data(space, pages[names.index("data")], linux, copies)
    if raw is None:
        return None, (
            "not known: the data page is not mapped, and only symbols tell where the kernel has it "
            "(`ptmap kaslr VMLINUX` loads them)"
        )
    values = _values(raw, fields, at)
    in_namespace = values["clock_mode"] == _TIMENS
    if in_namespace:
        # In a time namespace "data" and "timens" are swapped (arch/x86/entry/vdso/vma.c).
        raw = None
        if "timens" in names:
            raw = _content(space, pages[names.index("timens")])
        if raw is None:
            return None, "not known: the time namespace's data page is not mapped"
        values = _values(raw, fields, at)
    mode = values["clock_mode"]
    name = CLOCK_MODES.get(mode)
    if name is None:
        return None, f"not decoded: its mode {mode:#x} is not known"
    if values["shift"] > 63:
        return None, f"not decoded: its shift {values['shift']:#x} is more than 63 bits"
    from_kernel = not pages[names.index("data")].mapped
    return (
        Clock(
            layout, values["seq"], name, values["mult"], values["shift"], in_namespace, from_kernel
        ),
        "",
    )


def _typed(linux: Kernel) -> tuple[dict[str, tuple[int, int]], int] | None:
    """The fields by the types of vmlinux, and the structure's offset in its page."""
    structures = Structures(linux)
    page, data = linux.symbol("__vvar_page"), linux.symbol("_vdso_data")
    if page is None or data is None or not 0 <= data - page < PAGE:
        return None
    try:
        fields = {}
        for name in _FIELDS:
            field = f"vdso_data.{name}"
            fields[name] = structures.at(0, field), structures.member(field).size
        return fields, data - page
    except NoType:
        return None


def _values(raw: bytes, fields: dict[str, tuple[int, int]], at: int) -> dict[str, int]:
    return {
        name: int.from_bytes(raw[at + place : at + place + size], "little")
        for name, (place, size) in fields.items()
    }


def _data(space: AddressSpace, page: VvarPage, linux: Kernel, copies: Copies) -> bytes | None:
    """The data page's bytes: from the process, or else from the kernel's memory, by symbol."""
    if page.mapped:
        return _content(space, page)
    where = linux.symbol("__vvar_page")
    try:
        return linux.memory.read(where, PAGE) if where is not None else None
    except Unreadable:
        return None


def _content(space: AddressSpace, page: VvarPage) -> bytes | None:
    if not page.mapped:
        return None
    with space.memory.reading():
        (content,) = space.memory([(page.walk.pa, PAGE)])
    return content if isinstance(content, bytes) else None
