"""What entering the kernel from user space needs, and whether it is mapped.

GDT, IDT, handlers, TSS and stacks: native/explain/descriptors.h says which pages. Each is looked up
under the root in CR3 and, if KPTI has another root for user space, under that too. Symbols tell
Linux's entry by SYSCALL.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Sequence

from ..base import native
from ..linux import kernel, recognition
from ..spaces import kpti
from ..spaces.address_space import AddressSpace
from ..spaces.registers import SystemRegisters
from ..spaces.virtual_memory import Unreadable

if TYPE_CHECKING:
    from .._core import EntryNeeds, EntryPiece, EntryPieceState, EntryRow

_PAGE = 0x1000


@dataclass(frozen=True)
class Entry:
    """What entering needs, or why it is not known."""

    rows: Sequence[EntryRow] = ()
    notes: Sequence[str] = ()  # what is not known
    why_not: str = ""
    registers: SystemRegisters | None = None  # from which this was worked out


def entry_of(space: AddressSpace | None, registers: SystemRegisters | None, cpu: int) -> Entry:
    """SPACE and REGISTERS: those of the CPU with this index; None if they are not known."""
    if space is None or space.paging_is_off:
        return Entry()
    if registers is None:
        return Entry(why_not="not known, because only QEMU's monitor shows GDTR, IDTR and TR")
    needs = _needs(kpti.kernel_of(space), registers)
    system_call, notes = _system_call(space, cpu)
    notes += [f"not all of the {name} can be read" for name in needs.unread]
    if not needs.knows_stacks:
        notes.append("so the stacks are not known")
    if registers.tr.is_null:
        notes.append("TR is null: no TSS, so there is no stack for an entry from user mode")
    rows = [_row(space, piece) for piece in needs.pieces + system_call]
    whole = replace(
        registers,
        ldtr=replace(registers.ldtr, base=needs.ldtr_base),
        tr=replace(registers.tr, base=needs.tr_base),
    )
    return Entry(rows, notes, registers=whole)


def _needs(space: AddressSpace, registers: SystemRegisters) -> EntryNeeds:
    memory = space.memory
    gdtr, idtr, ldtr, tr = registers.for_core()
    with memory.reading():
        needs: EntryNeeds = native.core.entry_needs(
            space.paging, space.root, memory.core, gdtr=gdtr, idtr=idtr, ldtr=ldtr, tr=tr
        )
    return needs


def _row(space: AddressSpace, piece: EntryPiece) -> EntryRow:
    """A piece under the root that it needs, and under KPTI's user root if that is another one."""
    pair, row = kpti.roots(space), native.core.EntryRow
    if not piece.before_switch:
        return row(piece, _state(kpti.kernel_of(space), piece), None)
    other = kpti.half(space) == "kernel" and pair is not None
    user = space.below(pair.user, pair=pair) if other and pair is not None else None
    return row(piece, _state(space, piece), _state(user, piece) if user else None)


def _state(space: AddressSpace, piece: EntryPiece) -> EntryPieceState:
    memory = space.memory
    with memory.reading():
        return native.core.entry_piece_state(
            piece, space.paging, space.root, memory.core, space.reader.pkru
        )


# Linux's entry by SYSCALL or SYSENTER: no stub shows their MSRs, but there may be symbols.


def _system_call(space: AddressSpace, cpu: int) -> tuple[list[EntryPiece], list[str]]:
    """The entry point and the stack; notes on what is not known of them."""
    name = "SYSCALL" if space.paging.canonical else "SYSENTER"
    if space.paging.canonical and not space.efer & native.core.register_mask("EFER", "SCE"):
        return [], ["SYSCALL is off (EFER.SCE=0)"]
    symbol = "entry_SYSCALL_64" if space.paging.canonical else "entry_SYSENTER_32"
    # Recognising the kernel reads its tables, so it is done only if GDB knows the symbol.
    is_known = space.reader.symbols.link_address(symbol) is not None
    linux = recognition.find(space) if is_known else None
    where = linux.symbol(symbol) if linux else None
    if linux is None or where is None:
        return [], [f"{name}: entry and stack not known (no symbols, no MSRs)"]
    found = [native.core.EntryPiece(f"{name} entry", name, where, [_page_of(where)], "fetch")]
    if not space.paging.canonical:
        # The entry stack is below the TSS (arch/x86/kernel/cpu/common.c): only an MSR tells where.
        return found, ["SYSENTER: stack not known (no MSRs)"]
    top = _top_of_stack(linux, cpu)
    if top is None:
        return found, ["SYSCALL: stack not known"]
    stack = native.core.EntryPiece(
        "SYSCALL", " stack", top, [_page_of(top - 8)], "write", before_switch=False, is_stack=True
    )
    return [*found, stack], []


def _page_of(address: int) -> int:
    return address & (1 << 64) - _PAGE


def _top_of_stack(linux: kernel.Kernel, cpu: int) -> int | None:
    """From per-CPU data: cpu_current_top_of_stack, or in 6.2 to 6.14 pcpu_hot.top_of_stack."""
    for name in ("cpu_current_top_of_stack", "pcpu_hot.top_of_stack"):
        try:
            where = linux.per_cpu(name, cpu)
            if where is not None:
                return linux.memory.unsigned(where, 8)
        except Unreadable:
            return None
    return None
