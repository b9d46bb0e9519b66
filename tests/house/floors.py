#!/usr/bin/python3
"""Which file may know which: the floors of gdb/ptmap and native/.

    tests/house/floors.py      prints every breach of the rules below

A file may use its own folder and folders of lower floors; the folders of one floor know nothing of
each other. A folder that may not import gdb may not import a folder that may: what it needs of GDB
is handed in. Every import counts: absolute ones, those in functions and under TYPE_CHECKING,
importlib and __import__; so does every #include. No file is outside a folder, and there are no
circles of files.

A breach is a line: "FILE -> FILE", "FILE -> gdb", "FILE -> pybind11", "FILE -> a computed name",
"FILE has no floor" or "circle: FILE FILE...". Known ones are in breaches.txt: that list only
shrinks.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import Iterator

# The floors of gdb/ptmap from the lowest, each with its folders.
PYTHON = (
    ("base",),
    ("debugger", "spaces"),
    ("linux",),
    ("machine", "vdso", "entry"),
    ("context",),
    ("check", "scripting"),
    ("commands",),
)
IMPORT_GDB = ("debugger", "machine", "context", "check", "scripting", "commands")

NATIVE = (
    ("paging",),
    ("arch", "elf"),
    ("space", "sources"),
    ("explain", "vdso", "machine"),
    ("text",),
)

_PACKAGE = "gdb/ptmap"
_NATIVE = "native"
_ROOF = (f"{_PACKAGE}/__init__.py",)  # what GDB and scripts come in by: it may use any floor
_MODULE = f"{_PACKAGE}/_core.pyi"  # the native module, which any floor may use
_INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)


def breaches(root: Path) -> list[str]:
    """Of the tree at ROOT, sorted."""
    python = {file: _imports(root, file) for file in _files(root, _PACKAGE, "*.py")}
    native = {
        file: _includes(root, file)
        for kind in ("*.h", "*.cc")
        for file in _files(root, _NATIVE, kind)
    }
    found = {*_between(python, _PACKAGE, PYTHON), *_between(native, _NATIVE, NATIVE)}
    for file, uses in python.items():
        if file not in _ROOF and _folder(file, _PACKAGE) not in IMPORT_GDB:
            found |= {f"{file} -> {use}" for use in uses if _may_import_gdb(use)}
        if _COMPUTED in uses:
            found.add(f"{file} -> {_COMPUTED}")
    found |= {f"{file} -> pybind11" for file, uses in native.items() if "pybind11" in uses}
    found |= {"circle: " + " ".join(circle) for circle in (*_circles(python), *_circles(native))}
    return sorted(found)


def _may_import_gdb(used: str) -> bool:
    return used == "gdb" or _folder(used, _PACKAGE) in IMPORT_GDB


def _files(root: Path, folder: str, pattern: str) -> list[str]:
    return sorted(str(file.relative_to(root)) for file in (root / folder).rglob(pattern))


def _folder(file: str, top: str) -> str:
    """The folder of TOP that a file is in; "" if it is in none."""
    parts = file[len(top) + 1 :].split("/")
    return parts[0] if len(parts) > 1 else ""


def _between(
    uses: dict[str, set[str]], top: str, floors: tuple[tuple[str, ...], ...]
) -> Iterator[str]:
    """What goes up or sideways, and files of no floor."""
    floor_of = {folder: number for number, folders in enumerate(floors) for folder in folders}
    for file, used in uses.items():
        if file in _ROOF:
            continue
        mine = _folder(file, top)
        if mine not in floor_of:
            yield f"{file} has no floor"
            continue
        for other in (used & uses.keys()) - {_MODULE}:
            theirs = _folder(other, top)
            allowed = mine == theirs or floor_of.get(theirs, len(floors)) < floor_of[mine]
            if not allowed:
                yield f"{file} -> {other}"


# ---- Python ------------------------------------------------------------------------------------

_COMPUTED = "a computed name"


def _imports(root: Path, file: str) -> set[str]:
    """The files that a file imports, "gdb", and _COMPUTED."""
    used: set[str] = set()
    package = file[len("gdb/") :].removesuffix(".py").split("/")[:-1]
    for node in ast.walk(ast.parse((root / file).read_text(encoding="utf-8"), file)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                used |= _named(root, alias.name.split("."), [])
        elif isinstance(node, ast.ImportFrom):
            name = node.module.split(".") if node.module else []
            if node.level:
                name = package[: len(package) + 1 - node.level] + name
            used |= _named(root, name, [alias.name for alias in node.names])
        elif isinstance(node, ast.Call) and _is_importer(node.func):
            used |= _called(root, package, node)
    return used


def _is_importer(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in ("import_module", "__import__")


def _called(root: Path, package: list[str], call: ast.Call) -> set[str]:
    """What importlib.import_module("...") and __import__("...") import."""
    first = call.args[0] if call.args else None
    if not isinstance(first, ast.Constant) or not isinstance(first.value, str):
        return {_COMPUTED}
    bare = first.value.lstrip(".")
    level = len(first.value) - len(bare)
    above = package[: len(package) + 1 - level] if level else []
    return _named(root, above + (bare.split(".") if bare else []), [])


def _named(root: Path, name: list[str], members: list[str]) -> set[str]:
    """The files behind a module's name and what is taken from it."""
    if name[:1] == ["gdb"]:
        return {"gdb"}
    if name[:1] != ["ptmap"]:
        return set()
    used: set[str] = set()
    modules = [name, *([*name, member] for member in members)]
    for module in modules:
        place = "gdb/" + "/".join(module)
        used |= {
            path
            for path in (f"{place}.py", f"{place}.pyi", f"{place}/__init__.py")
            if (root / path).is_file()
        }
    # A folder's own file counts if nothing in the folder is meant.
    return {path for path in used if not path.endswith("/__init__.py")} or used


# ---- C++ ---------------------------------------------------------------------------------------


def _includes(root: Path, file: str) -> set[str]:
    """The files of native/ that a file includes, and "pybind11" (and Python's own headers)."""
    used = set()
    for name in _INCLUDE.findall((root / file).read_text(encoding="utf-8")):
        for place in (f"{_NATIVE}/{name}", f"{Path(file).parent}/{name}"):
            if (root / place).is_file():
                used.add(place)
        if name.startswith("pybind11/") or name == "Python.h":
            used.add("pybind11")
    return used


# ---- Circles -----------------------------------------------------------------------------------


def _circles(uses: dict[str, set[str]]) -> list[list[str]]:
    """Files that know each other by any way, whole circles, without those of the roof."""
    reach = {file: _reachable(file, uses) for file in uses if file not in _ROOF}
    circles = {
        tuple(sorted(other for other in reach[file] if other in reach and file in reach[other]))
        for file in reach
        if file in reach[file]
    }
    return [list(circle) for circle in sorted(circles)]


def _reachable(file: str, uses: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    ahead = [file]
    while ahead:
        for other in uses.get(ahead.pop(), set()) - found - set(_ROOF):
            found.add(other)
            ahead.append(other)
    return found


if __name__ == "__main__":
    said = breaches(Path(__file__).resolve().parents[2])
    print("\n".join(said))
    sys.exit(1 if said else 0)
