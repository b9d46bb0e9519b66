"""Where a kernel and its direct map are, by its symbols and a stub that reads linear addresses.

For targets that show no control registers and no physical memory: kgdb. GDB may have the symbols
at their link addresses although KASLR moved the kernel. The place found is proved: the kernel's own
tables, read through the direct map, must translate linux_banner to where it is.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable, Iterator, Sequence

from ..base import native
from ..base.errors import Refusal
from ..base.interval import Interval
from ..base.symbols import Symbols
from ..spaces.reader import Progress
from ..spaces.virtual_memory import Unreadable, VirtualMemory
from .shape import IMAGE_64, MIB

if TYPE_CHECKING:
    from .._core import Paging
    from ..spaces.address_space import AddressSpace

Read = Callable[[int, int], bytes | None]  # linear address and length; None if it is not there

_BANNER = re.compile(rb"Linux version (\d+)\.(\d+)")
_BANNER_SIZE = 32
_SLOT = 2 * MIB  # KASLR moves by a multiple of this, the smallest CONFIG_PHYSICAL_ALIGN in use
_SLOTS = 512  # within KERNEL_IMAGE_SIZE

# For kernels without page_offset_base: __PAGE_OFFSET_BASE_L4 and _L5, since Linux 4.20 and before.
_PAGE_OFFSETS = {
    "4-level": (0xFFFF888000000000, 0xFFFF880000000000),
    "5-level": (0xFF11000000000000, 0xFF10000000000000),
}
_PGDIR_SHIFT_5 = 48

_CR0 = 0x80050033  # CR0_STATE, arch/x86/include/uapi/asm/processor-flags.h

_PTI_WORD, _PTI_BIT = 7, 11  # X86_FEATURE_PTI, arch/x86/include/asm/cpufeatures.h

# struct e820_table, arch/x86/include/asm/e820/types.h, and its types that are memory: RAM, ACPI
# tables, ACPI NVS. On a PC everything below 1 MiB is RAM or ROM, except the window of VGA.
_E820_ENTRY, _E820_MAX, _E820_MEMORY = struct.Struct("<QQI"), 320, (1, 3, 4)
_E820_READ = 20 * 20  # bytes at once
_LOW = [Interval(0, 0x9FFFF), Interval(0xC0000, 0xFFFFF)]


@dataclass(frozen=True)
class Stub:
    """Something that reads linear addresses, and what the debugger knows of the kernel there."""

    read: Read
    symbols: Symbols
    progress: Progress


def through_tables(space: AddressSpace) -> Stub:
    """Reads by a space's own tables."""
    memory = VirtualMemory(space)

    def read(va: int, size: int) -> bytes | None:
        try:
            return memory.read(va, size)
        except Unreadable:
            return None

    return Stub(read, space.reader.symbols, space.reader.progress)


class Disproof(Refusal):
    """The kernel's own tables contradict the address of the direct map."""


@dataclass(frozen=True)
class Place:
    """Where a kernel is; the same until the machine boots again."""

    offset: int  # how far the kernel is above GDB's symbols
    banner: bytes  # the beginning of linux_banner
    banner_at: int
    pointer: int  # bytes
    mode: str
    page_offset: int  # the linear address of physical 0: the direct map
    end: int  # where the direct map ends, physical
    image: int  # linear minus physical address of the kernel's image
    text: int  # where the image begins
    image_end: int
    root: int  # of init_mm, physical
    nxe: bool
    pti: bool | None  # None: not known
    ram: Sequence[Interval]  # sorted

    @property
    def registers(self) -> tuple[int, int, int]:
        """CR0, CR4 and EFER as Linux sets them, as far as they decide what an entry means."""
        bits = ["SCE", "LME"] if self.pointer == 8 else []
        bits += ["NXE"] if self.nxe else []
        efer = native.core.register_mask("EFER", *bits)
        return native.core.registers_for(self.mode, _CR0, 0, efer)

    @property
    def version(self) -> tuple[int, int]:
        found = _BANNER.match(self.banner)
        return (int(found[1]), int(found[2])) if found else (0, 0)

    @property
    def known(self) -> list[tuple[int, int, int]]:
        """The image and the direct map, for which no tables need to be read: (address, size,
        physical address)."""
        return [
            (self.text, self.image_end - self.text, self.text - self.image),
            (self.page_offset, self.end, 0),
        ]

    def is_same(self, stub: Stub) -> bool:
        """Whether the kernel is still there: no reboot, no other symbols."""
        linked = stub.symbols.link_address("linux_banner")
        if linked != self.banner_at - self.offset & self._mask:
            return False
        if stub.read(self.banner_at, len(self.banner)) != self.banner:
            return False
        base = _Variables(stub, self.offset, self.pointer).value("page_offset_base")
        return base in (None, self.page_offset)

    @property
    def _mask(self) -> int:
        return (1 << 8 * self.pointer) - 1


class _Variables:
    """The kernel's variables, OFFSET above their link addresses."""

    def __init__(self, stub: Stub, offset: int, pointer: int) -> None:
        self.offset, self.pointer = offset, pointer
        self._stub = stub

    def address(self, name: str) -> int | None:
        return address(self._stub.symbols, name, self.offset)

    def value(self, name: str, size: int = 0) -> int | None:
        """Of SIZE bytes, by default a pointer's; None if it is not known or not readable."""
        at = self.address(name)
        raw = self._stub.read(at, size or self.pointer) if at is not None else None
        return int.from_bytes(raw, "little") if raw is not None else None


def find(stub: Stub, pc: int | None, page_offset: int | None) -> Place:
    """PC: of a CPU that runs the kernel. PAGE_OFFSET: the direct map's address, if the user set it.

    Error: Refusal if there are no symbols, or not this kernel's; Disproof.
    """
    symbols = stub.symbols
    linked = symbols.link_address("linux_banner")
    if linked is None:
        raise Refusal("no kernel's symbols are loaded (`file VMLINUX` before `target remote`)")
    text, end = symbols.link_address("_text"), symbols.link_address("_end")
    if text is None or end is None:
        raise Refusal("the symbols loaded have no _text and _end")
    pointer = symbols.size_of_type("unsigned long") or 8
    offset, banner = kaslr_offset(stub, pc, text, end, linked) or (0, b"")
    if not banner:
        raise Refusal("the symbols loaded are not this kernel's: no linux_banner where it would be")
    failed = ""
    for place in _candidates(stub, _Variables(stub, offset, pointer), banner, page_offset):
        why = _disproof(place, stub.read)
        if not why:
            return place
        failed = why
    if failed:
        raise Disproof(failed)
    raise Refusal("the symbols loaded do not tell where the direct map is")


def kaslr_offset(
    stub: Stub, pc: int | None, text: int, end: int, linked_banner: int, banner: bytes | None = None
) -> tuple[int, bytes] | None:
    """How far the kernel is above its link addresses, and the beginning of linux_banner there; None
    if it is not found.

    First tries 0, then each offset that puts PC into the image, then all others: PC may be a
    module's.
    """
    mask = (1 << 32) - 1 if linked_banner < 1 << 32 else (1 << 64) - 1

    def tries() -> Iterator[int]:
        yield 0
        if pc is not None:
            # The slots for which TEXT <= PC - offset < END.
            first, last = -(-(pc - end + 1) // _SLOT), (pc - text) // _SLOT
            if last - first < _SLOTS:
                yield from (slot * _SLOT for slot in range(last, first - 1, -1) if slot)
        yield from (slot * _SLOT for slot in range(1, _SLOTS))

    tried: set[int] = set()
    for offset in tries():
        at = linked_banner + offset
        if offset in tried or not 0 <= at <= mask - _BANNER_SIZE:
            continue
        tried.add(offset)
        stub.progress.placing(len(tried), _SLOTS)
        found = stub.read(at, len(banner) if banner else _BANNER_SIZE)
        if found is not None and (found == banner if banner else _BANNER.match(found)):
            return offset, found
    return None


def _candidates(
    stub: Stub, variables: _Variables, banner: bytes, given: int | None
) -> Iterator[Place]:
    """The places that the variables allow; several if they do not tell the mode or direct map."""
    at, value, pointer = variables.address, variables.value, variables.pointer
    text, end = at("_text"), at("_end")
    banner_at = at("linux_banner") or 0
    root = at("init_top_pgt") or at("swapper_pg_dir")
    if text is None or end is None or root is None:
        return
    supported = value("__supported_pte_mask", 8)
    physical_end = value("max_pfn" if pointer == 8 else "max_low_pfn") or 0
    pages = value("max_pfn") or 0
    ram = _ram(stub.read, value("e820_table")) or [*_LOW, Interval.until(1 << 20, pages << 12)]
    capability = value(f"boot_cpu_data.x86_capability[{_PTI_WORD}]", 4)
    for mode, page_offset, image in _modes(stub.symbols, variables, physical_end, given):
        yield Place(
            variables.offset,
            banner,
            banner_at,
            pointer,
            mode,
            page_offset,
            physical_end << 12,
            image,
            text,
            end,
            root - image & (1 << 8 * pointer) - 1,
            nxe=mode != "32-bit" and bool((supported or 1 << 63) >> 63),
            pti=None if capability is None else bool(capability >> _PTI_BIT & 1),
            ram=ram,
        )


def _modes(
    symbols: Symbols, variables: _Variables, low_pages: int, given: int | None
) -> Iterator[tuple[str, int, int]]:
    """Mode, direct map, and linear minus physical address of the image."""
    if variables.pointer == 8:
        # Never changes after the kernel starts. Some versions free __pgtable_l5_enabled.
        five = variables.value("pgdir_shift", 4) == _PGDIR_SHIFT_5
        mode = "5-level" if five else "4-level"
        # How much further KASLR moved the physical addresses than the linear ones; may be negative.
        moved = variables.value("phys_base") or 0
        image = IMAGE_64 - (moved - (1 << 64) if moved >> 63 else moved)
        base = given if given is not None else variables.value("page_offset_base")
        for page_offset in _PAGE_OFFSETS[mode] if base is None else (base,):
            yield mode, page_offset, image
        return
    base = given
    if base is None:
        high = variables.value("high_memory")
        if high is None or not low_pages:
            return
        base = high - (low_pages << 12)
    known = symbols.size_of_type("pte_t")
    for size in (4, 8) if known is None else (known,):  # without types _disproof() decides
        yield "pae" if size == 8 else "32-bit", base, base


def _disproof(place: Place, read: Read) -> str:
    """Why the kernel cannot be at this place; "" if its tables agree."""
    walk = native.core.walk(
        paging(place),
        place.root,
        place.banner_at,
        lambda wanted: [
            read(place.page_offset + pa & place._mask, size) or "unreadable" for pa, size in wanted
        ],
    )
    if walk.outcome == "mapped" and walk.pa == place.banner_at - place.image:
        return ""
    return (
        f"no direct map at {place.page_offset:#x}: the kernel's tables, read there, do not "
        "translate linux_banner to where it is"
    )


def paging(place: Place) -> Paging:
    """A _core.Paging for init_mm."""
    cr0, cr4, efer = place.registers
    return native.core.Paging(cr0=cr0, cr3=place.root, cr4=cr4, efer=efer, maxphyaddr=52)


def _ram(read: Read, table: int | None) -> list[Interval]:
    """By the e820_table at TABLE; [] if there is none (before Linux 4.12) or it is empty."""
    count = int.from_bytes(read(table, 4) or b"", "little") if table else 0
    if not table or not 0 < count <= _E820_MAX:
        return []
    found = list(_LOW)
    raw = b""
    while len(raw) < count * _E820_ENTRY.size:
        part = read(table + 4 + len(raw), min(_E820_READ, count * _E820_ENTRY.size - len(raw)))
        if part is None:
            return []
        raw += part
    for first, size, kind in _E820_ENTRY.iter_unpack(raw):
        if kind in _E820_MEMORY and first + size > 1 << 20:
            found.append(Interval.until(max(first, 1 << 20), first + size))
    return sorted(found)


def address(symbols: Symbols, name: str, offset: int) -> int | None:
    """A symbol's address, with KASLR's offset; None if there is no such symbol."""
    linked = symbols.link_address(name)
    if linked is None:
        return None
    return linked + offset & (1 << (32 if linked < 1 << 32 else 64)) - 1
