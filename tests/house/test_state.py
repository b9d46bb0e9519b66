"""What ptmap remembers is in base/lifetimes.py, by how long it lives, and nowhere else. Values
remember nothing."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Iterator

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "gdb" / "ptmap"
LIFETIMES = PACKAGE / "base" / "lifetimes.py"


def state_in(text: str) -> list[int]:
    """The lines of `global` statements, of variables of a module (its constants are in capitals),
    and of assignments to attributes of a class."""
    tree = ast.parse(text)
    classes = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    found = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Global)]
    for statement in tree.body:
        names = [one.id for one in _targets(statement) if isinstance(one, ast.Name)]
        found += [statement.lineno for name in names if name != name.upper() and not _is_type(name)]
    for node in ast.walk(tree):
        for one in _targets(node):
            if isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name):
                found += [one.lineno] if one.value.id in classes else []
    return sorted(found)


def _targets(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.Assign):
        return node.targets
    return [node.target] if isinstance(node, (ast.AnnAssign, ast.AugAssign)) else []


def _is_type(name: str) -> bool:
    """Whether it is written as a class is, such as an alias of a type, or as `__all__`."""
    bare = name.lstrip("_")
    return bare[:1].isupper() or name.startswith("__")


def test_state_is_in_one_place() -> None:
    found = {
        str(path.relative_to(PACKAGE)): lines
        for path in sorted(PACKAGE.rglob("*.py"))
        if path != LIFETIMES and (lines := state_in(path.read_text(encoding="utf-8")))
    }
    assert not found


@pytest.mark.parametrize(
    "text, line",
    [
        ("state = 0\ndef change():\n    global state\n    state = 1\n", [1, 3]),
        ("class _Kept:\n    number = 0\n_kept = _Kept()\n", [3]),
        ("_by_root: dict[int, int] = {}\n", [1]),
        ("class Kept:\n    number = 0\ndef change():\n    Kept.number = 1\n", [4]),
        ("class Kept:\n    number = 0\ndef change():\n    Kept.number += 1\n", [4]),
        ("_Text = str\nPAGE = 4096\n__all__ = []\nclass Kept:\n    number = 0\n", []),
    ],
)
def test_any_would_be_found(text: str, line: list[int]) -> None:
    assert state_in(text) == line


def changes_of_values(text: str) -> list[int]:
    """The lines where a frozen dataclass caches something, and where any object is changed behind
    its class."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef) and any(map(_is_frozen, node.decorator_list)):
            found += [one.lineno for one in ast.walk(node) if _is_cached(one)]
        is_setter = isinstance(node, ast.Attribute) and node.attr == "__setattr__"
        if is_setter or any("__dict__" in ast.unparse(one) for one in _targets(node)):
            found.append(node.lineno)
    return sorted(found)


def _is_frozen(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Call) and "frozen=True" in map(ast.unparse, decorator.keywords)


def _is_cached(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) and any(
        "cache" in ast.unparse(decorator) for decorator in node.decorator_list
    )


def test_a_value_is_a_value() -> None:
    found = {
        str(path.relative_to(PACKAGE)): lines
        for path in sorted(PACKAGE.rglob("*.py"))
        if (lines := changes_of_values(path.read_text(encoding="utf-8")))
    }
    assert not found


@pytest.mark.parametrize(
    "text, line",
    [
        ("@dataclass(frozen=True)\nclass A:\n  @cached_property\n  def a(self): pass\n", [4]),
        ("@dataclass\nclass A:\n  @cached_property\n  def a(self): pass\n", []),
        ("object.__setattr__(a, 'b', 1)\n", [1]),
        ("a.__dict__['b'] = 1\n", [1]),
        ("@dataclass(frozen=True)\nclass A:\n  @property\n  def a(self): pass\n", []),
    ],
)
def test_any_change_of_a_value_would_be_found(text: str, line: list[int]) -> None:
    assert changes_of_values(text) == line


class Kept:
    number = 0


@pytest.fixture()
def lifetimes() -> Iterator[ModuleType]:
    """The module, without GDB and new for each test."""
    spec = importlib.util.spec_from_file_location("lifetimes", LIFETIMES)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module


def test_an_object_lives_until_its_lifetime_ends(lifetimes: ModuleType) -> None:
    lifetimes.command.of(Kept).number = 1
    lifetimes.stop.of(Kept).number = 2
    assert lifetimes.command.of(Kept).number == 1
    lifetimes.command.end()
    assert lifetimes.command.of(Kept).number == 0
    assert lifetimes.stop.of(Kept).number == 2
    assert lifetimes.session.of(Kept).number == 0


def test_each_connection_has_its_own(lifetimes: ModuleType) -> None:
    lifetimes.connection(1).of(Kept).number = 1
    assert lifetimes.connection(2).of(Kept).number == 0
    assert lifetimes.connection(1).of(Kept).number == 1


def test_another_key_ends_what_belongs_to_a_target(lifetimes: ModuleType) -> None:
    assert lifetimes.target.kept(Kept) is None
    lifetimes.target.of(Kept, (1, "auto")).number = 1
    assert lifetimes.target.of(Kept, (1, "auto")).number == 1
    assert lifetimes.target.kept(Kept).number == 1  # whatever the key is now
    assert lifetimes.target.of(Kept, (2, "auto")).number == 0
    assert lifetimes.target.of(Kept, (1, "auto")).number == 0  # the first is gone
