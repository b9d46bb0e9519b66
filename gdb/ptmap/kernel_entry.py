"""What entering the kernel needs while user space runs, and whether it is mapped.

GDT, IDT, handlers, TSS and stacks (descriptors.py says which pages), each under the root in CR3
and, where KPTI has another one for user space, under that too; and Linux's entry by SYSCALL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Sequence

from . import cpus, native, settings
from .address_space import AddressSpace
from .text import plural
from .descriptors import PAGE, Piece, Tables
from .linux import kernel
from .qemu_monitor import SystemRegisters
from .virtual_memory import Unreadable

_SCE = 1  # IA32_EFER: SYSCALL is on


def rights_words(walk: Any) -> str:
    """Of a mapped address: "supervisor read exec"."""
    words = ["user" if walk.user else "supervisor", "read"]
    return " ".join(words + ["write"] * walk.write + ["exec"] * walk.exec)


@dataclass(frozen=True)
class Verdict:
    """What one root says of a piece."""

    walks: list[Any]  # of each page
    denied: str  # of the first page where the processor's access would fault: why

    @property
    def mapped(self) -> int:
        return sum(walk.outcome == "mapped" for walk in self.walks)

    @property
    def unread(self) -> str:
        """Why it is not known whether a page is mapped; "" where it is."""
        return next((walk.why for walk in self.walks if walk.outcome == "unreadable"), "")

    @property
    def ok(self) -> bool:
        return not self.denied and not self.unread

    @property
    def word(self) -> str:
        """For a narrow column."""
        if self.unread:
            return "?"
        return "yes" if self.ok else "part" if 0 < self.mapped < len(self.walks) else "NO"

    @property
    def text(self) -> str:
        if self.unread:
            return f"NOT KNOWN: {self.unread}"
        if not self.mapped:
            return "NOT MAPPED"
        if self.mapped < len(self.walks):
            return f"ONLY {self.mapped} of {plural(len(self.walks), 'page')}"
        if not self.ok:
            return f"FAULTS: {re.split('[:,]', self.denied)[0]}"
        rights = {rights_words(walk) for walk in self.walks}
        return rights.pop() if len(rights) == 1 else "mapped, various rights"

    @property
    def frame(self) -> int | None:
        """The physical page of the first page."""
        return self.walks[0].pa if self.walks[0].outcome == "mapped" else None


@dataclass(frozen=True)
class Row:
    piece: Piece
    here: Verdict  # under this root, or the kernel's where that is the one that counts
    user: Verdict | None  # under KPTI's user root, where that is another one


@dataclass(frozen=True)
class Entry:
    """All of it, or why there is nothing of it."""

    rows: Sequence[Row] = ()
    notes: Sequence[str] = ()  # what is not known
    why_not: str = ""
    registers: SystemRegisters | None = None  # those that it was worked out with


def entry_of(space: AddressSpace | None, registers: SystemRegisters | None) -> Entry:
    """`space` and `registers` are the CPU's, None where they are not known."""
    if space is None or space.paging is None:
        return Entry()
    if registers is None:
        return Entry(why_not="not known, since only QEMU's monitor tells GDTR, IDTR and TR")
    tables = Tables(registers, space.kernel.linear, bool(space.paging.canonical), space.cr4)
    pieces = tables.pieces()
    system_call, notes = _system_call(space, pieces)
    notes += [f"not all of the {name} can be read" for name in tables.unread]
    if "TSS" in tables.unread:
        notes.append("so the stacks are not known")
    if registers.tr.is_null:
        notes.append("TR is null: no TSS, so there is no stack for an entry from user mode")
    rows = [_row(space, piece) for piece in pieces + system_call]
    return Entry(rows, notes, registers=tables.registers)


def _row(space: AddressSpace, piece: Piece) -> Row:
    pair = space.kpti_roots
    if not piece.before_switch:
        return Row(piece, _verdict(space.kernel, piece), None)
    other = space.half == "kernel" and pair is not None
    user = _verdict(space.below(pair.user), piece) if other and pair is not None else None
    return Row(piece, _verdict(space, piece), user)


def _verdict(space: AddressSpace, piece: Piece) -> Verdict:
    """By the access that the processor makes, which EFLAGS.AC does not let past SMAP."""
    core = native.core()
    with space.memory.reading():
        walks = [space.walk(page) for page in piece.pages]
    denied = ""
    for walk in walks:
        result, reason, _, _ = core.verdict(
            walk, space.paging, piece.access, "kernel", False, settings.get("pkru")
        )
        if result not in ("allowed", "unknown"):
            denied = denied or reason
    return Verdict(walks, denied)


# Linux's entry by SYSCALL or SYSENTER: their MSRs are nowhere to be seen, the symbols may be.


def _system_call(space: AddressSpace, pieces: list[Piece]) -> tuple[list[Piece], list[str]]:
    """The entry point and the stack, and what is not known of them."""
    name = "SYSCALL" if space.paging.canonical else "SYSENTER"
    if space.paging.canonical and not space.efer & _SCE:
        return [], ["SYSCALL is off (EFER.SCE=0)"]
    symbol = "entry_SYSCALL_64" if space.paging.canonical else "entry_SYSENTER_32"
    # Looking for the kernel reads its tables: only where there may be an answer.
    linux = kernel.find(space) if kernel.link_address(symbol) is not None else None
    where = linux.symbol(symbol) if linux else None
    if linux is None or where is None:
        return [], [f"{name}: entry and stack not known (no symbols, no MSRs)"]
    found = [_page_piece(f"{name} entry", name, where, where, "fetch")]
    if not space.paging.canonical:
        # Of the entry stack, below the TSS (arch/x86/kernel/cpu/common.c): an MSR tells where.
        return found, ["SYSENTER: stack not known (no MSRs)"]
    top = _top_of_stack(linux, cpus.current())
    if top is None:
        return found, ["SYSCALL: stack not known"]
    stack = _page_piece("SYSCALL stack", " stack", top, top - 8, "write", before_switch=False)
    return [*found, stack], []


def _page_piece(
    name: str, short: str, address: int, touched: int, access: str, before_switch: bool = True
) -> Piece:
    page = touched & (1 << 64) - PAGE
    return Piece(name, short, address, (page,), access, before_switch=before_switch)


def _top_of_stack(linux: kernel.Kernel, cpu: int) -> int | None:
    """Per-CPU data: cpu_current_top_of_stack, in 6.2 to 6.14 pcpu_hot.top_of_stack."""
    for name in ("cpu_current_top_of_stack", "pcpu_hot.top_of_stack"):
        try:
            where = linux.per_cpu(name, cpu)
            if where is not None:
                return linux.memory.unsigned(where, 8)
        except Unreadable:
            return None
    return None
