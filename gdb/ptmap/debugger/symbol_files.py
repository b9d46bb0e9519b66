"""Symbols that ptmap gives to GDB: of an ELF image in the guest's memory, or of a kernel's file."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from typing import Iterator

import gdb

from ..base import lifetimes, private_folder
from ..base.errors import Refusal


class _Given:
    """What load() gave. Lives as long as GDB, which may read a symbol file again at any time."""

    loaded: tuple[str, int] | None = None  # path, offset


def _given() -> _Given:
    return lifetimes.session.of(_Given)


def load(name: str, content: bytes, offset: int) -> None:
    """Gives GDB the symbols of an ELF file, `offset` above where it was linked. They replace those
    of an earlier load(). Error: Refusal."""
    try:
        path = os.path.join(_new_folder(), name)
        with open(path, "wb") as file:
            file.write(content)
    except OSError as error:
        raise Refusal(f"-load: {error.filename}: {error.strerror}") from None
    unload()
    try:
        _add(path, offset)
    except gdb.error as error:
        raise Refusal(f"-load: GDB refuses the image's symbols: {error}") from None
    _given().loaded = path, offset


def unload() -> None:
    """Removes what load() gave, if it is still there."""
    given = _given()
    if given.loaded is None:
        return
    path, _ = given.loaded
    if _is_there(path):
        gdb.execute(f"remove-symbol-file {quoted(path)}", to_string=True)
    shutil.rmtree(os.path.dirname(path), ignore_errors=True)
    given.loaded = None


@contextmanager
def kept() -> Iterator[None]:
    """Gives GDB what load() gave once more, if what runs inside makes GDB forget all symbols."""
    given = _given()
    was_there = given.loaded is not None and _is_there(given.loaded[0])
    try:
        yield
    finally:
        if was_there and given.loaded is not None and not _is_there(given.loaded[0]):
            _add(*given.loaded)


def replace(path: str, offset: int, section: str = "") -> None:
    """Makes PATH the only symbol file besides what load() gave. Its sections move by OFFSET, except
    SECTION, which stays at 0. Error: gdb.error."""
    at_0 = f" -s {section} 0" if section else ""
    with _unasked(), kept():
        gdb.execute("symbol-file", to_string=True)
        gdb.execute(f"add-symbol-file {quoted(path)} -o {offset}{at_0}", to_string=True)


@contextmanager
def _unasked() -> Iterator[None]:
    confirm = gdb.parameter("confirm")
    gdb.execute("set confirm off")
    try:
        yield
    finally:
        gdb.execute(f"set confirm {'on' if confirm else 'off'}")


def _add(path: str, offset: int) -> None:
    gdb.execute(f"add-symbol-file {quoted(path)} -o {offset:#x}", to_string=True)


def files_with(symbol: str) -> list[str]:
    """The loaded symbol files that have this global symbol."""
    return [
        file.filename
        for file in gdb.objfiles()
        if file.filename and file.lookup_global_symbol(symbol)
    ]


def is_ours(path: str) -> bool:
    """Whether load() gave it."""
    loaded = _given().loaded
    return loaded is not None and path == loaded[0]


def _is_there(path: str) -> bool:
    return any(file.filename == path for file in gdb.objfiles())


def quoted(path: str) -> str:
    """The path as one word of a GDB command."""
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _new_folder() -> str:
    """Each image has a folder of its own, so that GDB shows the file by the image's name."""
    return tempfile.mkdtemp(dir=private_folder.path())
