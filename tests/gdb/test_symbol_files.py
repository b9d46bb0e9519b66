"""Symbols that ptmap gives to GDB, on small programs: what stays if GDB refuses a file."""

from __future__ import annotations

import re
import struct
import subprocess
from pathlib import Path
from typing import Any, Iterator

import pytest

from gdbsession import GdbSession, ptmap_script

OFFSET, OTHER_AT, MODULE_AT = 0x40000000, 0x20000000, 0x30000000
SHT_SYMTAB = 2

STATE = """
def state():
    files = sorted(file.filename.split('/')[-1] for file in gdb.objfiles())
    own = gdb.current_progspace().filename
    def at(name):
        try:
            return int(gdb.parse_and_eval('(unsigned long)&' + name))
        except gdb.error:
            return None
    return [files, own and own.split('/')[-1], *map(at, {names!r})]
"""
NAMES = ("own", "other", "module", "new", "fixed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program for each name, and two that GDB refuses: early, and while it reads symbols."""
    where = tmp_path_factory.mktemp("files")
    for name in NAMES[:4]:
        more = '__attribute__((section(".fixed"))) int fixed = 1;' if name == "new" else ""
        (where / f"{name}.c").write_text(f"int {name} = 1; {more} int main() {{ return 0; }}")
        subprocess.run(
            ["gcc", "-no-pie", where / f"{name}.c", "-o", where / name], check=True, timeout=60
        )
    (where / "text").write_text("not an ELF file")
    (where / "damaged").write_bytes(_damaged((where / "new").read_bytes()))
    return where


def _damaged(elf: bytes) -> bytes:
    """An ELF file whose symbol table reaches far beyond its end."""
    made = bytearray(elf)
    (sections,) = struct.unpack_from("<Q", elf, 0x28)
    (count,) = struct.unpack_from("<H", elf, 0x3C)
    for at in range(sections, sections + 64 * count, 64):
        if struct.unpack_from("<I", elf, at + 4)[0] == SHT_SYMTAB:
            struct.pack_into("<Q", made, at + 32, 1 << 40)
    return bytes(made)


@pytest.fixture()
def gdb(folder: Path) -> Iterator[GdbSession]:
    """With a symbol file of its own, moved; another program that was added; and a module."""
    with GdbSession(script=ptmap_script()) as session:
        session.run(f"symbol-file {folder}/own -o {OFFSET}")
        session.run(f"add-symbol-file {folder}/other -o {OTHER_AT}")
        session.run(f"add-symbol-file {folder}/module -o {MODULE_AT}")
        yield session


def state(gdb: GdbSession) -> list[Any]:
    answer: list[Any] = gdb.python(STATE.format(names=NAMES) + "result = state()")
    return answer


def replace(gdb: GdbSession, folder: Path, name: str, unmoved: str) -> str:
    """The error, "" if there is none."""
    loaded = {f"{folder}/own": OFFSET, f"{folder}/other": OTHER_AT}
    return str(
        gdb.python(
            f"""
from ptmap.debugger import symbol_files
result = ''
try:
    symbol_files.replace({f'{folder}/{name}'!r}, 0x1000, {loaded!r}, {unmoved!r})
except gdb.error as error:
    result = str(error)
"""
        )
    )


@pytest.mark.parametrize("unmoved", ["", ".fixed"])
@pytest.mark.parametrize("name", ["text", "damaged", "none"])
def test_symbols_stay_if_gdb_refuses_the_new_ones(
    gdb: GdbSession, folder: Path, name: str, unmoved: str
) -> None:
    before = state(gdb)
    assert None not in before[2:5]
    assert replace(gdb, folder, name, unmoved)
    assert state(gdb) == before


@pytest.mark.parametrize("unmoved", ["", ".fixed"])
def test_the_new_symbols_replace_the_kernels_but_not_the_modules(
    gdb: GdbSession, folder: Path, unmoved: str
) -> None:
    module = state(gdb)[4]
    assert replace(gdb, folder, "new", unmoved) == ""
    files, own, *places = state(gdb)
    empty = ["no-symbols"] if unmoved else []
    assert files == sorted(["module", "new", *empty])
    assert own == ("no-symbols" if unmoved else "new")
    assert places[:3] == [None, None, module]
    linked = _linked(folder / "new")
    assert places[3] == linked["new"] + 0x1000
    assert places[4] == linked["fixed"] + (0 if unmoved else 0x1000)


@pytest.mark.parametrize("unmoved", ["", ".fixed"])
def test_an_added_file_moves(gdb: GdbSession, folder: Path, unmoved: str) -> None:
    assert replace(gdb, folder, "other", unmoved) == ""
    files, own, *places = state(gdb)
    assert files.count("other") == 1 and "own" not in files
    assert places[1] == _linked(folder / "other")["other"] + 0x1000


INTERRUPTED = """
from types import SimpleNamespace
from ptmap.debugger import symbol_files
def execute(command, **how):
    gdb.execute(command, **how)
    if command.startswith('symbol-file') and 'own' not in command:
        raise KeyboardInterrupt
symbol_files.gdb = SimpleNamespace(**{**vars(gdb), 'execute': execute})
try:
    symbol_files.replace(%r, 0x1000, %r, %r)
    result = 'no error'
except KeyboardInterrupt:
    result = 'interrupted'
finally:
    symbol_files.gdb = gdb
"""


@pytest.mark.parametrize("unmoved", ["", ".fixed"])
def test_symbols_come_back_on_ctrl_c(gdb: GdbSession, folder: Path, unmoved: str) -> None:
    """When GDB has dropped its own symbol file."""
    before = state(gdb)
    loaded = {f"{folder}/own": OFFSET, f"{folder}/other": OTHER_AT}
    said = gdb.python(INTERRUPTED % (f"{folder}/new", loaded, unmoved))
    assert said == "interrupted"
    files, *others = state(gdb)
    assert others == before[1:]
    if unmoved:
        assert files == before[0]


def _linked(file: Path) -> dict[str, int]:
    """Addresses of symbols, by readelf."""
    text = subprocess.check_output(["readelf", "-sW", file], text=True)
    symbols = re.findall(r"\d: ([0-9a-f]{16}) .* (\w+)$", text, re.M)
    return {name: int(at, 16) for at, name in symbols}
