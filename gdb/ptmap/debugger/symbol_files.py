"""Symbols that ptmap gives to GDB: of an ELF image in the guest's memory, or of a kernel's file."""

from __future__ import annotations

import os
import shutil
import struct
import tempfile
from contextlib import contextmanager, suppress
from typing import Iterator, Mapping

import gdb

from ..base import lifetimes, private_folder
from ..base.errors import Refusal

# A 64-bit ELF header without sections (ELF specification, figure 1-3; EM_X86_64).
_EMPTY_ELF = struct.pack(
    "<4s12sHHIQQQI6H", b"\x7fELF", b"\2\1\1", 2, 62, 1, 0, 0, 0, 0, 64, *[0] * 5
)


class _Given:
    """What load() gave. Lives as long as GDB, which may read a symbol file again at any time."""

    path: str | None = None


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
    _given().path = path


def unload() -> None:
    """Removes what load() gave, if it is still there."""
    given = _given()
    if given.path is None:
        return
    if _is_there(given.path):
        _run("remove-symbol-file", given.path)
    shutil.rmtree(os.path.dirname(given.path), ignore_errors=True)
    given.path = None


def replace(path: str, offset: int, loaded: Mapping[str, int], unmoved: str = "") -> None:
    """Gives GDB the symbols of PATH instead of those of its own symbol file and of the others in
    LOADED, which has how far each is above its link addresses. The sections of PATH move by OFFSET,
    except UNMOVED, which stays. Other files that were added stay, such as modules.

    Error: Refusal, gdb.error, KeyboardInterrupt; then GDB has the symbols that it had.
    """
    own = gdb.current_progspace().filename
    others = [other for other in loaded if other != own]
    restore = [f"symbol-file {quoted(own)} -o {loaded.get(own, 0)}"] if own else []
    with _unasked():
        if unmoved:
            # `symbol-file` takes no sections, and `symbol-file` alone forgets all that was added.
            empty = _empty_file() if own else ""
            _run("add-symbol-file", path, f"-o {offset} -s {unmoved} 0")
            if own:
                with _undone_by(f"remove-symbol-file {quoted(path)}", *restore):
                    _run("symbol-file", empty)
        else:
            if path in others:  # GDB could not tell it from the new one
                restore.append(f"add-symbol-file {quoted(path)} -o {loaded[path]}")
            with _undone_by(*restore):
                if path in others:
                    others.remove(path)
                    _run("remove-symbol-file", path)
                _run("symbol-file", path, f"-o {offset}")
        for other in others:
            _run("remove-symbol-file", other)


def _run(command: str, path: str, more: str = "") -> None:
    gdb.execute(f"{command} {quoted(path)} {more}", to_string=True)


@contextmanager
def _undone_by(*commands: str) -> Iterator[None]:
    """On any error, Ctrl-C too, it gives GDB these commands. GDB drops its own symbol file before
    it has read all of the new one."""
    try:
        yield
    except BaseException:
        for command in commands:
            with suppress(gdb.error):
                gdb.execute(command, to_string=True)
        raise


def _empty_file() -> str:
    """An ELF file without symbols. Error: Refusal."""
    try:
        path = os.path.join(private_folder.path(), "no-symbols")
        with open(path, "wb") as file:
            file.write(_EMPTY_ELF)
    except OSError as error:
        raise Refusal(f"{error.filename}: {error.strerror}") from None
    return path


@contextmanager
def _unasked() -> Iterator[None]:
    confirm = gdb.parameter("confirm")
    gdb.execute("set confirm off")
    try:
        yield
    finally:
        gdb.execute(f"set confirm {'on' if confirm else 'off'}")


def _add(path: str, offset: int) -> None:
    _run("add-symbol-file", path, f"-o {offset:#x}")


def paths() -> list[str]:
    """The loaded symbol files, except what load() gave, and except files of debug information that
    belong to another one."""
    names = (file.filename for file in gdb.objfiles() if file.owner is None)
    return [name for name in names if name and not is_ours(name) and os.path.isfile(name)]


def debug_folders() -> list[str]:
    """Where GDB looks for debug information: `set debug-file-directory`."""
    folders = gdb.parameter("debug-file-directory") or ""
    return [folder for folder in str(folders).split(os.pathsep) if folder]


def is_ours(path: str) -> bool:
    """Whether load() gave it."""
    return path == _given().path


def _is_there(path: str) -> bool:
    return any(file.filename == path for file in gdb.objfiles())


def quoted(path: str) -> str:
    """The path as one word of a GDB command."""
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _new_folder() -> str:
    """Each image has a folder of its own, so that GDB shows the file by the image's name."""
    return tempfile.mkdtemp(dir=private_folder.path())
