"""All that is known of what lies where in a space, as one list of labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import elf_sections, native, user_stack
from .address_space import AddressSpace
from .labels import Label, layered, to_pages
from .text import printable
from .linux import kernel, layout, tasks, vmas

if TYPE_CHECKING:
    from . import _core

_APART = {"stack", "[stack]", "[heap]", "[vdso]"}  # never joined with others in an overview


class Known:
    """What a space's labels come from; `linux` is None where no Linux was recognised.

    LAST is the last offset that is on show. For the kernel's labels all of its tables are read:
    not over a slow line for the sake of a process's part.
    """

    def __init__(self, space: AddressSpace, linux: kernel.Kernel | None, last: int) -> None:
        self.linux = linux
        end = space.paging.upper_part or (linux and linux.place and linux.place.page_offset) or 0
        is_dear = space.memory.source.keeps and last < end
        self.kernel = layout.labels(linux) if linux and not is_dear else []
        self.all = to_pages(
            layered(self.kernel, elf_sections.labels(), _process(space, linux))
        )

    def core(self) -> list[_core.Label]:
        """For the core."""
        label = native.core().Label
        kernels = set(self.kernel)
        return [
            label(one.start, one.end - 1, printable(one.name), one.source,
                  apart=one in kernels or one.name in _APART)
            for one in self.all
        ]  # fmt: skip


def of(space: AddressSpace, last: int) -> Known:
    return Known(space, kernel.find(space), last)


def _process(space: AddressSpace, linux: kernel.Kernel | None) -> list[Label]:
    named: list[Label] = []
    if linux and linux.offset is not None:
        task = tasks.task_of_root(linux, linux.space.root)
        if task is not None and task.mm:
            named = vmas.labels(linux, task.mm)
    if any(label.name == "[stack]" for label in named):
        return named
    return named + user_stack.labels(space, linux)
