"""Where the symbols of a kernel's file belong, if the file is the running kernel's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, NamedTuple

from ..base.errors import Refusal
from ..base.text import printable
from ..spaces.virtual_memory import Unreadable
from .kernel import Kernel
from .place import Stub, kaslr_offset

if TYPE_CHECKING:
    from .._core import KernelFile

_BANNER_READ = 400  # bytes of the banner: they fit one packet of any stub
_PER_CPU = ".data..percpu"
_NOTE_HEAD = 16  # bytes of an ELF note before its build id: three words, and "GNU" with its NUL


class BuildId(NamedTuple):
    """A file's build id, and its link address."""

    va: int
    content: bytes


class Placement(NamedTuple):
    """How far the file's sections are above their link addresses."""

    offset: int
    unmoved: str  # the section that stays at its link address, 0; "" if there is none
    is_proved: bool  # whether the kernel has the file's build id; else it has its banner only


def by_tables(linux: Kernel, file: KernelFile, build_id: BuildId | None, path: str) -> Placement:
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

    def read(va: int, length: int) -> bytes | None:
        try:
            return linux.memory.read(va & mask, length)
        except Unreadable:
            return None

    return _placement(offset, file, _has_build_id(read, offset, build_id, path))


def by_reading(
    stub: Stub, pc: int | None, file: KernelFile, build_id: BuildId | None, path: str
) -> Placement:
    """As by_tables(), if no tables can be read without symbols: looks for the file's banner. PC: of
    a CPU that runs the kernel. Error: Refusal."""
    banner = file.banner[:_BANNER_READ]
    found = kaslr_offset(stub, pc, file.text, file.end, file.banner_at, banner)
    if found is None:
        raise Refusal(f"{printable(path)} is not this kernel's: its linux_banner is not in memory")
    offset = found[0]
    return _placement(offset, file, _has_build_id(stub.read, offset, build_id, path))


def _has_build_id(
    read: Callable[[int, int], bytes | None], offset: int, wanted: BuildId | None, path: str
) -> bool:
    """Whether the kernel has the file's build id at its place; False if the file has none, or if
    that cannot be read. Error: Refusal if there is another one: two builds of one source may have
    the same banner."""
    if wanted is None:
        return False
    note = read(wanted.va + offset - _NOTE_HEAD, _NOTE_HEAD + len(wanted.content))
    if note is None:
        return False
    there = note[_NOTE_HEAD:]
    if there == wanted.content:
        return True
    is_note = note[4:_NOTE_HEAD] == len(there).to_bytes(4, "little") + b"\3\0\0\0GNU\0"
    raise Refusal(
        f"{printable(path)} is another build of this kernel: its build id is "
        f"{wanted.content.hex()}, the kernel's {'is ' + there.hex() if is_note else 'not there'}"
    )


def _placement(offset: int, file: KernelFile, is_proved: bool) -> Placement:
    # Where per-CPU variables are offsets from 0 they do not move with the kernel: 64-bit until
    # Linux 6.14.
    return Placement(offset, _PER_CPU if file.per_cpu_from_zero else "", is_proved)
