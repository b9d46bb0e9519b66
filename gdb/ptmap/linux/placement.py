"""Where the symbols of a kernel's file belong, if the file is the running kernel's."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..base.errors import Refusal
from ..base.text import printable
from ..spaces.virtual_memory import Unreadable
from .kernel import Kernel
from .place import Stub, kaslr_offset

if TYPE_CHECKING:
    from .._core import KernelFile

_BANNER_READ = 400  # bytes of the banner: they fit one packet of any stub
_PER_CPU = ".data..percpu"


class Placement(NamedTuple):
    """How far the file's sections are above their link addresses."""

    offset: int
    unmoved: str  # the section that stays at its link address, 0; "" if there is none


def by_tables(linux: Kernel, file: KernelFile, path: str) -> Placement:
    """By the kernel's text. PATH is the file's name. Error: Refusal if it is another kernel's."""
    offset = linux.image.text.first - file.text
    mask = (1 << (64 if linux.space.paging.canonical else 32)) - 1
    try:
        running = linux.memory.string(file.banner_at + offset & mask, 512)
    except Unreadable:
        running = b""
    if running.strip() != file.banner.strip():
        whose = printable(file.banner.split(b" (")[0])
        raise Refusal(f"{printable(path)} is another kernel's: {whose}")
    return _placement(offset, file)


def by_reading(stub: Stub, pc: int | None, file: KernelFile, path: str) -> Placement:
    """As by_tables(), if no tables can be read without symbols: looks for the file's banner. PC: of
    a CPU that runs the kernel. Error: Refusal."""
    banner = file.banner[:_BANNER_READ]
    found = kaslr_offset(stub, pc, file.text, file.end, file.banner_at, banner)
    if found is None:
        raise Refusal(f"{printable(path)} is not this kernel's: its linux_banner is not in memory")
    return _placement(found[0], file)


def _placement(offset: int, file: KernelFile) -> Placement:
    # Where per-CPU variables are offsets from 0 they do not move with the kernel: 64-bit until
    # Linux 6.14.
    return Placement(offset, _PER_CPU if file.per_cpu_from_zero else "")
