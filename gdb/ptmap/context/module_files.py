"""The files of a kernel's modules, found in a folder: GDB gets their symbols, each section at its
place."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from typing import Iterator, NamedTuple

import gdb

from ..base import native
from ..base.errors import Refusal
from ..base.text import printable
from ..debugger import files, symbol_files
from ..linux import modules
from ..linux.kernel import Kernel
from ..linux.modules import Module
from ..spaces.virtual_memory import Unreadable

_FILE = re.compile(r"(.+?)\.ko(?:\.debug|(\.xz|\.gz|\.zst))?")
_SECTION = re.compile(rb"[A-Za-z_.][A-Za-z0-9_.$]*")  # one word of GDB's, in any language
_BUILD_ID = b".note.gnu.build-id"
_MOST_FILES = 1 << 18  # searched in a folder; a distribution has 5000 modules


class Loaded(NamedTuple):
    """A module, and what became of it."""

    module: Module
    path: str | None  # the file whose symbols GDB has
    why: str  # that it has none; "" if it has


def load(linux: Kernel, folder: str) -> list[Loaded]:
    """Looks for the file of each module in a folder and those in it. Error: Refusal if there is no
    such folder, or if the list of modules is damaged: then nothing is loaded."""
    if not os.path.isdir(folder):
        raise Refusal(f"-modules: {printable(folder)} is not a folder")
    wanted = list(modules.modules(linux))
    found = _files(folder, {module.name for module in wanted})
    return [_load(linux, module, found[module.name], folder) for module in wanted]


def _files(folder: str, names: set[str]) -> dict[str, list[str]]:
    """By the module's name: the largest first, which has debug information. Error: Refusal."""
    found: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for path in _walk(folder):
        match = _FILE.fullmatch(os.path.basename(path))
        name = match[1].replace("-", "_") if match else ""
        if name in names and os.path.isfile(path):
            found[name].append((-os.path.getsize(path), path))
    return defaultdict(list, {name: [path for _, path in sorted(found[name])] for name in found})


def _walk(folder: str) -> Iterator[str]:
    count = 0
    for at, _, names in os.walk(os.path.abspath(folder)):
        for name in names:
            count += 1
            if count > _MOST_FILES:
                raise Refusal(f"-modules: {printable(folder)} has more than {_MOST_FILES} files")
            yield os.path.realpath(os.path.join(at, name))  # as GDB names it


def _load(linux: Kernel, module: Module, paths: list[str], folder: str) -> Loaded:
    why = f"no {module.name}.ko in {printable(folder)}"
    for path in paths:
        try:
            symbol_files.add_sections(path, _places(linux, module, path))
            return Loaded(module, path, "")
        except Refusal as error:
            why = str(error)
        except gdb.error as error:
            why = f"GDB refuses {printable(path)}: {printable(str(error))}"
    return Loaded(module, None, why)


def _places(linux: Kernel, module: Module, path: str) -> dict[str, int]:
    """Where the sections of a file are. Error: Refusal if it is not this module's."""
    if path.endswith((".xz", ".gz", ".zst")):
        raise Refusal(f"{printable(path)} is packed: unpack it first")
    try:
        with files.open_regular(path) as file:
            build_id = native.core.elf_build_id(file.fileno())
            names = [name for name, *_ in native.core.elf_sections(file.fileno())]
    except OSError as error:
        raise Refusal(f"{printable(path)}: {error.strerror}") from None
    except ValueError as error:
        raise Refusal(f"{printable(path)} is {error}") from None
    if build_id is not None and _BUILD_ID in module.sections:
        try:
            there = linux.memory.read(module.sections[_BUILD_ID] + build_id[0], len(build_id[1]))
        except Unreadable as error:
            raise Refusal(f"{module.name}: its build id is unreadable: {error}") from None
        if there != build_id[1]:
            raise Refusal(
                f"{printable(path)} is of another build: its build id is {build_id[1].hex()}, the "
                f"module's is {there.hex()}"
            )
    else:
        raise Refusal(f"{printable(path)}: no build id tells whether it is this module's")
    return {
        name.decode(): module.sections[name]
        for name in names
        if name in module.sections and _SECTION.fullmatch(name)
    }
