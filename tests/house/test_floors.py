"""The floors hold, but for the breaches that are listed; and a breach of any kind is noticed."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from floors import breaches

HERE = Path(__file__).resolve().parent
KNOWN = (HERE / "breaches.txt").read_text().splitlines()


def test_no_new_breach() -> None:
    assert set(breaches(HERE.parents[1])) - set(KNOWN) == set()


def test_a_mended_breach_is_listed_no_more() -> None:
    assert set(KNOWN) - set(breaches(HERE.parents[1])) == set()


def test_no_folder_hides_a_public_name() -> None:
    """Python sets `ptmap.space` to the folder of that name once anything in it is imported."""
    package = HERE.parents[1] / "gdb/ptmap"
    folders = {folder.name for folder in package.iterdir() if folder.is_dir()}
    public = next(
        ast.literal_eval(node.value)
        for node in ast.parse((package / "__init__.py").read_text()).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    assert folders & set(public) == set()


HOUSE = {
    "gdb/ptmap/__init__.py": "from .commands import pte",
    "gdb/ptmap/base/text.py": "",
    "gdb/ptmap/base/errors.py": "from . import text",
    "gdb/ptmap/debugger/numbers.py": "import gdb\nfrom ..base.text import plural",
    "gdb/ptmap/spaces/labels.py": "from .. import _core\nfrom ..base import text",
    "gdb/ptmap/_core.pyi": "",
    "gdb/ptmap/commands/pte.py": "import gdb\nimport ptmap.base.text\nfrom ..spaces import labels",
    "native/paging/scan.h": "#include <vector>",
    "native/space/map.h": '#include "paging/scan.h"',
}
BREACHES = {
    "upward": (
        "gdb/ptmap/base/a.py",
        "from ..spaces import labels",
        "gdb/ptmap/base/a.py -> gdb/ptmap/spaces/labels.py",
    ),
    "a name of a module": (
        "gdb/ptmap/base/a.py",
        "from ..spaces.labels import Label",
        "gdb/ptmap/base/a.py -> gdb/ptmap/spaces/labels.py",
    ),
    "sideways": (
        "gdb/ptmap/spaces/a.py",
        "from ..debugger.numbers import evaluate",
        "gdb/ptmap/spaces/a.py -> gdb/ptmap/debugger/numbers.py",
    ),
    "absolute": (
        "gdb/ptmap/base/a.py",
        "import ptmap.spaces.labels as labels",
        "gdb/ptmap/base/a.py -> gdb/ptmap/spaces/labels.py",
    ),
    "in a function": (
        "gdb/ptmap/base/a.py",
        "def f():\n    from ..spaces import labels",
        "gdb/ptmap/base/a.py -> gdb/ptmap/spaces/labels.py",
    ),
    "for types": (
        "gdb/ptmap/base/a.py",
        "if TYPE_CHECKING:\n    from ..spaces import labels",
        "gdb/ptmap/base/a.py -> gdb/ptmap/spaces/labels.py",
    ),
    "importlib": (
        "gdb/ptmap/base/a.py",
        "importlib.import_module('ptmap.spaces.labels')",
        "gdb/ptmap/base/a.py -> gdb/ptmap/spaces/labels.py",
    ),
    "importlib, relative": (
        "gdb/ptmap/base/a.py",
        "import_module('..spaces.labels', __package__)",
        "gdb/ptmap/base/a.py -> gdb/ptmap/spaces/labels.py",
    ),
    "__import__": (
        "gdb/ptmap/base/a.py",
        "__import__('ptmap.spaces.labels')",
        "gdb/ptmap/base/a.py -> gdb/ptmap/spaces/labels.py",
    ),
    "a computed name": (
        "gdb/ptmap/base/a.py",
        "__import__('ptmap.' + name)",
        "gdb/ptmap/base/a.py -> a computed name",
    ),
    "the roof": (
        "gdb/ptmap/base/a.py",
        "from .. import register",
        "gdb/ptmap/base/a.py -> gdb/ptmap/__init__.py",
    ),
    "gdb": ("gdb/ptmap/spaces/a.py", "def f():\n    import gdb", "gdb/ptmap/spaces/a.py -> gdb"),
    "one that knows gdb": (
        "gdb/ptmap/linux/a.py",
        "from ..debugger.numbers import evaluate",
        "gdb/ptmap/linux/a.py -> gdb/ptmap/debugger/numbers.py",
    ),
    "no folder": ("gdb/ptmap/a.py", "", "gdb/ptmap/a.py has no floor"),
    "an unknown folder": ("gdb/ptmap/tools/a.py", "", "gdb/ptmap/tools/a.py has no floor"),
    "a circle": (
        "gdb/ptmap/base/text.py",
        "from . import errors",
        "circle: gdb/ptmap/base/errors.py gdb/ptmap/base/text.py",
    ),
    "an include": (
        "native/paging/scan.h",
        '#  include "space/map.h"',
        "native/paging/scan.h -> native/space/map.h",
    ),
    "an include of a neighbour": (
        "native/arch/access.h",
        '#include "elf/image.h"',
        "native/arch/access.h -> native/elf/image.h",
    ),
    "pybind11": (
        "native/space/map.cc",
        "#include <pybind11/pybind11.h>",
        "native/space/map.cc -> pybind11",
    ),
    "a native file of no folder": ("native/map.h", "", "native/map.h has no floor"),
}


def _build(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
        for folder in (root / name).relative_to(root).parents:
            if str(folder).startswith("gdb/ptmap/"):
                (root / folder / "__init__.py").touch()


def test_a_house_without_breaches(tmp_path: Path) -> None:
    _build(tmp_path, HOUSE)
    assert breaches(tmp_path) == []


@pytest.mark.parametrize("file, content, breach", BREACHES.values(), ids=BREACHES)
def test_a_breach_is_noticed(tmp_path: Path, file: str, content: str, breach: str) -> None:
    _build(tmp_path, {"native/elf/image.h": "", **HOUSE, file: content})
    assert breach in breaches(tmp_path)
