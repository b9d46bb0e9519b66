"""The command ptmap regs: the registers that select the paging mode, and what kernel entry needs.

native/arch/register_bits.cc has the names of bits, native/text/registers_text.cc makes the text.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import gdb

from ..base import native
from ..base.errors import Refusal
from ..base.option import JSON, Options
from ..context import selection
from ..debugger import settings
from ..entry.kernel_entry import Entry, entry_of
from ..machine import cpus, remote, target
from ..spaces import kpti, walks
from ..spaces.address_space import AddressSpace
from ..spaces.registers import Registers
from .command import Command, write, write_json

if TYPE_CHECKING:
    from .._core import RegistersReport

_NAMES = ("CR0", "CR2", "CR3", "CR4", "EFER")


class RegsCommand(Command):
    """Show the control registers, and what entering the kernel needs.

    ptmap regs [-cpu CPU] [-json FILE|-]

    It shows CR0, CR2, CR3, CR4 and IA32_EFER of the selected CPU (GDB's
    thread), the SDM names of the bits that are set, and the paging mode. A
    register that the target lacks is "not known"; `set ptmap
    cr0|cr3|cr4|efer VALUE` gives it. A crash dump of Linux has none: then it
    says what was deduced of them, and what is assumed. CR2's address is
    shown as it is mapped now: the fault may have been handled.

    Then it shows what must be mapped while user space runs, and whether it
    is: the GDT, the IDT and the first page of each handler, the TSS, its
    stacks for entries from user mode, and Linux's entry by SYSCALL if symbols
    tell it. Rights are those of the root in CR3. If that is KPTI's kernel
    root the last column says whether the user root has it too. GDTR, IDTR,
    LDTR and TR come from QEMU's monitor.

      -cpu CPU      this CPU's, counted from 0, instead of GDB's thread's
      -json FILE|-  the same as JSON (schema ptmap/1) to a file, or to GDB's
                    output
      -o FILE       write to a file what would be shown

    Examples:
      ptmap regs
      ptmap regs -cpu 1
      ptmap regs -json -"""

    no_option = ""
    options = (*(o for o in selection.OPTIONS if o.name == "cpu"), JSON)

    def run(self, options: Options, words: list[str]) -> None:
        if words:
            raise Refusal(f"takes no argument, but {words[0]!r} was given")
        native.core  # a missing module is reported before all other failures
        was_attached = gdb.selected_inferior().connection is not None
        values = target.registers()
        is_known = any(_value(values, name) is not None for name in _NAMES)
        if not is_known and selection.missing(values) is None:
            if was_attached and gdb.selected_inferior().connection is None:
                raise Refusal(remote.ENDED)
            raise Refusal("this target shows no control registers")
        report = _report(values)
        if "json" in options:
            write_json(options["json"], report.json())
        else:
            write(report.text())


def _report(values: Registers) -> RegistersReport:
    try:
        space = selection.resolve({})
    except Refusal:
        space = None  # a register that decides is missing; the others are still shown
    paged = None if space is None or space.paging_is_off else space
    kernel = selection.missing(values) or Registers()
    tables = target.system_registers()
    no_memory = _no_memory(paged)
    entry = Entry(why_not=no_memory) if no_memory else entry_of(space, tables, cpus.current())
    tables = entry.registers or tables
    pair = None if no_memory or paged is None else kpti.roots(paged)
    return native.core.RegistersReport(
        registers=[
            (name, _value(values, name), _is_set(name), values.assumed.get(name.lower(), ()))
            for name in _NAMES
        ],
        mode=space.mode if space else None,
        paging=paged.paging if paged else None,
        root=space.root if space else None,
        pair=(pair.kernel, pair.user) if pair else None,
        cr2_now="" if no_memory else _outcome(paged, values.cr2),
        tables=tables.for_core() if tables else None,
        rows=entry.rows,
        notes=entry.notes,
        why_not=entry.why_not,
        assumed=list(chain(*kernel.assumed.values())),
        deduced=kernel.deduced,
    )


def _value(values: Registers, name: str) -> int | None:
    value: int | None = getattr(values, name.lower())
    return value


def _is_set(name: str) -> bool:
    """Whether the user gave this register instead of the target."""
    return name != "CR2" and settings.get(name.lower()) is not None


def _no_memory(space: AddressSpace | None) -> str:
    """Why the tables cannot be read; "" if they can."""
    try:
        if space is not None:
            space.memory.is_ram(space.root, 1)
            _ = kpti.roots(space)  # it reads both roots whole, so that no entry is read singly
    except Refusal as refusal:
        return str(refusal)
    return ""


def _outcome(space: AddressSpace | None, va: int | None) -> str:
    """In words, how an address is mapped under this root; "" if that is not known."""
    if space is None or va is None:
        return ""
    va &= (1 << (64 if space.paging.canonical else 32)) - 1
    return native.core.outcome_text(walks.walk(space, va))


def register() -> None:
    RegsCommand("ptmap regs")
