"""The kernel's ELF files whose symbols GDB has, and `ptmap kaslr`'s new one at its place."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ..base import native
from ..base.errors import Refusal
from ..base.text import printable
from ..debugger import files, lookup, symbol_files
from ..linux import placement
from ..linux.kernel import Kernel
from ..linux.place import Stub

if TYPE_CHECKING:
    from .._core import KernelFile


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
    _load(path, placement.by_tables(linux, inspect(path), path))


def load_by_reading(stub: Stub, pc: int | None, path: str) -> None:
    """As load(), if no tables can be read without symbols. Error: Refusal."""
    _load(path, placement.by_reading(stub, pc, inspect(path), path))


def _load(path: str, place: placement.Placement) -> None:
    text = lookup.link_address("_text")
    loaded = {one: text - file.text if text else 0 for one, file in _loaded().items()}
    symbol_files.replace(path, place.offset, loaded, place.unmoved)


def linked_text() -> int | None:
    """The link address of _text, from the file whose symbols are loaded."""
    return next((file.text for file in _loaded().values()), None)


def _loaded() -> dict[str, KernelFile]:
    """The kernels' files whose symbols are loaded, by path."""
    found = {}
    for path in symbol_files.paths():
        with suppress(Refusal):
            found[path] = inspect(path)
    return found
