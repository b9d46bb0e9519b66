"""Whose address space is shown where the target has no control registers: the selected task's.

kgdb's threads are Linux's tasks, and the kernel knows what the registers are: mm->pgd is CR3,
cpu_tlbstate has CR4. A space's `told` says which task it is.
"""

from __future__ import annotations

import re
from dataclasses import replace

import gdb

from ..base.errors import Refusal
from ..linux import tasks
from ..linux.place import CR0, MODES
from ..linux.structures import NoType, Structures
from ..linux.symbol_kernel import SymbolKernel
from ..machine import cpus
from ..machine.remote import send
from ..spaces.address_space import AddressSpace
from ..spaces.registers import Registers
from ..spaces.virtual_memory import Unreadable

# The bits that choose the mode are known for sure from place.py.
_MODE_CR4 = MODES["32-bit"][0] | MODES["5-level"][0]


def registers(kernel: SymbolKernel, known: Registers, assumed: list[str]) -> Registers:
    """With those that are missing. CR3 is that of init_mm."""
    place = kernel.place
    if known.cr0 is None:
        assumed.append("CR0.WP=1")
    if known.cr4 is None:
        copy = _cr4(kernel)
        if copy is None:
            assumed.append("CR4.SMEP=SMAP=PKE=0")
        known = replace(known, cr4=(copy or 0) & ~_MODE_CR4 | MODES[place.mode][0])
    return replace(
        known,
        cr0=CR0 if known.cr0 is None else known.cr0,
        cr3=place.root,
        efer=place.efer if known.efer is None else known.efer,
    )


def _cr4(kernel: SymbolKernel) -> int | None:
    """The kernel's copy of the selected CPU's CR4, or what all have."""
    try:
        where = kernel.per_cpu("cpu_tlbstate.cr4", cpus.current())
        if where is None:
            return kernel.word("mmu_cr4_features")
        return kernel.memory.unsigned(where, kernel.pointer)
    except Unreadable:
        return None


def space_of(kernel: SymbolKernel, space: AddressSpace) -> AddressSpace:
    """The selected task's; a kernel thread has none, init_mm is shown then.

    Error: Refusal where the task is gone.
    """
    thread = cpus.selected_thread()
    assert thread is not None  # require_stopped() has seen it
    cpu, pid = cpus.shadow_cpu(thread), thread.ptid[1]
    try:
        address = kernel.task_of_pid(pid) if cpu is None else kernel.current_task(cpu)
        if address is None:
            raise Refusal(f"the selected thread (pid {pid}) is no task any more")
        task = tasks.task_at(kernel, address)
        role = "" if cpu is None else f", the current task of CPU {cpu}"
        shown = tasks.space_of_task(space, kernel, task, role)
        more = _borrowed(kernel, task, shown.root) if cpu is not None and not task.mm else ()
        return shown.below(shown.root, told=more + _elsewhere(kernel, task))
    except NoType as error:
        told = f"init_mm, the kernel's own: which task is selected is not known: {error}"
        return space.below(space.root, told=(told,))
    except Unreadable as error:
        raise Refusal(f"the selected task cannot be read: {error}") from None


def _borrowed(kernel: SymbolKernel, task: tasks.Task, shown: int) -> tuple[str, ...]:
    """A kernel thread runs on whatever tables are there: active_mm's. At most one phrase."""
    structures = Structures(kernel)
    mm = structures.read(task.address, "task_struct.active_mm")
    root = kernel.memory.translate(structures.read(mm, "mm_struct.pgd")) if mm else None
    if root is None or root == shown:
        return ()
    return (f"its CPU is in the tables of active_mm, -root {root:#x}",)


def _elsewhere(kernel: SymbolKernel, shown: tasks.Task) -> tuple[str, ...]:
    """Where the kernel stopped, if that was not in the task on show: at most one phrase. After
    attaching GDB selects the first CPU, wherever that was."""
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
