"""A machine's memory and registers in a dump file: GDB's core file, or one named by its path."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import gdb

from ...base import native
from ...base.errors import Refusal
from ...base.interval import Interval
from ...base.text import plural, printable, short_size
from ...debugger import interrupts
from ...spaces.registers import Registers, Segment, SystemRegisters
from .source import NotHere, Source

if TYPE_CHECKING:
    from ... import _core

_FLAGS = 0x00FFFF00  # of a descriptor's second doubleword, as QEMU's monitor shows it


def open_source(path: str | None, connection: gdb.TargetConnection | None) -> Dump:
    """The dump at PATH; without PATH, GDB's own core file. Error: NotHere."""
    own = path is None
    if path is None:
        path = core_file(connection)
    if path is None:
        raise NotHere("GDB has no core file")
    core = native.core
    try:
        with interrupts.held():  # a flattened dump is copied
            dump = core.Dump(os.fsencode(path))
        return Dump(printable(path), dump, own)
    except core.FileError as error:
        raise NotHere(f"{printable(path)}: {error}") from None


def core_file(connection: gdb.TargetConnection | None) -> str | None:
    """The file that `core-file` loaded."""
    if connection is None or connection.type != "core":
        return None
    text = gdb.execute("info files", to_string=True)
    found = re.search(r"^Local core dump file:\n\t`(.*)', file type ", text, re.M)
    return found[1] if found else None


class Dump(Source):
    name = "dump"
    knows_registers = True
    can_run = False

    not_there = "not in the dump"

    def __init__(self, path: str, dump: _core.Dump, is_gdbs_core: bool) -> None:
        self._path, self._dump, self._is_gdbs_core = path, dump, is_gdbs_core
        self._ram: list[Interval] = [Interval(*one) for one in dump.ram]
        self._cpus: list[_core.CpuRegisters] = dump.cpus
        self._vmcoreinfo = dump.vmcoreinfo
        # A crash dump lacks the memory of the kernel that wrote it, and what was filtered out.
        self.knows_ram = self._vmcoreinfo is None
        if self._vmcoreinfo is not None:
            self.kernel = _of_kernel(dump.kernel)
            self.why_no_kernel = self._vmcoreinfo.problem

    def describe(self) -> str:
        size = sum(last + 1 - first for first, last in self._ram)
        parts = [f"{self._dump.format} dump {self._path}, {short_size(size)}"]
        if self._vmcoreinfo is not None:
            parts.append(f"crash dump of Linux {printable(self._vmcoreinfo.release)}")
            parts += [self.why_no_kernel] if self.why_no_kernel else []
        else:
            parts.append(f"registers of {plural(len(self._cpus), 'CPU')}")
        if self._dump.cut:
            parts.append("cut off: the missing part is unreadable")
        if self._dump.problem:
            parts.append(self._dump.problem)
        return ", ".join(parts)

    @property
    def native(self) -> _core.Dump:
        return self._dump

    @property
    def ram(self) -> list[Interval]:
        return self._ram

    @property
    def requests(self) -> int:
        return int(self._dump.requests)

    def begin(self) -> None:
        changed = self._dump.changed
        if changed and self._is_gdbs_core:
            raise Refusal(f"{self._path}: {changed} since GDB loaded it: load it by `core-file`")
        if changed:
            raise NotHere(f"{self._path}: {changed}")  # choose.py opens it again

    def cpus(self) -> int | None:
        """None for GDB's own core file, for which GDB has a thread for each CPU."""
        return None if self._is_gdbs_core else max(1, len(self._cpus))

    def registers(self, cpu: int) -> Registers | None:
        state = self._of(cpu)
        if state is None:
            return None if self._is_gdbs_core else Registers()
        efer, assumed = state.efer
        return Registers(
            cr0=state.cr0,
            cr2=state.cr2,
            cr3=state.cr3,
            cr4=state.cr4,
            efer=efer,
            eflags=state.rflags & 0xFFFFFFFF,
            cs=state.cs,
            sp=state.rsp,
            assumed={"efer": tuple(assumed)},
            notes=() if self._is_alone() else ("the dump's, not the attached target's",),
        )

    def _is_alone(self) -> bool:
        """Whether GDB's expressions cannot be about another machine."""
        return self._is_gdbs_core or gdb.selected_thread() is None

    def system_registers(self, cpu: int) -> SystemRegisters | None:
        state = self._of(cpu)
        if state is None:
            return None
        gdtr, idtr = (Segment(base, limit) for base, limit, *_ in (state.gdtr, state.idtr))
        return SystemRegisters(gdtr, idtr, _segment(*state.ldtr), _segment(*state.tr))

    def _of(self, cpu: int) -> _core.CpuRegisters | None:
        return self._cpus[cpu] if 0 <= cpu < len(self._cpus) else None


def _of_kernel(kernel: _core.CrashedKernel | None) -> Registers | None:
    if kernel is None:
        return None
    return Registers(
        cr0=kernel.cr0,
        cr3=kernel.cr3,
        cr4=kernel.cr4,
        efer=kernel.efer,
        assumed={what.partition(".")[0].lower(): (what,) for what in kernel.assumed},
        deduced=tuple(kernel.deduced),
        notes=("the kernel's own root, by VMCOREINFO",),
    )


def _segment(base: int, limit: int, selector: int, flags: int) -> Segment:
    return Segment(base, limit, selector, flags & _FLAGS)
