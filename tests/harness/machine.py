"""A bare machine: a paused QEMU whose page tables and control registers a test sets itself.

No guest code runs. Memory is written through the RAM file where there is one, else by packets in
QEMU's physical mode; registers by raw P packets over GDB's connection.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Sequence, TypeVar

import judges
import naive
from gdbsession import GdbSession
from qemu import Qemu

CR0_PE, CR0_ET, CR0_WP, CR0_PG = 1, 1 << 4, 1 << 16, 1 << 31
CR4_PSE, CR4_PAE, CR4_PGE, CR4_LA57 = 1 << 4, 1 << 5, 1 << 7, 1 << 12
CR4_PCIDE, CR4_SMEP, CR4_SMAP, CR4_PKE = 1 << 17, 1 << 20, 1 << 21, 1 << 22
EFER_LME, EFER_LMA, EFER_NXE = 1 << 8, 1 << 10, 1 << 11

# QEMU's remote register numbers (gdb-xml/i386-64bit.xml); 8 bytes each, EFLAGS and CS 4.
_REGNUM = {"eflags": 17, "cs": 18, "cr0": 27, "cr2": 28, "cr3": 29, "cr4": 30, "efer": 32}
# Two 64-bit code segments, so that CS can always change: QEMU reloads it only then.
_GDT = bytes(8) + (0x00AF9A000000FFFF).to_bytes(8, "little") * 2
_CHUNK = 1024  # bytes in an M or m packet

T = TypeVar("T")


@dataclass(frozen=True)
class Registers:
    cr0: int
    cr3: int
    cr4: int
    efer: int

    @property
    def mode(self) -> str:
        return naive.mode_of(self.cr4, self.efer)


def registers_for(
    mode: str,
    root: int,
    *,
    pse: bool = True,
    nxe: bool = True,
    wp: bool = True,
    pge: bool = True,
    smep: bool = False,
    smap: bool = False,
    pke: bool = False,
) -> Registers:
    cr4 = {"32-bit": 0, "pae": CR4_PAE, "4-level": CR4_PAE, "5-level": CR4_PAE | CR4_LA57}[mode]
    for on, bit in (
        (pse, CR4_PSE),
        (pge, CR4_PGE),
        (smep, CR4_SMEP),
        (smap, CR4_SMAP),
        (pke, CR4_PKE),
    ):
        cr4 |= bit if on else 0
    efer = EFER_LME | EFER_LMA if mode in ("4-level", "5-level") else 0
    return Registers(
        CR0_PG | CR0_ET | CR0_PE | (CR0_WP if wp else 0), root, cr4, efer | (EFER_NXE if nxe else 0)
    )


class BareMachine:
    """A paused QEMU and a GDB attached to it. A context manager, or close()."""

    def __init__(
        self,
        *,
        cpu: str = "max",
        memory: str = "64M",
        machine: str = "pc",
        args: Sequence[str] = (),
        ram_file: bool = True,
        gdb: str = "gdb",
        script: Path | str | None = None,
        tcp: str | None = None,
        user: int | None = None,
        prefix: Sequence[str] = (),
        confine: Callable[[], None] | None = None,
    ) -> None:
        self.qemu = Qemu(
            ["-cpu", cpu, *args],
            memory=memory,
            machine=machine,
            ram_file=ram_file,
            serial_lines=0,
            tcp=tcp,
            user=user,
        )
        try:
            self.session = GdbSession(gdb, script, prefix=prefix, confine=confine)
            self.session.attach(self.qemu.gdb_target)
            self.regions = judges.parse_mtree(self.hmp("info mtree -f"))
        except BaseException:
            self.close()
            raise
        self._ram: mmap.mmap | None = None
        if self.qemu.ram_path is not None:
            descriptor = os.open(self.qemu.ram_path, os.O_RDWR)
            self._ram = mmap.mmap(descriptor, 0)
            os.close(descriptor)

    def __enter__(self) -> BareMachine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if hasattr(self, "session"):
            self.session.close()
        self.qemu.close()

    def hmp(self, line: str) -> str:
        return self.qemu.hmp(line)

    # Physical memory

    def read_phys(self, pa: int, length: int) -> bytes | None:
        """None unless all of it is RAM, or all of it ROM."""
        where = self._offset(pa, length)
        if where is None and not any(
            region.kind in ("rom", "romd")
            and region.start <= pa
            and pa + length <= region.start + region.size
            for region in self.regions
        ):
            return None
        if where is not None and self._ram is not None:
            return self._ram[where : where + length]
        return self._physically(
            lambda: b"".join(
                bytes.fromhex(self._packet(f"m{at:x},{min(_CHUNK, pa + length - at):x}"))
                for at in range(pa, pa + length, _CHUNK)
            )
        )

    def write_phys(self, pa: int, data: bytes) -> None:
        where = self._offset(pa, len(data))
        if where is None:
            raise ValueError(f"{pa:#x}..{pa + len(data):#x} is not RAM")
        if self._ram is not None:
            self._ram[where : where + len(data)] = data
            return

        def write() -> None:
            for at in range(0, len(data), _CHUNK):
                piece = data[at : at + _CHUNK]
                if self._packet(f"M{pa + at:x},{len(piece):x}:{piece.hex()}") != "OK":
                    raise RuntimeError(f"the stub refused to write at {pa + at:#x}")

        self._physically(write)

    def is_ram(self, pa: int, length: int) -> bool:
        return self._offset(pa, length) is not None

    def _offset(self, pa: int, length: int) -> int | None:
        """Where a piece of RAM is in the RAM file."""
        for region in self.regions:
            if (
                region.kind == "ram"
                and region.name in ("ram", "pc.ram")
                and region.start <= pa
                and pa + length <= region.start + region.size
            ):
                return pa - region.start + region.offset
        return None

    def _physically(self, work: Callable[[], T]) -> T:
        self._packet("Qqemu.PhyMemMode:1")
        try:
            return work()
        finally:
            self._packet("Qqemu.PhyMemMode:0")

    def _packet(self, packet: str) -> str:
        return (self.session.packet(packet.encode()) or b"").decode()

    # Registers

    def set_mode(self, mode: str, root: int, **bits: bool) -> Registers:
        """Paging on, in this mode; `root` is CR3, flags and all. BITS: see registers_for()."""
        registers = registers_for(mode, root, **bits)
        self.set(registers)
        return registers

    def set(self, registers: Registers) -> None:
        """Write all four, through a state with paging off, and check that QEMU took them."""
        self._write("cr0", CR0_PE | CR0_ET)  # leaves long mode, where it was on
        # Outside 64-bit code QEMU takes the low 32 bits of CR3 only, and sign-extends them.
        long_mode = bool(registers.efer & EFER_LMA)
        if long_mode or registers.cr3 >> 31:
            self._write("efer", EFER_LME | EFER_LMA)
            self._enter_64_bit_code()
        self._write("cr3", registers.cr3)
        if not long_mode and registers.cr3 >> 31:  # QEMU leaves it when paging goes off
            self._write("cr4", CR4_PAE)
            self._write("cr0", CR0_PG | CR0_PE | CR0_ET)
            self._write("cr0", CR0_PE | CR0_ET)
        self._write("efer", registers.efer)
        self._write("cr4", registers.cr4)
        self._write("cr0", registers.cr0)
        self.flush()
        names = ("cr0", "cr3", "cr4", "efer")
        answers = self.session.packets([f"p{_REGNUM[name]:x}".encode() for name in names])
        for name, answer in zip(names, answers):
            value = int.from_bytes(bytes.fromhex((answer or b"").decode()), "little")
            if value != getattr(registers, name):
                raise RuntimeError(
                    f"{name} is {value:#x}, not {getattr(registers, name):#x}: "
                    "does this CPU model have the feature?"
                )

    def set_registers(self, **values: int) -> None:
        """cr0, cr3, cr4, efer, cr2, cs, eflags: written raw, in the order given."""
        for name, value in values.items():
            self._write(name, value)
        self.flush()

    def flush(self) -> None:
        """Make GDB forget registers and memory it has seen."""
        self.session.run("maintenance flush register-cache")
        self.session.run("maintenance flush dcache")

    def _write(self, name: str, value: int) -> None:
        size = 4 if name in ("eflags", "cs") else 8
        packet = f"P{_REGNUM[name]:x}={value.to_bytes(size, 'little').hex()}"
        if self._packet(packet) != "OK":
            raise RuntimeError(f"the stub refused {packet}")

    def _enter_64_bit_code(self) -> None:
        """Load CS from a GDT lent to address 0, if GDTR points after reset; paging is off."""
        saved = self.read_phys(0, len(_GDT))
        assert saved is not None
        self.write_phys(0, _GDT)
        now = self._packet(f"p{_REGNUM['cs']:x}")
        self._write("cs", 0x10 if now == "08000000" else 0x08)
        self.write_phys(0, saved)
