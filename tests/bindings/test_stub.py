"""_core.pyi is what the module is: mypy's stubtest, and the names of all arguments."""

from __future__ import annotations

import ast
import importlib.util
import os
import platform
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Iterator

import pytest

from gdbsession import ptmap_script

ROOT = Path(__file__).resolve().parents[2]


def _load() -> Any:
    (path,) = (ptmap_script().parent / "ptmap").glob("_core.*.so")
    spec = importlib.util.spec_from_file_location("ptmap._core", path)
    assert spec and spec.loader
    if "ptmap._core" not in sys.modules:  # other tests load it too; it is one
        sys.modules["ptmap._core"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["ptmap._core"])
    return sys.modules["ptmap._core"]


OVERLOADED = ("FlatFile.__init__",)  # in one signature, what some of them lack may be left out

core = _load()
STUB = ROOT / "gdb/ptmap/_core.pyi"

# What stubtest says of everything that pybind11 makes, and of buffers before Python 3.12.
_ALWAYS = re.compile(
    r"error: ptmap\._core\.\w+( is inconsistent, metaclass differs"
    r"|\.__init__ is inconsistent, stub does not have \*args argument \"args\""
    r"|\.__buffer__ is not present at runtime)$"
)


@pytest.mark.skipif(
    platform.freedesktop_os_release().get("VERSION_CODENAME") != "bookworm",
    reason="mypy is pinned to Debian 12's, as all that judges style",
)
def test_stubtest() -> None:
    environment = os.environ | {"PYTHONPATH": str(ptmap_script().parent)}
    run = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "ptmap._core", "--mypy-config-file", "mypy.ini"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    errors = [line for line in run.stdout.splitlines() if line.startswith("error:")]
    assert "Found" in run.stdout or "Success" in run.stdout, run.stdout + run.stderr
    assert [line for line in errors if not _ALWAYS.match(line)] == []


def signatures() -> Iterator[tuple[str, list[tuple[str, bool]]]]:
    """Name, and arguments with whether each may be left out, as pybind11's docstrings say."""

    def of(name: str, function: Any) -> Iterator[tuple[str, list[tuple[str, bool]]]]:
        for found in re.finditer(
            rf"^(?:\d+\. )?{name.split('.')[-1]}\((.*)\) -> ", function.__doc__ or "", re.M
        ):
            # An argument begins with its name; types and defaults may have commas.
            words = re.findall(r"(?:^|, )(\w+): (.*?)(?=, \w+: |$)", found[1])
            yield name, [(word, " = " in rest) for word, rest in words]

    for name, member in vars(core).items():
        if isinstance(member, type):
            for method, function in vars(member).items():
                if type(function).__name__ in ("instancemethod", "builtin_function_or_method"):
                    yield from of(f"{name}.{method}", function)
        elif callable(member):
            yield from of(name, member)


def stubs() -> dict[str, list[list[tuple[str, bool]]]]:
    """The same, of each overload."""
    found: dict[str, list[list[tuple[str, bool]]]] = {}

    def add(prefix: str, body: list[ast.stmt]) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef):
                add(f"{node.name}.", node.body)
            elif isinstance(node, ast.FunctionDef):
                every = [*node.args.posonlyargs, *node.args.args]
                first = len(every) - len(node.args.defaults)
                named = [(arg.arg, i >= first) for i, arg in enumerate(every)]
                keywords = zip(node.args.kwonlyargs, node.args.kw_defaults)
                named += [(arg.arg, default is not None) for arg, default in keywords]
                found.setdefault(prefix + node.name, []).append(named)

    add("", ast.parse(STUB.read_text()).body)
    return found


def test_arguments() -> None:
    """By name and by what may be left out. Nameless ones ("arg0") are positional."""
    ours, compared = stubs(), 0
    places: Counter[str] = Counter()  # of overloads, which are in one order
    for name, arguments in signatures():
        if name.endswith(("__repr__", "__buffer__")) or name.split(".")[0] == "iterator":
            continue
        assert name in ours, name
        stub = ours[name][min(places[name], len(ours[name]) - 1)]
        places[name] += 1
        assert len(arguments) <= len(stub), name
        for (word, optional), (stub_word, stub_optional) in zip(arguments, stub):
            if not re.fullmatch(r"arg\d|self", word):
                assert word == stub_word and (name in OVERLOADED or optional == stub_optional), name
                compared += 1
    assert compared > 140


def test_everything_is_there() -> None:
    names = {name.split(".")[0] for name in stubs()} | {
        node.name for node in ast.parse(STUB.read_text()).body if isinstance(node, ast.ClassDef)
    }
    public = {name for name in vars(core) if not name.startswith("_")}
    assert public == {name for name in names if not name.startswith("_")}
