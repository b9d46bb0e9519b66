"""The parts of Linux's address space, as labels. Each says how it is known:

    read        from a variable or symbol of this kernel
    deduced     from the shape of its tables
    documented  it is the same in every kernel of this mode: Documentation/x86/x86_64/mm.rst and
                arch/x86/include/asm/pgtable_{32,64}_areas.h, vsyscall.h, fixmap.h
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Sequence

from ..base.interval import Interval
from ..spaces import walks
from ..spaces.labels import Label, Part
from ..spaces.maps import beginning_in, pa
from .kernel import Kernel
from .shape import CPU_ENTRY_AREA_64, GIB, IMAGE_64, IMAGE_64_END, MIB, cpu_entry_area_32, lowmem_32

if TYPE_CHECKING:
    from .._core import Range

_TIB = 1 << 40

# Addresses that no configuration moves: (start, end, name).
_FIXED_64 = (
    (CPU_ENTRY_AREA_64, 0xFFFFFE8000000000, "cpu_entry_area"),
    (0xFFFFFF0000000000, 0xFFFFFF8000000000, "espfix"),
    (0xFFFFFFEF00000000, 0xFFFFFFFF00000000, "EFI runtime"),
)
_MODULES_END = 0xFFFFFFFFFF000000
_VSYSCALL, _FIXADDR_END_64 = 0xFFFFFFFFFF600000, 0xFFFFFFFFFF800000  # vsyscall is in the fixmap

# Without KASLR: (LDT remap, direct map, vmalloc, its end, vmemmap, its end, KASAN, its end).
_BASES = {
    "4-level": (0xFFFF880000000000, 0xFFFF888000000000, 0xFFFFC90000000000, 0xFFFFE90000000000,
                0xFFFFEA0000000000, 0xFFFFEB0000000000, 0xFFFFEC0000000000, 0xFFFFFC0000000000),
    "5-level": (0xFF10000000000000, 0xFF11000000000000, 0xFFA0000000000000, 0xFFD2000000000000,
                0xFFD4000000000000, 0xFFD6000000000000, 0xFFDF000000000000, 0xFFFFFC0000000000),
}  # fmt: skip
_VMALLOC_SIZE = {"4-level": 32 * _TIB, "5-level": 12800 * _TIB}

_FIXADDR_TOP_32 = 0xFFFFF000  # unless reservetop= moves it
_VMALLOC_OFFSET_32 = 8 * MIB


def labels(kernel: Kernel) -> list[Label]:
    """By rising address, without overlaps. Includes parts that have nothing mapped."""
    if kernel.place is not None and kernel.upper.unread:
        # Ctrl-C ended the reading of tables: only symbols tell something.
        found = [part.label for part in _image(kernel)]
    elif kernel.space.paging.canonical:
        found = _labels_64(kernel)
    else:
        found = _labels_32(kernel)
    return sorted(found, key=lambda label: label.start)


# 64-bit


def _labels_64(kernel: Kernel) -> list[Label]:
    found = [Label(*row, "documented") for row in _FIXED_64]
    found.append(Label(_VSYSCALL, _VSYSCALL + 0x1000, "vsyscall", "documented"))
    found += _fixmap(kernel, _MODULES_END, _VSYSCALL)
    found.append(Label(_VSYSCALL + 0x1000, _FIXADDR_END_64, "fixmap", "documented"))
    image = _image(kernel)
    found += [part.label for part in image] + _gaps(image)
    image_end = max(label.end for label in found if IMAGE_64 <= label.start < IMAGE_64_END)
    image_end = -(-image_end // (2 * MIB)) * 2 * MIB  # its last large page is mapped whole
    # MODULES_VADDR is the end of the largest image, 512 MiB or, with KASLR, 1 GiB.
    modules = IMAGE_64_END
    between = beginning_in(kernel.ranges, image_end, modules)
    if between:
        modules = min(between[0].va, IMAGE_64 + GIB // 2)
    found.append(Label(modules, _MODULES_END, "modules", "deduced" if between else "documented"))
    return found + _big_areas(kernel)


def _fixmap(kernel: Kernel, lowest: int, end: int) -> list[Label]:
    """Its beginning depends on the configuration. The label begins at the first mapped page."""
    pages = beginning_in(kernel.ranges, lowest, end)
    return [Label(pages[0].va, end, "fixmap", "documented")] if pages else []


class _Part(NamedTuple):
    """A part of the kernel's image."""

    name: str  # "text"
    label: Label


def _gaps(image: list[_Part]) -> list[Label]:
    """The freed gaps between the image's parts. The kernel's own messages have these names
    (free_kernel_image_pages(), arch/x86/mm/init.c)."""
    return [
        Label(
            before.label.end,
            after.label.start,
            f"{before.name}/{after.name} gap",
            after.label.source,
        )
        for before, after in zip(image, image[1:])
    ]


def _image(kernel: Kernel) -> list[_Part]:
    """Text, rodata and data, by symbols or by their rights."""
    image = kernel.image
    parts: tuple[tuple[str, Interval | None, str, str], ...] = (
        ("text", image.text, "_text", "_etext"),
        ("rodata", image.rodata, "__start_rodata", "__end_rodata"),
        ("data", image.data, "_sdata", "_end"),
    )
    if image.is_one and kernel.offset is None:
        parts = (("image", image.text, "_text", "_end"),)
    found = []
    for name, part, first, last in parts:
        start, end = kernel.symbol(first), kernel.symbol(last)
        if start is not None and end is not None:
            label = Label(start, -(-end // 0x1000) * 0x1000, f"kernel {name}", "read")
        elif part is not None:
            label = Label(part.first, part.end, f"kernel {name}", "deduced")
        else:
            continue
        found.append(_Part(name, label))
    return found


def _big_areas(kernel: Kernel) -> list[Label]:
    """Direct map, vmalloc, vmemmap: KASLR moves them, each by a multiple of 1 GiB."""
    mode = kernel.space.mode
    ldt, direct, vmalloc, vmalloc_end, vmemmap, vmemmap_end, kasan, kasan_end = _BASES[mode]
    found = []
    memory = _direct_map(kernel, direct)
    if memory is None:
        return []
    bases = [kernel.word(f"{name}_base") for name in ("page_offset", "vmalloc", "vmemmap")]
    struct_pages = -(-(memory.size // 64) // (2 * MIB)) * 2 * MIB
    if None not in bases:
        direct, vmalloc, vmemmap = (base or 0 for base in bases)
        source = "read"
        vmalloc_end, vmemmap_end = vmalloc + _VMALLOC_SIZE[mode], vmemmap + max(struct_pages, GIB)
    elif memory.first == direct:
        source = "documented"
        found.append(Label(kasan, kasan_end, "KASAN shadow", source))
    elif kernel.upper.cut:
        return [Label(memory.first, memory.end, "direct map", "deduced", Part.DIRECT_MAP)]
    else:
        direct, source = memory.first, "deduced"
        others = beginning_in(kernel.ranges, memory.end, CPU_ENTRY_AREA_64)
        found_there = _vmemmap(others, struct_pages)
        vmemmap, vmemmap_end = found_there.first, found_there.end
        # The kernel allocates from vmalloc early in boot, and the first fit is its beginning.
        vmalloc = others[0].va // GIB * GIB if others else vmemmap
        vmalloc_end = min(vmemmap, vmalloc + _VMALLOC_SIZE[mode])
        if beginning_in(others, vmalloc_end, vmemmap):
            vmalloc_end = vmalloc  # a range that Linux does not have there: then nothing is certain
    found += [
        Label(direct, memory.end, "direct map", source, Part.DIRECT_MAP),
        Label(vmalloc, vmalloc_end, "vmalloc", source),
        Label(vmemmap, vmemmap_end, "vmemmap", source),
    ]
    ldt_end = min(ldt + _TIB // 2, memory.first)
    if beginning_in(kernel.ranges, ldt, ldt_end):
        found.append(Label(ldt, ldt_end, "LDT remap", "documented"))
    return [label for label in found if label.start < label.end]


def _direct_map(kernel: Kernel, lowest: int) -> Interval | None:
    """Physical memory mapped at one distance, a multiple of 1 GiB. It begins where physical 0 would
    be and ends with the last such range."""
    rows = beginning_in(kernel.ranges, lowest, CPU_ENTRY_AREA_64)
    if not rows:
        return None
    base = rows[0].va - pa(rows[0])
    if base % GIB or pa(rows[0]) >= MIB:
        return None
    end = base
    for r in rows:
        if r.va - pa(r) != base:
            break
        end = r.va + r.size
    return Interval.until(base, end)


def _vmemmap(others: Sequence[Range], struct_pages: int) -> Interval:
    """It has 64 bytes for each page of RAM, in 2 MiB pages, begins at a multiple of 1 GiB and is
    the last area below the cpu_entry_area."""
    for r in others:
        if r.va % GIB == 0 and r.page_sizes & 2:
            end = others[-1].va + others[-1].size
            if end <= r.va + struct_pages:
                return Interval.until(r.va, end)
    return Interval.until(CPU_ENTRY_AREA_64, CPU_ENTRY_AREA_64)


# 32-bit


def _labels_32(kernel: Kernel) -> list[Label]:
    """From the top: fixmap, cpu_entry_area, LDT remap, pkmap, vmalloc, lowmem. cpu_entry_area, LDT
    remap and pkmap each begin one page directory entry below the next (pgtable_32_areas.h)."""
    span = kernel.space.paging.levels[-2].entry_span
    lowmem = lowmem_32(kernel.ranges)
    if not lowmem:  # early in boot
        return _image_32(kernel)
    start, end = lowmem[0].va, lowmem[-1].va + lowmem[-1].size
    found = []
    image = [label for label in _image_32(kernel) if start <= label.start < end]
    at = start
    for label in sorted(image, key=lambda label: label.start):
        found += [Label(at, label.start, "lowmem", "deduced", Part.LOWMEM), label]
        at = label.end
    found.append(Label(at, end, "lowmem", "deduced", Part.LOWMEM))
    area = cpu_entry_area_32(kernel.ranges, span)
    if area is not None:
        area_end = _end_of_run(beginning_in(kernel.ranges, area, 1 << 32))
        ldt, pkmap = area - span, area - 2 * span
        found += [
            Label(area, area_end, "cpu_entry_area", "deduced"),
            *_fixmap(kernel, area_end, _FIXADDR_TOP_32),
            Label(ldt, area, "LDT remap", "deduced"),
        ]
        highmem = _has_highmem(kernel, pkmap)
        limit = pkmap if highmem else ldt
        if highmem:
            found.append(Label(pkmap, ldt, "pkmap", "deduced"))
        vmalloc = (end + _VMALLOC_OFFSET_32) & ~0xFFF
        found.append(Label(vmalloc, limit - 0x2000, "vmalloc", "deduced"))
    return [label for label in found if label.start < label.end]


def _image_32(kernel: Kernel) -> list[Label]:
    image = _image(kernel)
    found = {part.name: part.label for part in image}
    if kernel.image.rodata is None and "text" in found and "rodata" not in found:
        # Without NX, or before the kernel sets it, text and rodata look alike.
        text = found["text"]
        found["text"] = Label(text.start, text.end, "kernel text and rodata", text.source)
    return list(found.values())


def _has_highmem(kernel: Kernel, pkmap: int) -> bool:
    """A kernel with CONFIG_HIGHMEM has a page table for pkmap from boot on."""
    space = kernel.space
    return len(walks.walk(space, pkmap).steps) == len(space.paging.levels)


def _end_of_run(ranges: Sequence[Range], hole: int = 16 << 12) -> int:
    """Where the area ends: its parts lie a few guard pages apart, the fixmap begins far behind."""
    end = int(ranges[0].va)
    for r in ranges:
        if r.va - end > hole:
            break
        end = r.va + r.size
    return end
