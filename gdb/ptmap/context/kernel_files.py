"""The kernel's ELF files whose symbols GDB has, and `ptmap kaslr`'s new one at its place."""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Callable, NamedTuple, TypeVar

from ..base import native
from ..base.errors import Refusal
from ..base.text import printable
from ..debugger import files, lookup, symbol_files
from ..linux import placement, vmlinux
from ..linux.kernel import Kernel
from ..linux.place import Stub

if TYPE_CHECKING:
    from .._core import KernelFile

_T = TypeVar("_T")


class Loaded(NamedTuple):
    """A kernel's file whose symbols GDB has."""

    path: str
    text: int  # the link address of _text
    build_id: placement.BuildId | None


def inspect(path: str) -> KernelFile:
    """Reads a kernel's ELF file. Error: Refusal if it is not a Linux kernel with symbols."""
    return _read(path, native.core.read_kernel_file)


def build_id(path: str) -> placement.BuildId | None:
    """An ELF file's build id. Error: Refusal if it is no ELF file."""
    found = _read(path, native.core.elf_build_id)
    return placement.BuildId(*found) if found is not None else None


def _read(path: str, reader: Callable[[int], _T]) -> _T:
    """What READER makes of the open file. Error: Refusal."""
    try:
        with files.open_regular(path) as file:
            return reader(file.fileno())
    except OSError as error:
        raise Refusal(f"{printable(path)}: {error.strerror}") from None
    except ValueError as error:
        raise Refusal(f"{printable(path)} is {error}") from None


def load(linux: Kernel, path: str) -> None:
    """Makes PATH the kernel's symbol file, at the kernel's place. Error: Refusal if it is another
    kernel's; then the symbols stay as they are."""
    _load(path, placement.by_tables(linux, inspect(path), build_id(path), path))


def load_found(linux: Kernel) -> None:
    """Looks for the kernel's file on this machine and makes it GDB's symbol file. Error: Refusal,
    which says where it looked, if there is no file with the kernel's build id."""
    release, folders = vmlinux.release(linux), symbol_files.debug_folders()
    tried = set()
    refused = None
    for path in chain(vmlinux.by_release(release, folders), vmlinux.by_build_id(linux, folders)):
        real = os.path.realpath(path)
        if real in tried or not os.path.isfile(real):
            continue
        tried.add(real)
        try:
            place = placement.by_tables(linux, inspect(path), build_id(path), path)
        except Refusal as error:
            refused = refused or error
            continue
        if place.is_proved:
            _load(path, place)
            return
        refused = refused or Refusal(f"{printable(path)} has no build id that the kernel has")
    if refused is not None:
        raise refused
    looked = ", ".join(printable(folder) for folder in (*folders, "/boot"))
    raise Refusal(
        f"no vmlinux of {release} is in {looked} or /lib/modules: install it (Debian: "
        f"linux-image-{release}-dbg), or name it: `ptmap kaslr VMLINUX`"
    )


def load_by_reading(stub: Stub, pc: int | None, path: str) -> None:
    """As load(), if no tables can be read without symbols. Error: Refusal."""
    _load(path, placement.by_reading(stub, pc, inspect(path), build_id(path), path))


def _load(path: str, place: placement.Placement) -> None:
    text = lookup.link_address("_text")
    loaded = {one: text - file.text if text else 0 for one, file in _loaded().items()}
    symbol_files.replace(path, place.offset, loaded, place.unmoved)


def loaded() -> Loaded | None:
    """The kernel's file whose symbols are loaded; the first if there are several."""
    for path, file in _loaded().items():
        with suppress(Refusal):
            return Loaded(path, file.text, build_id(path))
    return None


def _loaded() -> dict[str, KernelFile]:
    """The kernels' files whose symbols are loaded, by path."""
    found = {}
    for path in symbol_files.paths():
        with suppress(Refusal):
            found[path] = inspect(path)
    return found
