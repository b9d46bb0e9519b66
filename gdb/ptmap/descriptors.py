"""What the processor itself reads when it enters the kernel, and where that is.

An interrupt, an exception or a system call in user space goes through the IDT's gate and the GDT's
code segment to a handler, on a stack that the TSS names. The processor finds all of it by linear
addresses through the root that is in CR3 then: what is not mapped there ends in #DF or a reset.

The tables are the guest's and may hold anything: of the IDT the 256 vectors are read, of a TSS its
fixed part; a descriptor beyond its table's limit is none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Iterable, Iterator

from .qemu_monitor import Segment, SystemRegisters
from .virtual_memory import Unreadable, VirtualMemory

PAGE = 0x1000

# What a limit with the G bit can exceed: a selector reaches 64 KiB (SDM vol. 3A, 3.5.1), the I/O
# permission bitmap is 8 KiB and a byte, from a 16-bit offset on (vol. 1, 19.5.2).
_LARGEST_TABLE = 1 << 16
_LARGEST_TSS = (1 << 16) + (8 << 10)

# SDM vol. 3A, Table 6-1; 28 to 30: AMD APM vol. 2, Table 8-1.
_VECTORS = ("#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "9", "#TS", "#NP",
            "#SS", "#GP", "#PF", "15", "#MF", "#AC", "#MC", "#XM", "#VE", "#CP", "22", "23",
            "24", "25", "26", "27", "#HV", "#VC", "#SX")  # fmt: skip

# Reserved, or raised only with a hypervisor's or memory encryption's help. Linux leaves gates for
# them that lead to memory which it freed after boot.
_RARE = {15, 20, *range(22, 32)}
_RAISED_WITH = ((18, 1 << 6), (21, 1 << 23))  # (vector, bit of CR4): #MC with MCE, #CP with CET

# Types of gates and system segments (SDM vol. 3A, Table 3-2).
_TASK_GATE = 0x5
_GATES_16, _GATES_32 = (0x6, 0x7), (0xE, 0xF)
_TSS_16 = (0x1, 0x3)


@dataclass(frozen=True)
class _TssLayout:
    """Offsets in a task-state segment; stacks are those of the privilege levels 0, 1 and 2."""

    size: int  # of the fixed part
    pointer: int  # bytes of a stack pointer
    stacks: tuple[int, int, int]
    segment: int | None  # of SSn, from its stack pointer
    ist: int | None = None  # of IST1
    align: int = 1  # of a stack pointer, which the processor rounds down to


_TSS_LAYOUTS = {
    64: _TssLayout(104, 8, (4, 12, 20), None, ist=36, align=16),  # SDM vol. 3A, 8.7, 6.14.2
    32: _TssLayout(104, 4, (4, 12, 20), 4),  # 8.2.1
    16: _TssLayout(44, 2, (2, 6, 10), 2),  # 8.6
}


@dataclass(frozen=True)
class Piece:
    """Something that must be mapped, and what the processor does there first."""

    name: str
    short: str  # the name, for a column
    address: int
    pages: tuple[int, ...]  # all that it touches
    access: str  # read, write, fetch
    vectors: tuple[int, ...] = ()  # handlers and IST stacks: which gates lead to it
    before_switch: bool = True  # needed before entry code could load another CR3
    rare: bool = False  # needed only for vectors that an ordinary machine never raises


@dataclass(frozen=True)
class _Gate:
    """A present gate of the IDT (SDM vol. 3A, 6.11, 6.14.1)."""

    vector: int
    type: int
    selector: int
    offset: int
    ist: int
    dpl: int


def vector_name(vector: int) -> str:
    return _VECTORS[vector] if vector < len(_VECTORS) else str(vector)


class Tables:
    """One CPU's tables, read through the root that has the kernel mapped."""

    def __init__(
        self, registers: SystemRegisters, linear: VirtualMemory, long_mode: bool, cr4: int
    ) -> None:
        self._registers, self._linear, self._long = registers, linear, long_mode
        self._registers = replace(
            registers, ldtr=self.whole(registers.ldtr), tr=self.whole(registers.tr)
        )
        self._rare = _RARE | {vector for vector, bit in _RAISED_WITH if not cr4 & bit}
        self._mask = (1 << (64 if long_mode else 32)) - 1
        self._descriptors: dict[int, int | None] = {}
        self.unread: list[str] = []  # the tables of which a part is not there

    @property
    def registers(self) -> SystemRegisters:
        return self._registers

    def whole(self, register: Segment) -> Segment:
        """LDTR or TR with its whole base. QEMU cuts it to 32 bits while CS is a 32-bit segment; the
        descriptor that it was loaded from (SDM vol. 3A, Figure 8-4) has the rest."""
        if not self._long or register.is_null or register.base >> 32:
            return register
        at = self._registers.gdtr.base + ((register.selector or 0) & ~7)
        try:
            low, high = self._linear.unsigned(at, 8), self._linear.unsigned(at + 8, 8)
        except Unreadable:
            return register
        base = low >> 16 & 0xFFFFFF | low >> 56 << 24 | (high & 0xFFFFFFFF) << 32
        return replace(register, base=base) if base & 0xFFFFFFFF == register.base else register

    def pieces(self) -> list[Piece]:
        registers = self._registers
        gates = self._gates()
        found = [
            self._table("GDT", registers.gdtr.base, registers.gdtr.limit + 1),
            self._table("IDT", registers.idtr.base, self._idt_size),
        ]
        if not registers.ldtr.is_null:
            size = min(registers.ldtr.limit + 1, _LARGEST_TABLE)
            found.append(self._table("LDT", registers.ldtr.base, size))
        found += self._handlers(gates)
        if not registers.tr.is_null:
            size = min(registers.tr.limit + 1, _LARGEST_TSS)
            found.append(self._table("TSS", registers.tr.base, size))
            found += self._stacks(gates)
        return found + self._tasks(gates)

    # The IDT

    @property
    def _gate_size(self) -> int:
        return 16 if self._long else 8

    @property
    def _idt_size(self) -> int:
        """Of the part with vectors; after reset the limit says 64 KiB."""
        return min(self._registers.idtr.limit + 1, 256 * self._gate_size)

    def _gates(self) -> list[_Gate]:
        table = self._available("IDT", self._registers.idtr.base, self._idt_size)
        size = self._gate_size
        types = _GATES_32 if self._long else (_TASK_GATE, *_GATES_16, *_GATES_32)
        found = (
            self._gate(vector, int.from_bytes(table[vector * size : (vector + 1) * size], "little"))
            for vector in range(len(table) // size)
        )
        return [gate for gate in found if gate is not None and gate.type in types]

    def _gate(self, vector: int, raw: int) -> _Gate | None:
        if not raw >> 47 & 1:  # P
            return None
        kind = raw >> 40 & 0xF
        offset = raw & 0xFFFF
        if kind not in _GATES_16:
            offset |= raw >> 48 - 16 & 0xFFFF0000
        if self._long:
            offset |= raw >> 64 - 32 & 0xFFFFFFFF << 32
        ist = raw >> 32 & 7 if self._long else 0
        return _Gate(vector, kind, raw >> 16 & 0xFFFF, offset, ist, raw >> 45 & 3)

    def _handlers(self, gates: list[_Gate]) -> list[Piece]:
        """A piece for each distinct page that a handler begins in."""
        pages: dict[int, list[_Gate]] = {}
        for gate in gates:
            if gate.type != _TASK_GATE:
                base = 0 if self._long else _base(self._descriptor(gate.selector) or 0)
                page = base + gate.offset & self._mask & -PAGE
                pages.setdefault(page, []).append(gate)
        return [
            Piece("handlers", "handlers", page, (page,), "fetch", _vectors(to_page),
                  rare=self._is_rare(to_page))
            for page, to_page in sorted(pages.items())
        ]  # fmt: skip

    def _is_rare(self, gates: list[_Gate]) -> bool:
        """A gate that INT n in user mode may use (SDM vol. 3A, 6.12.1.1) is never so."""
        return all(gate.vector in self._rare and gate.dpl < 3 for gate in gates)

    def _tasks(self, gates: list[_Gate]) -> list[Piece]:
        """The TSSs that task gates switch to (SDM vol. 3A, 8.2.5). What such a task then needs is
        mapped by the CR3 in its TSS."""
        found = []
        for gate in gates:
            descriptor = self._descriptor(gate.selector) if gate.type == _TASK_GATE else None
            if descriptor is not None:
                name = f"{vector_name(gate.vector)} TSS"
                pages = self._pages(_base(descriptor), _TSS_LAYOUTS[32].size)
                found.append(Piece(name, name, _base(descriptor), pages, "read", (gate.vector,)))
        return found

    # The TSS

    def _stacks(self, gates: list[_Gate]) -> Iterator[Piece]:
        """The stacks for an entry from user mode: of the levels that gates lead to, and ISTs."""
        tr = self._registers.tr
        layout = _TSS_LAYOUTS[64 if self._long else 16 if tr.type in _TSS_16 else 32]
        tss = self._available("TSS", tr.base, min(tr.limit + 1, layout.size))
        if "TSS" in self.unread:
            return  # its stacks are not known then
        levels = {0} | {self._level(gate) for gate in gates if gate.type != _TASK_GATE}
        letter = {8: "R", 4: "E", 2: ""}[layout.pointer]
        for level, at in enumerate(layout.stacks):
            if level in levels and at + layout.pointer <= len(tss):
                name = f"{letter}SP{level}"
                yield self._stack(name, _field(tss, at, layout.pointer), layout, tss, at)
        for index in range(1, 8 if layout.ist is not None else 0):
            at = (layout.ist or 0) + 8 * (index - 1)
            on_it = [gate for gate in gates if gate.ist == index]
            pointer = _field(tss, at, 8)
            if at + 8 <= len(tss) and (pointer or on_it):
                yield self._stack(f"IST{index}", pointer, layout, tss, None, on_it)

    def _stack(
        self,
        name: str,
        pointer: int,
        layout: _TssLayout,
        tss: bytes,
        at: int | None,
        gates: list[_Gate] | None = None,
    ) -> Piece:
        """The page that the first push writes to."""
        base = 0
        if layout.segment is not None and at is not None:
            base = _base(self._descriptor(_field(tss, at + layout.segment, 2)) or 0)
        top = base + (pointer & -layout.align) & self._mask
        page = top - layout.pointer & self._mask & -PAGE
        short = f"{name} {vector_name(gates[0].vector)}" if gates and len(gates) == 1 else name
        rare = gates is not None and self._is_rare(gates)
        return Piece(
            f"{name} stack", short, top, (page,), "write", _vectors(gates or []), rare=rare
        )

    def _level(self, gate: _Gate) -> int:
        """The privilege level that a gate leads to: its code segment's DPL, where that segment is
        there and not conforming (SDM vol. 3A, 6.12.1)."""
        descriptor = self._descriptor(gate.selector) or 0
        return 0 if descriptor >> 42 & 1 else descriptor >> 45 & 3

    # Reading

    def _descriptor(self, selector: int) -> int | None:
        """A descriptor's 8 bytes; None where the table has none or it is not there."""
        if selector & ~3 not in self._descriptors:
            self._descriptors[selector & ~3] = self._read_descriptor(selector)
        return self._descriptors[selector & ~3]

    def _read_descriptor(self, selector: int) -> int | None:
        table: Segment = self._registers.ldtr if selector & 4 else self._registers.gdtr
        at = selector & ~7
        if selector & ~3 == 0 or table.is_null or at + 7 > table.limit:
            return None
        data = self._available("LDT" if selector & 4 else "GDT", table.base + at, 8)
        return int.from_bytes(data, "little")

    def _table(self, name: str, base: int, size: int) -> Piece:
        return Piece(name, name, base, self._pages(base, size), "read")

    def _pages(self, base: int, size: int) -> tuple[int, ...]:
        return tuple(at & self._mask for at in range(base & -PAGE, base + size, PAGE))

    def _available(self, name: str, base: int, size: int) -> bytes:
        """Those bytes, zeros where there are none: a zero descriptor is not present."""
        data = b""
        while len(data) < size:
            at = base + len(data) & self._mask
            length = min(size - len(data), PAGE - at % PAGE)
            try:
                data += self._linear.read(at, length)
            except Unreadable:
                data += bytes(length)
                if name not in self.unread:
                    self.unread.append(name)
        return data


def _base(descriptor: int) -> int:
    """Of a segment descriptor (SDM vol. 3A, 3.4.5)."""
    return descriptor >> 16 & 0xFFFFFF | descriptor >> 32 & 0xFF000000


def _field(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")


def _vectors(gates: list[_Gate]) -> tuple[int, ...]:
    return tuple(gate.vector for gate in gates)


def vectors_text(vectors: Iterable[int]) -> str:
    """"15, 20-31"."""
    runs: list[list[int]] = []
    for vector in sorted(set(vectors)):
        if runs and runs[-1][1] == vector - 1:
            runs[-1][1] = vector
        else:
            runs.append([vector, vector])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
