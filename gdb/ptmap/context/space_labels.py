"""All labels of a space, from every source, as one list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base import native
from ..base.interval import Interval
from ..base.text import printable
from ..linux import kernel, layout, recognition, tasks, user_stack, vmas
from ..machine import target
from ..spaces.address_space import AddressSpace
from ..spaces.labels import Label, Part, layered, to_pages
from . import elf_sections

if TYPE_CHECKING:
    from .. import _core

_APART = (Part.STACK, Part.HEAP, Part.VDSO)  # an overview never joins these with others


class Known:
    """A space's labels. `linux` is None if no Linux was recognised.

    SHOWN: the first and last offset that will be shown. The kernel's labels need all of its tables:
    over a slow line they are left out if only a process's part will be shown.
    """

    def __init__(self, space: AddressSpace, linux: kernel.Kernel | None, shown: Interval) -> None:
        self.linux = linux
        end = space.paging.upper_part or (linux and linux.place and linux.place.page_offset) or 0
        is_dear = space.memory.source.keeps and shown.last < end
        self.kernel = layout.labels(linux) if linux and not is_dear else []
        process = _process(space, linux, shown)
        self.all = to_pages(layered(self.kernel, elf_sections.labels(), process))

    def core(self) -> list[_core.Label]:
        """As the native module takes them: last byte included, printable."""
        kernels = set(self.kernel)
        return [_label(one, one in kernels or one.part in _APART) for one in self.all]

    def parts(self) -> list[_core.Label]:
        """The labels of the kernel and of the stack, as core() has them."""
        kernels = set(self.kernel)
        return [_label(one, True) for one in self.all if one in kernels or one.part is Part.STACK]


def _label(one: Label, apart: bool) -> _core.Label:
    name = printable(one.name)
    return native.core.Label(one.start, one.end - 1, name, one.source, apart=apart)


def of(space: AddressSpace, shown: Interval | None = None) -> Known:
    """SHOWN: first and last offset; the whole space by default."""
    shown = shown or Interval(0, space.paging.last_offset)
    return Known(space, recognition.find(space), shown)


def _process(space: AddressSpace, linux: kernel.Kernel | None, shown: Interval) -> list[Label]:
    named: list[Label] = []
    if linux and linux.offset is not None:
        task = tasks.task_of_root(linux, linux.space.root)
        if task is not None and task.mm:
            named = vmas.labels(linux, task.mm)
    if any(label.part is Part.STACK for label in named):
        return named
    return named + user_stack.labels(space, linux, target.registers(), shown)
