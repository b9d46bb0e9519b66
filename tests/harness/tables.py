"""Page tables for tests: a builder for the four modes, and a generator of whole address spaces.

A table lives in `Tables.pages`, 4 KiB of bytes by physical address, until write_to() puts it into
a machine. The generator is deterministic: the same seed makes the same space.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass
from typing import Iterator, Mapping, Protocol

P, RW, US, PWT, PCD, A, D, PS, G = (1 << bit for bit in range(9))
PAT = 1 << 7  # as in a PTE; map() moves it to bit 12 of a larger page
PAT_LARGE = 1 << 12
NX = 1 << 63
USER = P | RW | US

KIB4, MIB2, MIB4, GIB1 = 4 << 10, 2 << 20, 4 << 20, 1 << 30

MODES = ("32-bit", "pae", "4-level", "5-level")
TOP = {"32-bit": 2, "pae": 3, "4-level": 4, "5-level": 5}
PAGE_SIZES = {
    "32-bit": {1: KIB4, 2: MIB4},
    "pae": {1: KIB4, 2: MIB2},
    "4-level": {1: KIB4, 2: MIB2, 3: GIB1},
    "5-level": {1: KIB4, 2: MIB2, 3: GIB1},
}

# Where generated tables lie, and where they may point without being there: addresses at which
# QEMU has neither RAM nor a device (a 64 MiB machine, no PCI devices).
TABLES_AT = 0x100000
NOWHERE = (0x0800_0000, 0x7FFF_F000, 0x8000_0000, 0xBFFF_F000)
NOWHERE_HIGH = (0x1_2345_6000, 0xFF_FFFF_F000, 1 << 45, 1 << 49)


class Machine(Protocol):
    def write_phys(self, pa: int, data: bytes) -> None:
        ...


def entry_size(mode: str) -> int:
    return 4 if mode == "32-bit" else 8


def index_bits(mode: str) -> int:
    return 10 if mode == "32-bit" else 9


def shift_of(mode: str, level: int) -> int:
    return 12 + index_bits(mode) * (level - 1)


def entries_in(mode: str, level: int) -> int:
    return 4 if (mode, level) == ("pae", 3) else 1 << index_bits(mode)


def leaf_entry(mode: str, pa: int, size: int, flags: int) -> int:
    """A present or absent leaf of this size; PSE-36 addresses are put where they belong."""
    if size == KIB4:
        return pa | flags
    if mode == "32-bit":
        pa = pa & 0xFFC00000 | pa >> 32 << 13
    return pa | flags & ~PAT | PS | (PAT_LARGE if flags & PAT else 0)


class Tables:
    """Tables of one address space, allocated upwards from `at`."""

    def __init__(self, mode: str, at: int = TABLES_AT, *, root_offset: int = 0) -> None:
        self.mode = mode
        self.pages: dict[int, bytearray] = {}
        self.next = at
        self.root = self.alloc() + root_offset  # an offset: PAE's root is only 32-byte aligned

    def alloc(self, at: int | None = None) -> int:
        if at is None:
            at, self.next = self.next, self.next + 4096
        self.pages[at] = bytearray(4096)
        return at

    def get(self, table: int, index: int) -> int:
        page, where = self._place(table, index)
        return int.from_bytes(page[where : where + entry_size(self.mode)], "little")

    def set(self, table: int, index: int, raw: int) -> None:
        page, where = self._place(table, index)
        size = entry_size(self.mode)
        page[where : where + size] = raw.to_bytes(size, "little")

    def _place(self, table: int, index: int) -> tuple[bytearray, int]:
        return self.pages[table & ~0xFFF], (table & 0xFFF) + index * entry_size(self.mode)

    def index(self, va: int, level: int) -> int:
        return va >> shift_of(self.mode, level) & entries_in(self.mode, level) - 1

    def table_for(self, va: int, level: int, upper_flags: int | Mapping[int, int] = USER) -> int:
        """The table of this level for an address, made where it is missing. Flags of an entry
        that is already there stay. PAE's PDPTEs take P, PWT and PCD only."""
        table = self.root
        for above in range(TOP[self.mode], level, -1):
            entry = self.get(table, self.index(va, above))
            if not entry & P:
                flags = upper_flags if isinstance(upper_flags, int) else upper_flags[above]
                if (self.mode, above) == ("pae", 3):
                    flags &= P | PWT | PCD
                entry = self.alloc() | flags
                self.set(table, self.index(va, above), entry)
            table = entry & 0xFFFFF_FFFFFFFF_000 & ((1 << 8 * entry_size(self.mode)) - 1)
        return table

    def map(
        self,
        va: int,
        pa: int,
        size: int = KIB4,
        flags: int = USER,
        upper_flags: int | Mapping[int, int] = USER,
    ) -> int:
        """Map one page; returns its entry's physical address."""
        level = next(n for n, s in PAGE_SIZES[self.mode].items() if s == size)
        table = self.table_for(va, level, upper_flags)
        self.set(table, self.index(va, level), leaf_entry(self.mode, pa, size, flags))
        return table + self.index(va, level) * entry_size(self.mode)

    def set_entry(
        self, va: int, level: int, raw: int, upper_flags: int | Mapping[int, int] = USER
    ) -> int:
        """Any value as the entry of this level for an address; returns its physical address."""
        table = self.table_for(va, level, upper_flags)
        self.set(table, self.index(va, level), raw)
        return table + self.index(va, level) * entry_size(self.mode)

    def entry(self, va: int, level: int) -> int:
        return self.get(self.table_for(va, level), self.index(va, level))

    def read(self, pa: int, length: int) -> bytes | None:
        """As naive.walk() wants it, without a machine: RAM is what was allocated."""
        page = self.pages.get(pa & ~0xFFF)
        if page is None or (pa & 0xFFF) + length > 4096:
            return None
        return bytes(page[pa & 0xFFF : (pa & 0xFFF) + length])

    def write_to(self, machine: Machine) -> None:
        """Neighbours in one go: a machine without a RAM file takes packets for each."""
        run_at, run = 0, bytearray()
        for at in sorted(self.pages):
            if at != run_at + len(run):
                if run:
                    machine.write_phys(run_at, bytes(run))
                run_at, run = at, bytearray()
            run += self.pages[at]
        if run:
            machine.write_phys(run_at, bytes(run))


# Random address spaces


@dataclass
class Space:
    """An address space and the registers that select it."""

    seed: int
    tables: Tables
    root: int  # CR3, with whatever flags it has
    pse: bool
    nxe: bool
    pge: bool
    maxphyaddr: int

    @property
    def mode(self) -> str:
        return self.tables.mode

    def read(self, pa: int, length: int) -> bytes | None:
        return self.tables.read(pa, length)


_PAGE_LIMIT = 4000  # leaves by address, following everything that QEMU's walkers follow
_VISIT_LIMIT = 120  # tables by path


def random_space(seed: int, mode: str) -> Space:
    """Small enough for every judge: at most some thousand pages, some dozen tables."""
    rng = random.Random(f"{mode} {seed}")
    while True:
        space = _Generator(rng, mode).space(seed)
        pages, visits = _cost(space)
        if pages <= _PAGE_LIMIT and visits <= _VISIT_LIMIT:
            return space


class _Generator:
    def __init__(self, rng: random.Random, mode: str) -> None:
        self.rng = rng
        self.mode = mode
        offset = 32 * rng.randrange(128) if mode == "pae" and rng.random() < 0.5 else 0
        self.tables = Tables(mode, root_offset=offset)
        self.path = [self.tables.root & ~0xFFF]
        self.done: dict[int, list[int]] = {}
        self.pse = rng.random() < 0.8
        self.nxe = rng.random() < 0.8
        self.maxphyaddr = rng.choice((52, 52, 52, 46, 40, 36))
        self.wild = rng.choice((0.0, 0.02, 0.1, 0.3))  # how often an entry is something odd
        self.budget = rng.choice((4, 8, 16, 30))  # tables
        self.flags = [self._flags() for _ in range(rng.choice((1, 3, 8)))]

    def space(self, seed: int) -> Space:
        rng = self.rng
        top = TOP[self.mode]
        self._fill(self.tables.root, top)
        root = self.tables.root
        if rng.random() < 0.01:
            root = rng.choice(NOWHERE)
        if self.mode != "pae" and rng.random() < 0.2:
            root |= rng.choice((PWT, PCD, 0xABC))  # flags, or a PCID
        if top >= 4 and rng.random() < 0.05:
            root |= rng.choice((1, 2, 3)) << 61  # LAM
        return Space(
            seed, self.tables, root, self.pse, self.nxe, rng.random() < 0.8, self.maxphyaddr
        )

    def _flags(self) -> int:
        """P and RW, US, PWT, PCD, A, D; NX now and then."""
        rng = self.rng
        flags = P
        for bit, chance in ((RW, 0.7), (US, 0.7), (PWT, 0.2), (PCD, 0.2), (A, 0.5), (D, 0.5)):
            flags |= bit if rng.random() < chance else 0
        if self.mode != "32-bit" and self.nxe and rng.random() < 0.3:
            flags |= NX
        if self.mode in ("4-level", "5-level") and rng.random() < 0.2:
            flags |= rng.randrange(2048) << 52  # ignored bits and protection keys
        return flags | (rng.randrange(8) << 9 if rng.random() < 0.2 else 0)

    def _fill(self, table: int, level: int) -> None:
        rng = self.rng
        count = entries_in(self.mode, level)
        shape = rng.choice(("few", "few", "edges", "run", "run", "many" if level == 1 else "few"))
        if count == 4:
            chosen = [i for i in range(4) if rng.random() < 0.6]
        elif shape == "few":
            chosen = rng.sample(range(count), rng.randint(1, 4))
        elif shape == "edges":
            chosen = [0, count - 1, *rng.sample(range(count), 2)]
        elif shape == "run":
            start = rng.randrange(count)
            chosen = list(range(start, min(count, start + rng.choice((3, 20, 200)))))
        else:
            chosen = [i for i in range(count) if rng.random() < 0.9]
        step = 1 << shift_of(self.mode, level)
        flags, pa, subtree = rng.choice(self.flags), self._frame(step), rng.random() < 0.3
        for index in chosen:
            if shape in ("few", "edges") or rng.random() < 0.1:
                flags, pa, subtree = rng.choice(self.flags), self._frame(step), rng.random() < 0.5
            self.tables.set(table, index, self._entry(level, flags, pa, subtree))
            pa = self._wrapped(pa + step)

    def _entry(self, level: int, flags: int, pa: int, subtree: bool) -> int:
        rng = self.rng
        if rng.random() < self.wild:
            return self._odd(level, flags, pa)
        large = level in PAGE_SIZES[self.mode] and (self.mode != "32-bit" or self.pse)
        if level == 1 or large and not subtree:
            flags |= (G if rng.random() < 0.2 else 0) | (PAT if rng.random() < 0.1 else 0)
            return leaf_entry(self.mode, pa, PAGE_SIZES[self.mode][level], flags)
        if (self.mode, level) == ("pae", 3):
            flags &= P | PWT | PCD | 7 << 9
        return self._subtree(level) | flags if level > 1 else 0

    def _subtree(self, level: int) -> int:
        """A new table of the level below, or one of that level that is there already."""
        rng = self.rng
        siblings = self.done.setdefault(level - 1, [])
        if siblings and (rng.random() < 0.4 or len(self.tables.pages) >= self.budget):
            return rng.choice(siblings)
        table = self.tables.alloc()
        self.path.append(table)
        if len(self.tables.pages) <= self.budget:
            self._fill(table, level - 1)
        self.path.pop()
        siblings.append(table)
        return table

    def _odd(self, level: int, flags: int, pa: int) -> int:
        """Not present, pointing outside RAM, at itself or a stranger, or with a reserved bit."""
        rng = self.rng
        wide = self.mode != "32-bit"
        keep = ~0 if (self.mode, level) != ("pae", 3) else P | PWT | PCD
        what = rng.choice(("absent", "nowhere", "recursive", "stranger", "reserved", "raw"))
        if what == "absent":
            return rng.getrandbits(8 * entry_size(self.mode)) & ~P
        if what == "nowhere":
            return rng.choice(NOWHERE + NOWHERE_HIGH if wide else NOWHERE) | flags & keep
        if what == "recursive":
            return rng.choice(self.path) | flags & keep
        if what == "stranger":
            return rng.choice(list(self.tables.pages)) | flags & keep
        if what == "reserved":
            if wide:
                reserved = 1 << rng.choice(
                    (
                        7,
                        13,
                        20,
                        29,
                        36,
                        40,
                        46,
                        51,
                        52,
                        62,
                        63,
                        *((1, 2, 5, 8) if keep != ~0 else ()),
                    )
                )
            else:
                reserved, pa = 1 << rng.choice((13, 17, 20, 21)) | PS, pa & 0xFFFFFFFF
            otherwise = rng.choice((pa | flags, pa | flags | PS, self.path[-1] | flags & keep))
            return otherwise | reserved
        raw = rng.getrandbits(8 * entry_size(self.mode)) | P
        if level > 1:  # it may lead on: not to a device, and not to where nobody wrote
            raw &= 0xFFF if not wide else 0xFFF0_0000_0000_0FFF
            raw |= rng.choice((*self.tables.pages, *NOWHERE))
        return raw

    def _frame(self, step: int) -> int:
        """A page frame's address of any size up to MAXPHYADDR, aligned to `step`."""
        limit = self.maxphyaddr
        if self.mode == "32-bit":
            limit = min(40, limit) if step == MIB4 and self.rng.random() < 0.5 else 32
        bits = self.rng.randint(24, limit)
        return self.rng.getrandbits(bits) & ~(step - 1) & ~0xFFF

    def _wrapped(self, pa: int) -> int:
        limit = (
            self.maxphyaddr
            if self.mode != "32-bit"
            else 32
            if pa <= 1 << 32
            else min(40, self.maxphyaddr)
        )
        return pa & (1 << limit) - 1


def _cost(space: Space) -> tuple[int, int]:
    """Leaves and tables by path, counted as the loosest walker would."""
    mode = space.mode
    fmt, mask = ("I", 0xFFFFF000) if mode == "32-bit" else ("Q", (1 << 50) - 4096)
    known: dict[tuple[int, int], tuple[int, int]] = {}

    def cost(table: int, level: int) -> tuple[int, int]:
        if (table, level) not in known:
            count = entries_in(mode, level)
            data = space.read(table, count * entry_size(mode))
            leaves, visits = 0, 1
            for entry in struct.unpack(f"<{count}{fmt}", data) if data else ():
                if not entry & P:
                    continue
                large = entry & PS and level in PAGE_SIZES[mode] and (mode != "32-bit" or space.pse)
                if level == 1 or large:
                    leaves += 1
                else:
                    below = cost(entry & mask, level - 1)
                    leaves, visits = leaves + below[0], visits + below[1]
            known[table, level] = leaves, visits
        return known[table, level]

    return cost(space.tables.root, TOP[mode])


def spaces(mode: str, count: int, first: int = 0) -> Iterator[Space]:
    for seed in range(first, first + count):
        yield random_space(seed, mode)
