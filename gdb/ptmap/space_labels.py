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

    def __init__(self, space: AddressSpace, linux: kernel.Kernel | None, made: Any) -> None:
        self.linux = linux
        self.kernel = layout.labels(linux) if linux else []
        self.all = to_pages(
            layered(self.kernel, elf_sections.labels(), _process(space, linux, made))
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


def of(space: AddressSpace, made: Any) -> Known:
    """`made` is the space's map: the range that holds the stack pointer is looked for in it."""
    return Known(space, kernel.find(space), made)


def _process(space: AddressSpace, linux: kernel.Kernel | None, made: Any) -> list[Label]:
    named: list[Label] = []
    if linux and linux.offset is not None:
        task = tasks.task_of_root(linux, linux.space.root)
        if task is not None and task.mm:
            named = vmas.labels(linux, task.mm)
    if any(label.name == "[stack]" for label in named):
        return named
    return named + (_stack(space, made) or (_linux_stack(space, made) if linux else []))


def _stack(space: AddressSpace, made: Any) -> list[Label]:
    """The range that the stack pointer points into, while the CPU is in user mode in this space."""
    registers = target.registers()
    pair = space.kpti_roots
    roots = (space.root,) if pair is None else (pair.kernel, pair.user)
    if registers.cs is None or registers.cs & 3 != 3 or registers.sp is None:
        return []
    if registers.cr3 is None or space.paging.root_of(registers.cr3) not in roots:
        return []
    # A stack pointer at the very top of an empty stack points behind it.
    for address in (registers.sp, registers.sp - 1):
        if space.paging.translatable(address) and (found := made.at(address)) and found.user:
            return [_as_stack(found)]
    return []


# Where Linux's exec puts the stack: within this much of the end of the user's part, whatever else
# is mapped there (vvar and vdso) being read-only; mmap begins below (fs/binfmt_elf.c,
# arch/x86/mm/mmap.c). The ends are TASK_SIZE_MAX and the split.
_STACK_ROOM_64, _STACK_ROOM_32 = 16 << 30, 8 << 20
_TASK_SIZE_64 = 0x7FFFFFFFF000


def _linux_stack(space: AddressSpace, made: Any) -> list[Label]:
    """The highest range there that the process can write: in kernel mode, and of a space that is
    not the CPU's."""
    end, room = _TASK_SIZE_64, _STACK_ROOM_64
    if not space.paging.canonical:
        end, room = summary.split_of(space) or 0, _STACK_ROOM_32
    found = made.last_user_write(max(end - room, 0), end)
    return [_as_stack(found)] if found else []


def _as_stack(found: Any) -> Label:
    return Label(found.va, found.va + found.size, "stack", "deduced")
