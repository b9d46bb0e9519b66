"""A lab kernel that, instead of waiting, runs a few instructions round and round: many stops."""

from __future__ import annotations

import mmap
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from gdbsession import GdbSession, ptmap_script
from qemu import Qemu

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Kind:
    lab: str
    qemu: str
    cpu: str
    count: bytes  # loop: inc (%rax); jmp loop
    switch: bytes  # loop: mov %rax, %cr3; xchg %rax, %rbx; jmp loop
    direct_map: int  # linear address of physical 0
    text: int  # a user page of the lab
    hole: int  # in a PT of the lab's, not present


_WIDE = (bytes.fromhex("48ff00 ebfb"), bytes.fromhex("0f22d8 4893 ebf9"), 0xFFFF888000000000,
         0x401000, 0x500000)  # fmt: skip
_NARROW = (bytes.fromhex("ff00 ebfc"), bytes.fromhex("0f22d8 93 ebfa"), 0xC0000000,
           0x08048000, 0x08100000)  # fmt: skip
KINDS = {
    "lab64": Kind("lab64", "qemu-system-x86_64", "qemu64", *_WIDE),
    "lab64-5": Kind("lab64", "qemu-system-x86_64", "max", *_WIDE),
    "lab32": Kind("lab32", "qemu-system-i386", "pentium3", *_NARROW),
    "lab32-64": Kind("lab32", "qemu-system-x86_64", "qemu64", *_NARROW),
}


class Looping:
    """Stopped at the head of the loop, breakpoints none, GDB attached. A context manager."""

    def __init__(self, name: str, out: Path, args: tuple[str, ...] = ()) -> None:
        self.kind = kind = KINDS[name]
        elf = "lab64.elf" if kind.lab == "lab64" else "lab32-3g.elf"
        subprocess.run(["make", "-sC", ROOT / "examples" / kind.lab, f"OUT={out}"], check=True)
        kernel = out / (elf + "32" if kind.lab == "lab64" else elf)
        self.qemu = Qemu(
            ["-kernel", str(kernel), "-cpu", kind.cpu, *args], binary=kind.qemu, ram_file=True
        )
        try:
            self.gdb = GdbSession(script=ptmap_script())
            self.gdb.run(f"file {out / elf}")
            if name == "lab32-64":  # its registers are 64 bits wide
                self.gdb.run("set architecture i386:x86-64")
            self.gdb.attach(self.qemu.gdb_target)
            self.gdb.run("tbreak *lab_wait")
            self.gdb.run("continue")
            assert self.qemu.ram_path is not None
            descriptor = os.open(self.qemu.ram_path, os.O_RDWR)
            self.ram = mmap.mmap(descriptor, 0)
            os.close(descriptor)
            self.head = self.gdb.eval("(unsigned long)&lab_wait")
            self.root = self.gdb.eval("$cr3") & ~0xFFF
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Looping:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if hasattr(self, "gdb"):
            self.gdb.close()
        self.qemu.close()

    def load(self, code: bytes) -> None:
        """At the head; the next instruction is its first."""
        self.gdb.run("delete")
        at = self.gdb.python(
            "import ptmap; result = ptmap.space().walk("
            "int(gdb.parse_and_eval('(unsigned long)&lab_wait'))).pa"
        )
        # Through GDB, so that QEMU forgets what it has translated.
        self.gdb.python(f"gdb.selected_inferior().write_memory({self.head:#x}, {code!r})")
        assert self.ram[at : at + len(code)] == code
        self.register("pc", self.head)

    def register(self, name: str, value: int) -> None:
        if name != "pc" and self.kind.qemu == "qemu-system-x86_64":
            name = name.replace("e", "r", 1)
        self.gdb.run(f"set ${name} = {value:#x}")

    def entry_of(self, va: int) -> int:
        """The physical address of its PTE."""
        return self.gdb.python(
            f"import ptmap; result = ptmap.space().walk({va:#x}).steps[-1].entry_address"
        )

    def number(self, pa: int) -> int:
        width = 8 if self.kind.lab == "lab64" else 4
        return int.from_bytes(self.ram[pa : pa + width], "little")
