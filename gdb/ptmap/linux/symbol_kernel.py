"""A Linux whose symbols are known to be right, because place.py found its memory by them.

Its tables are not needed to recognise it, so they are read only when something asks for them.
"""

from __future__ import annotations

from functools import cached_property
from typing import Iterator

from ..base.interval import Interval
from ..base.symbols import Symbols
from ..spaces.address_space import AddressSpace
from ..spaces.reader import Reader
from ..spaces.registers import Roots
from ..spaces.virtual_memory import Unreadable, VirtualMemory
from . import place as places
from .kernel import Kernel
from .place import Place
from .shape import Image
from .structures import NoType, Structures

_USER_ROOT = 1 << 12  # KPTI's user root has this bit, arch/x86/include/asm/pgtable.h
_CURRENT = ("current_task", "pcpu_hot.current_task")  # the second in Linux 6.2 to 6.14
_MAX_DEPTH = 16  # of a radix tree
_INTERNAL, _INTERNAL_MASK, _SMALLEST_NODE = 2, 3, 4096  # xa_is_node(), include/linux/xarray.h


class SymbolKernel(Kernel):
    """Found by symbols alone; the ranges of its part are read at first use."""

    near = 16
    place: Place

    def __init__(self, space: AddressSpace, place: Place) -> None:
        super().__init__(space, _image(space.reader.symbols, place))
        self.place = place

    @cached_property
    def offset(self) -> int | None:
        return self.place.offset

    @cached_property
    def memory(self) -> VirtualMemory:
        """Reads tables only for addresses outside of the image and the direct map."""
        return VirtualMemory(init_mm(self.place, self._given.reader), self.place.known)

    @cached_property
    def version(self) -> tuple[int, int] | None:
        return self.place.version

    @cached_property
    def page_offset(self) -> int | None:
        return self.place.page_offset

    @cached_property
    def _fixed_frames(self) -> list[tuple[int, int, int]]:
        parts = filter(None, (self.image.text, self.image.rodata))
        return sorted((part.first - self.place.image, part.size, part.first) for part in parts)

    # Tasks

    def running(self) -> Iterator[int]:
        for cpu in range(self._given.reader.cpus()):
            task = self.current_task(cpu)
            if task is not None:
                yield task

    def current_task(self, cpu: int) -> int | None:
        """The task_struct that a CPU runs. Error: Unreadable."""
        for name in _CURRENT:
            where = self.per_cpu(name, cpu)
            if where is not None:
                return self.memory.unsigned(where, self.pointer)
        return None

    def task_of_pid(self, pid: int) -> int | None:
        structures = Structures(self)
        try:
            for task in self.running():
                if structures.read(task, "task_struct.pid") == pid:
                    return task
            return self._by_idr(structures, pid)
        except (NoType, Unreadable):
            return None

    def _by_idr(self, structures: Structures, pid: int) -> int | None:
        """init_pid_ns.idr is a radix tree of struct pid (include/linux/idr.h, xarray.h)."""
        namespace = self.symbol("init_pid_ns")
        if namespace is None:
            return None
        index = pid - structures.read(namespace, "pid_namespace.idr.idr_base")
        entry = structures.read(namespace, "pid_namespace.idr.idr_rt.xa_head")
        slots = structures.member("xa_node.slots").elements
        if slots is None:
            return None
        for _ in range(_MAX_DEPTH):
            if entry & _INTERNAL_MASK != _INTERNAL or entry < _SMALLEST_NODE:
                break
            node = entry - _INTERNAL
            slot = index >> structures.read(node, "xa_node.shift")
            first = structures.at(node, "xa_node.slots")
            entry = structures.number(first + slot % slots * self.pointer, self.pointer)
        # struct pid has a list of tasks for each type of pid; PIDTYPE_PID is the first.
        link = structures.number(structures.at(entry, "pid.tasks"), self.pointer) if entry else 0
        task = structures.container(link, "task_struct.pid_links") if link else None
        is_right = task and structures.read(task, "task_struct.pid") == pid
        return task if is_right else None

    # KPTI

    def pair(self, root: int) -> Roots | None:
        """The pair of an mm_struct's root; None without KPTI, or if that is not known."""
        if not self.place.pti or self.place.mode == "32-bit":
            return None
        return Roots(root & ~_USER_ROOT, root | _USER_ROOT)


def init_mm(place: Place, reader: Reader) -> AddressSpace:
    """The kernel's own space."""
    cr0, cr4, efer = place.registers
    return AddressSpace(
        cr0=cr0,
        cr3=place.root,
        cr4=cr4,
        efer=efer,
        ac=False,
        mode=place.mode,
        root=place.root,
        _paging=places.paging(place),
        _reader=reader,
    )


def _image(symbols: Symbols, place: Place) -> Image:
    def part(first: str, last: str) -> Interval | None:
        start, end = (places.address(symbols, name, place.offset) for name in (first, last))
        return Interval.until(start, -(-end // 0x1000) * 0x1000) if start and end else None

    text = part("_text", "_etext") or Interval.until(place.text, place.image_end)
    return Image(text, part("__start_rodata", "__end_rodata"), part("_sdata", "_end"))
