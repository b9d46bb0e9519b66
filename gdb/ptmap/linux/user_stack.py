"""Where a process's stack is: by the stack pointer, or on Linux by where exec puts it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base.interval import Interval
from ..spaces import kpti, scanned, split, walks
from ..spaces.address_space import AddressSpace
from ..spaces.labels import Label, Part
from ..spaces.registers import Registers
from .kernel import Kernel, is_special

if TYPE_CHECKING:
    from .._core import Map, Range


def labels(
    space: AddressSpace, linux: Kernel | None, registers: Registers, shown: Interval
) -> list[Label]:
    """At most one. REGISTERS: the selected CPU's. SHOWN: the offsets that will be shown; a stack
    outside of them is not looked for."""
    pointer = _pointer(space, registers)
    if pointer is not None:
        reach = Interval(pointer - _STACK_REACH, pointer + _STACK_REACH + _PROTECTED + _HOLE)
        if not _touch(space, shown, reach):
            return []
        found = _by_pointer(space, linux, pointer)
    else:
        found = None
    if found is None and linux is not None:
        found = of_linux(space, linux, shown)
    return [Label(found.first, found.end, "stack", "deduced", Part.STACK)] if found else []


def _touch(space: AddressSpace, shown: Interval, part: Interval) -> bool:
    """Whether any of these addresses is in the user's part and will be shown."""
    users_last = (space.paging.upper_part or 1 << 32) - 1
    return shown.overlaps(Interval(part.first, min(part.last, users_last)))


# The map that is shown may be a window, filtered or split: a map of its own finds the stack.
_STACK_REACH = 64 << 20  # how far from the stack pointer, up and down, the stack is looked for


def _pointer(space: AddressSpace, registers: Registers) -> int | None:
    """The stack pointer, if the CPU is in user mode in this space and the pointer points to a user
    page, or just behind one."""
    pair = kpti.roots(space)
    roots = (space.root,) if pair is None else (pair.kernel, pair.user)
    if registers.cs is None or registers.cs & 3 != 3 or registers.sp is None:
        return None
    if registers.cr3 is None or space.paging.root_of(registers.cr3) not in roots:
        return None
    if not space.paging.translatable(registers.sp):
        return None
    found = (walks.walk(space, va) for va in _at_pointer(registers.sp) if va >= 0)
    has_page = any(walk.outcome == "mapped" and walk.user for walk in found)
    return registers.sp if has_page else None


def _at_pointer(pointer: int) -> tuple[int, int]:
    """Where a stack's page may be: the pointer of an empty stack points just behind it."""
    return pointer, pointer - 1


def _by_pointer(space: AddressSpace, linux: Kernel | None, pointer: int) -> Interval | None:
    """The range that the stack pointer points into."""
    made = _around(space, pointer - _STACK_REACH, pointer + _STACK_REACH)
    for address in _at_pointer(pointer):
        if (found := made.at(address)) and found.user:
            return _whole(space, linux, made, found) if linux else _interval(found)
    return None


# Linux's exec puts the stack within this distance of the end of the user's part. All else there
# (vvar and vdso) is read-only, and mmap begins below it (fs/binfmt_elf.c, arch/x86/mm/mmap.c,
# STACK_RND_MASK in asm/elf.h).
_TASK_SIZE_64, _ROOM_64 = 0x7FFFFFFFF000, 16 << 30
TASK_SIZE_COMPAT, _ROOM_32 = 0xFFFFE000, 8 << 20


def of_linux(
    space: AddressSpace, linux: Kernel, shown: Interval = Interval(0, 1 << 64)
) -> Interval | None:
    """The highest range there that the process can write. For a CPU in kernel mode, and for a space
    that is not the CPU's. A stack outside of the offsets SHOWN need not be found."""
    if space.paging.canonical:
        places = [(_TASK_SIZE_64, _ROOM_64), (TASK_SIZE_COMPAT, _ROOM_32)]
    else:
        places = [(split.split_of(space) or 0, _ROOM_32)]
    for end, room in places:
        reach = [Interval(top - size, top + _PROTECTED + _HOLE) for top, size in places]
        if not any(_touch(space, shown, one) for one in reach):
            return None
        made = _around(space, end - room, end)
        if found := made.last_user_write(max(end - room, 0), end):
            return _whole(space, linux, made, found)
    return None


# A stack has holes, pages that were never touched: exec moves the stack pointer by up to 8 KiB
# (arch_align_stack), and large stack frames make larger holes. Linux maps nothing else in the 256
# pages below a stack (stack_guard_gap in mm/mmap.c, since 4.12).
_GUARD_GAP = 1 << 20


# exec fills the stack's upper end. After a fork that end, and the pages beside exec's hole, are
# write-protected until somebody writes there. The vDSO and its data may be above the stack
# (vdso_addr() in arch/x86/entry/vdso/vma.c).
_PROTECTED, _HOLE = 8 << 20, 2 << 12


def _interval(found: Range) -> Interval:
    return Interval.of_size(found.va, found.size)


def _whole(space: AddressSpace, linux: Kernel, made: Map, found: Range) -> Interval:
    around = made.user_write_around(found.va, _GUARD_GAP - 1)
    part = Interval(*around) if around else _interval(found)
    page, end, limit = part.end, part.end, part.end + _PROTECTED
    while page < min(limit, end + _HOLE + 1) and space.paging.translatable(page):
        walk = walks.walk(space, page)
        if walk.outcome == "mapped":
            if not walk.user or is_special(walk) or linux.image_address(walk.pa) is not None:
                break
            end = page + 0x1000
        page += 0x1000
    return Interval.until(part.first, end)


def _around(space: AddressSpace, first: int, end: int) -> Map:
    """A merged map of these addresses of the user's part."""
    last = min(end - 1, (space.paging.upper_part or 1 << 32) - 1)
    return scanned.of(space).around(max(first, 0), max(last, 0))
