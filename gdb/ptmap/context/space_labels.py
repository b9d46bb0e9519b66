"""All that is known of what lies where in a space, as one list of labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base import native
from ..base.text import printable
from ..linux import kernel, layout, recognition, tasks, user_stack, vmas
from ..machine import target
from ..spaces.address_space import AddressSpace
from ..spaces.labels import Label, layered, to_pages
from . import elf_sections

if TYPE_CHECKING:
    from .. import _core

_STACK = {"stack", "[stack]"}
_APART = _STACK | {"[heap]", "[vdso]"}  # never joined with others in an overview


class Known:
    """What a space's labels come from; `linux` is None where no Linux was recognised.

    SHOWN are the first and last offset that are on show. For the kernel's labels all of its tables
    are read: not over a slow line for the sake of a process's part.
    """

    def __init__(
        self, space: AddressSpace, linux: kernel.Kernel | None, shown: tuple[int, int]
    ) -> None:
        self.linux = linux
        end = space.paging.upper_part or (linux and linux.place and linux.place.page_offset) or 0
        is_dear = space.memory.source.keeps and shown[1] < end
        self.kernel = layout.labels(linux) if linux and not is_dear else []
        process = _process(space, linux, shown)
        self.all = to_pages(layered(self.kernel, elf_sections.labels(), process))

    def core(self) -> list[_core.Label]:
        """For the core."""
        kernels = set(self.kernel)
        return [_label(one, one in kernels or one.name in _APART) for one in self.all]

    def parts(self) -> list[_core.Label]:
        """Those of the kernel and of the stack, for the core."""
        kernels = set(self.kernel)
        return [_label(one, True) for one in self.all if one in kernels or one.name in _STACK]


def _label(one: Label, apart: bool) -> _core.Label:
    name = printable(one.name)
    return native.core.Label(one.start, one.end - 1, name, one.source, apart=apart)


def of(space: AddressSpace, shown: tuple[int, int] | None = None) -> Known:
    """SHOWN: offsets; all of them by default."""
    shown = shown or (0, space.paging.last_offset)
    return Known(space, recognition.find(space), shown)


def _process(
    space: AddressSpace, linux: kernel.Kernel | None, shown: tuple[int, int]
) -> list[Label]:
    named: list[Label] = []
    if linux and linux.offset is not None:
        task = tasks.task_of_root(linux, linux.space.root)
        if task is not None and task.mm:
            named = vmas.labels(linux, task.mm)
    if any(label.name == "[stack]" for label in named):
        return named
    return named + user_stack.labels(space, linux, target.registers(), shown)
