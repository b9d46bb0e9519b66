"""All that is known of what lies where in a space, as one list of labels."""

from __future__ import annotations

from typing import Any

from . import elf_sections, native, summary, target
from .address_space import AddressSpace
from .labels import Label, layered, printable, to_pages
from .linux import kernel, layout, tasks, vmas

_APART = {"stack", "[stack]", "[heap]", "[vdso]"}  # never joined with others in an overview


class Known:
    """What a space's labels come from; `linux` is None where no Linux was recognised."""

    def __init__(self, space: AddressSpace, linux: kernel.Kernel | None) -> None:
        self.linux = linux
        self.kernel = layout.labels(linux) if linux else []
        self.all = to_pages(
            layered(self.kernel, elf_sections.labels(), _process(space, linux))
        )

    def core(self) -> list[Any]:
        """For the core: _core.Label."""
        label = native.core().Label
        kernels = set(self.kernel)
        return [
            label(one.start, one.end - 1, printable(one.name), one.source,
                  apart=one in kernels or one.name in _APART)
            for one in self.all
        ]  # fmt: skip


def of(space: AddressSpace) -> Known:
    return Known(space, kernel.find(space))


def _process(space: AddressSpace, linux: kernel.Kernel | None) -> list[Label]:
    named: list[Label] = []
    if linux and linux.offset is not None:
        task = tasks.task_of_root(linux, linux.space.root)
        if task is not None and task.mm:
            named = vmas.labels(linux, task.mm)
    if any(label.name == "[stack]" for label in named):
        return named
    return named + (_stack(space, linux is not None) or (_linux_stack(space) if linux else []))


# What is shown may be a window, filtered or split: the stack is looked for in a map of its own.
_STACK_REACH = 64 << 20  # of a stack that is shown whole, to either side of the stack pointer


def _stack(space: AddressSpace, is_linux: bool) -> list[Label]:
    """The range that the stack pointer points into, while the CPU is in user mode in this space."""
    registers = target.registers()
    pair = space.kpti_roots
    roots = (space.root,) if pair is None else (pair.kernel, pair.user)
    if registers.cs is None or registers.cs & 3 != 3 or registers.sp is None:
        return []
    if registers.cr3 is None or space.paging.root_of(registers.cr3) not in roots:
        return []
    if not space.paging.translatable(registers.sp):
        return []
    made = _around(space, registers.sp - _STACK_REACH, registers.sp + _STACK_REACH)
    # A stack pointer at the very top of an empty stack points behind it.
    for address in (registers.sp, registers.sp - 1):
        if (found := made.at(address)) and found.user:
            return [_linux_extent(made, found) if is_linux else _as_stack(found)]
    return []


# Where Linux's exec puts the stack: within this much of the end of the user's part, whatever else
# is mapped there (vvar and vdso) being read-only; mmap begins below (fs/binfmt_elf.c,
# arch/x86/mm/mmap.c, STACK_RND_MASK in asm/elf.h).
_TASK_SIZE_64, _ROOM_64 = 0x7FFFFFFFF000, 16 << 30
_TASK_SIZE_COMPAT, _ROOM_32 = 0xFFFFE000, 8 << 20


def _linux_stack(space: AddressSpace) -> list[Label]:
    """The highest range there that the process can write: in kernel mode, and of a space that is
    not the CPU's."""
    if space.paging.canonical:
        places = [(_TASK_SIZE_64, _ROOM_64), (_TASK_SIZE_COMPAT, _ROOM_32)]
    else:
        places = [(summary.split_of(space) or 0, _ROOM_32)]
    for end, room in places:
        made = _around(space, end - room, end)
        if found := made.last_user_write(max(end - room, 0), end):
            return [_linux_extent(made, found)]
    return []


# Of a stack some pages were never touched: exec leaves one out where it moves the stack pointer by
# up to 8 KiB (arch_align_stack), large frames more. Linux maps nothing else in the 256 pages below
# a stack (stack_guard_gap in mm/mmap.c, since 4.12).
_GUARD_GAP = 1 << 20


def _linux_extent(made: Any, found: Any) -> Label:
    start, end = made.user_write_around(found.va, _GUARD_GAP - 1) or (found.va, found.va + found.size)
    return Label(start, end, "stack", "deduced")


def _around(space: AddressSpace, first: int, end: int) -> Any:
    """The merged map of some of the user's part."""
    last = min(end - 1, (space.paging.upper_part or 1 << 32) - 1)
    return summary.map_of(space, max(first, 0), max(last, 0), split=False)


def _as_stack(found: Any) -> Label:
    return Label(found.va, found.va + found.size, "stack", "deduced")
