"""Gives GDB a kernel's symbols at the place where KASLR put the kernel."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ..base import native
from ..base.errors import Refusal
from ..base.text import printable
from ..debugger import files, symbol_files
from ..spaces.virtual_memory import Unreadable
from .kernel import Kernel
from .place import Read, kaslr_offset

if TYPE_CHECKING:
    from .._core import KernelFile

_BANNER_READ = 400  # bytes of the banner: they fit one packet of any stub
_PER_CPU = ".data..percpu"


def inspect(path: str) -> KernelFile:
    """Reads a kernel's ELF file. Error: Refusal if it is not a Linux kernel with symbols."""
    try:
        with files.open_regular(path) as file:
            return native.core.read_kernel_file(file.fileno())
    except OSError as error:
        raise Refusal(f"{printable(path)}: {error.strerror}") from None
    except ValueError as error:
        raise Refusal(f"{printable(path)} is {error}") from None


def load(linux: Kernel, path: str) -> None:
    """Makes PATH the kernel's symbol file, at the kernel's place. Error: Refusal if it is another
    kernel's; then the symbols stay as they are."""
    file = inspect(path)
    offset = linux.image.text.first - file.text
    _require_same(linux, file, offset, path)
    _place(path, offset, file)


def load_by_reading(read: Read, pc: int | None, path: str) -> None:
    """As load(), if no tables can be read without symbols: READ, of linear addresses, looks for
    the file's banner. Error: Refusal."""
    file = inspect(path)
    found = kaslr_offset(read, pc, file.text, file.end, file.banner_at, file.banner[:_BANNER_READ])
    if found is None:
        raise Refusal(f"{printable(path)} is not this kernel's: its linux_banner is not in memory")
    _place(path, found[0], file)


def _place(path: str, offset: int, file: KernelFile) -> None:
    # Where per-CPU variables are offsets from 0 they do not move with the kernel: 64-bit until
    # Linux 6.14.
    section = _PER_CPU if file.per_cpu_from_zero else ""
    symbol_files.replace(path, offset, list(_kernels()), section)


def linked_text() -> int | None:
    """The link address of _text, from the file whose symbols are loaded."""
    return next((file.text for file in _kernels().values()), None)


def _kernels() -> dict[str, KernelFile]:
    """The kernels' files whose symbols are loaded, by path."""
    found = {}
    for path in symbol_files.paths():
        with suppress(Refusal):
            found[path] = inspect(path)
    return found


def _require_same(linux: Kernel, file: KernelFile, offset: int, path: str) -> None:
    mask = (1 << (64 if linux.space.paging.canonical else 32)) - 1
    try:
        running = linux.memory.string(file.banner_at + offset & mask, 512)
    except Unreadable:
        running = b""
    if running.strip() != file.banner.strip():
        whose = printable(file.banner.split(b" (")[0])
        raise Refusal(f"{printable(path)} is another kernel's: {whose}")
