"""The selected task's address space, for a target without control registers: kgdb.

kgdb's threads are Linux's tasks, and the kernel's memory has the registers' values: mm->pgd is
CR3, cpu_tlbstate has CR4. A space's `notes` say which task it belongs to.
"""

from __future__ import annotations

import re
from dataclasses import replace

import gdb

from ..base import native
from ..base.errors import Refusal
from ..linux import tasks
from ..linux.structures import NoType, Structures
from ..linux.symbol_kernel import SymbolKernel
from ..machine import cpus
from ..machine.remote import send
from ..spaces.address_space import AddressSpace
from ..spaces.registers import Registers
from ..spaces.virtual_memory import Unreadable


def registers(kernel: SymbolKernel, known: Registers, assumed: list[str]) -> Registers:
    """The known registers and those that were missing. CR3 is init_mm's."""
    place = kernel.place
    cr0, cr4, efer = place.registers
    if known.cr0 is None:
        assumed.append("CR0.WP=1")
    if known.cr4 is None:
        copy = _cr4(kernel)
        if copy is None:
            assumed.append("CR4.SMEP=SMAP=PKE=0")
        else:  # it has CR4.PSE in every mode
            copy &= ~native.core.register_mask("CR4", "PSE")
            _, cr4, _ = native.core.registers_for(place.mode, cr0, copy, efer)
        known = replace(known, cr4=cr4)
    return replace(
        known,
        cr0=cr0 if known.cr0 is None else known.cr0,
        cr3=place.root,
        efer=efer if known.efer is None else known.efer,
    )


def _cr4(kernel: SymbolKernel) -> int | None:
    """The kernel's copy of the selected CPU's CR4, or the bits that all CPUs have."""
    try:
        where = kernel.per_cpu("cpu_tlbstate.cr4", cpus.current())
        if where is None:
            return kernel.word("mmu_cr4_features")
        return kernel.memory.unsigned(where, kernel.pointer)
    except Unreadable:
        return None


def space_of(kernel: SymbolKernel, space: AddressSpace) -> AddressSpace:
    """The selected task's space; init_mm for a kernel thread, which has no space of its own.

    Error: Refusal if the task has ended.
    """
    thread = cpus.selected_thread()
    assert thread is not None  # require_stopped() has seen it
    cpu, pid = cpus.shadow_cpu(thread), thread.ptid[1]
    try:
        address = kernel.task_of_pid(pid) if cpu is None else kernel.current_task(cpu)
        if address is None:
            raise Refusal(f"the task of the selected thread (pid {pid}) has ended")
        task = tasks.task_at(kernel, address)
        role = "" if cpu is None else f", the current task of CPU {cpu}"
        shown = tasks.space_of_task(space, kernel, task, role)
        more = _borrowed(kernel, task, shown.root) if cpu is not None and not task.mm else ()
        return shown.below(shown.root, notes=more + _elsewhere(kernel, task))
    except NoType as error:
        note = f"init_mm, the kernel's own: the selected task is not known: {error}"
        return space.below(space.root, notes=(note,))
    except Unreadable as error:
        raise Refusal(f"the selected task cannot be read: {error}") from None


def _borrowed(kernel: SymbolKernel, task: tasks.Task, shown: int) -> tuple[str, ...]:
    """Says whose tables a kernel thread runs on: those of active_mm, if not SHOWN. At most one
    phrase."""
    structures = Structures(kernel)
    mm = structures.read(task.address, "task_struct.active_mm")
    root = kernel.memory.translate(structures.read(mm, "mm_struct.pgd")) if mm else None
    if root is None or root == shown:
        return ()
    return (f"its CPU runs on the tables of active_mm, -root {root:#x}",)


def _elsewhere(kernel: SymbolKernel, shown: tasks.Task) -> tuple[str, ...]:
    """Says where the kernel stopped, if not in the task that is shown; at most one phrase. After
    attaching GDB selects the first CPU, whichever one stopped."""
    connection = gdb.selected_inferior().connection
    found = re.fullmatch(rb"QC([0-9a-f]+)", send(connection, "qC") or b"")
    number = int(found[1], 16) if found else shown.pid
    selected = cpus.selected_thread()
    if number == shown.pid or selected is None or number == selected.ptid[1]:
        return ()
    threads = [t for t in gdb.selected_inferior().threads() if t.ptid[1] == number]
    if not threads:
        return ()
    cpu = cpus.shadow_cpu(threads[0])
    address = kernel.task_of_pid(number) if cpu is None else kernel.current_task(cpu)
    if address is None or address == shown.address:
        return ()
    where = tasks.task_at(kernel, address)
    return (f"stopped in {where}: `thread {threads[0].num}` selects it",)
