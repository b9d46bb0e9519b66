"""Gives GDB a kernel's symbols at the place where KASLR put the kernel."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from ..base.errors import Refusal
from ..base.text import printable
from ..debugger import symbol_files
from ..spaces.virtual_memory import Unreadable
from .kernel import Kernel
from .place import Read, kaslr_offset

_BANNER_READ = 400  # bytes of the banner: they fit one packet of any stub
_SECONDS = 120  # how long another GDB may take to read a file


@dataclass(frozen=True)
class Vmlinux:
    """What a kernel's ELF file tells."""

    text: int  # the link addresses of _text
    end: int  # and _end
    banner_at: int  # and linux_banner
    banner: str


def inspect(path: str) -> Vmlinux:
    """Reads a kernel's ELF file. Error: Refusal if it is not a Linux kernel with symbols.

    Another GDB reads the file, so that the symbols of this one stay as they are.
    """
    if not os.path.isfile(path):
        why = "not a regular file" if os.path.exists(path) else "no such file"
        raise Refusal(f"{printable(path)}: {why}")
    import subprocess  # here, because it makes loading ptmap slow

    commands = (
        r'printf "%#lx %#lx %#lx\n", (unsigned long)&_text, (unsigned long)&_end,'
        " (unsigned long)&linux_banner",
        "x/s &linux_banner",
    )
    words = ["/proc/self/exe", "-nx", "-batch", "-readnever", "-iex", "set print elements 0", path]
    environment = os.environ | {"LC_ALL": "C", "DEBUGINFOD_URLS": ""}
    try:
        done = subprocess.run(
            words + [word for command in commands for word in ("-ex", command)],
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Refusal(f"{printable(path)}: {error}") from None
    addresses = re.search(r"^0x([0-9a-f]+) 0x([0-9a-f]+) 0x([0-9a-f]+)$", done.stdout, re.MULTILINE)
    banner = re.search(r'"(Linux version .*?)(?:\\n)?"$', done.stdout, re.MULTILINE)
    if not addresses or not banner:
        raise Refusal(f"{printable(path)} is not a Linux kernel with symbols (a vmlinux is)")
    text, end, banner_at = (int(digits, 16) for digits in addresses.groups())
    return Vmlinux(text, end, banner_at, banner[1])


def load(linux: Kernel, path: str) -> None:
    """Makes PATH the only symbol file, at the kernel's place. Error: Refusal if it is another
    kernel's; then the symbols stay as they are."""
    file = inspect(path)
    offset = linux.image.text.start - file.text
    _require_same(linux, file, offset, path)
    _place(path, offset, file)


def load_by_reading(read: Read, pc: int | None, path: str) -> None:
    """As load(), if no tables can be read without symbols: READ, of linear addresses, looks for
    the file's banner. Error: Refusal."""
    file = inspect(path)
    banner = file.banner.encode("ascii", "replace")[:_BANNER_READ]
    found = kaslr_offset(read, pc, file.text, file.end, file.banner_at, banner)
    if found is None:
        raise Refusal(f"{printable(path)} is not this kernel's: its linux_banner is not in memory")
    _place(path, found[0], file)


def _place(path: str, offset: int, file: Vmlinux) -> None:
    # Per-CPU variables are offsets from 0 on 64-bit: they do not move with the kernel.
    symbol_files.replace(path, offset, ".data..percpu" if file.text >> 32 else "")


def linked_text() -> int | None:
    """The link address of _text, from the file whose symbols are loaded."""
    for path in symbol_files.files_with("linux_banner"):
        try:
            return inspect(path).text
        except Refusal:
            continue
    return None


def _require_same(linux: Kernel, file: Vmlinux, offset: int, path: str) -> None:
    mask = (1 << (64 if linux.space.paging.canonical else 32)) - 1
    try:
        running = linux.memory.string(file.banner_at + offset & mask, 512)
    except Unreadable:
        running = b""
    if running.decode("ascii", "replace").strip() != file.banner.strip():
        whose = printable(file.banner.split(" (")[0])
        raise Refusal(f"{printable(path)} is another kernel's: {whose}")
