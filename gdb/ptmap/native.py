"""Loads the native core on first use, or says in one sentence why it cannot."""

from __future__ import annotations

import glob
import os
import platform
import re
from types import ModuleType

from .errors import Refusal

_MEND = "cmake --preset release -DPTMAP_GDB=$(which gdb) && cmake --build --preset release"


def core() -> ModuleType:
    """The module ptmap._core. Error: Refusal where it is missing or made for another Python."""
    try:
        from . import _core
    except ImportError as error:
        raise Refusal(_why_not(error)) from None
    return _core


def _why_not(error: ImportError) -> str:
    running = platform.python_version()
    built = sorted(glob.glob(os.path.join(os.path.dirname(__file__), "_core.*.so")))
    found = re.search(r"cpython-(\d)(\d+)", os.path.basename(built[0])) if built else None
    if not built:
        made_for = "is not built"
    elif found and f"{found[1]}.{found[2]}." != ".".join(running.split(".")[:2]) + ".":
        made_for = f"was built for Python {found[1]}.{found[2]}"
    else:
        made_for = f"was built for another Python than it seems ({error})"
    return (
        f"ptmap's native module {made_for} and this GDB runs Python {running}: "
        f"in ptmap's folder run `{_MEND}`"
    )
