"""Symbols that ptmap gives GDB from an ELF image in the guest's memory."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from contextlib import contextmanager
from typing import Iterator

import gdb

from .errors import Refusal

_folder: str | None = None  # GDB reads a symbol file again when it likes: it stays until GDB ends
_loaded: tuple[str, int] | None = None  # path, offset


def load(name: str, content: bytes, offset: int) -> None:
    """Symbols of an ELF file, moved by `offset` from where it was linked. They replace those that
    were loaded so before. Error: Refusal."""
    global _folder, _loaded
    try:
        if _folder is None:
            _folder = tempfile.mkdtemp(prefix="ptmap-")
            atexit.register(shutil.rmtree, _folder, ignore_errors=True)
        path = os.path.join(_new_folder(_folder), name)
        with open(path, "wb") as file:
            file.write(content)
    except OSError as error:
        raise Refusal(f"-load: {error.filename}: {error.strerror}") from None
    unload()
    try:
        _add(path, offset)
    except gdb.error as error:
        raise Refusal(f"-load: GDB does not take the image's symbols: {error}") from None
    _loaded = path, offset


def unload() -> None:
    """Takes away what load() gave, if it is still there."""
    global _loaded
    if _loaded is None:
        return
    path, _ = _loaded
    if _is_there(path):
        gdb.execute(f"remove-symbol-file {quoted(path)}", to_string=True)
    shutil.rmtree(os.path.dirname(path), ignore_errors=True)
    _loaded = None


@contextmanager
def kept() -> Iterator[None]:
    """Around what makes GDB forget all symbols."""
    was_there = _loaded is not None and _is_there(_loaded[0])
    try:
        yield
    finally:
        if was_there and _loaded is not None and not _is_there(_loaded[0]):
            _add(*_loaded)


def _add(path: str, offset: int) -> None:
    gdb.execute(f"add-symbol-file {quoted(path)} -o {offset:#x}", to_string=True)


def is_ours(path: str) -> bool:
    """Whether load() gave it."""
    return _loaded is not None and path == _loaded[0]


def _is_there(path: str) -> bool:
    return any(file.filename == path for file in gdb.objfiles())


def quoted(path: str) -> str:
    """One word of a GDB command."""
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _new_folder(parent: str) -> str:
    """One of its own for each image, so that GDB shows the file by the image's name."""
    return tempfile.mkdtemp(dir=parent)
