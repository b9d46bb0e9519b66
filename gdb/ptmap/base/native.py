"""Loads the native core on first use, or says in one sentence why it cannot."""

from __future__ import annotations

import glob
import os
import platform
import re
from typing import TYPE_CHECKING

from .errors import Refusal

__all__ = ["core"]

_MEND = "cmake --preset release -DPTMAP_GDB=$(which gdb) && cmake --build --preset release"

_PACKAGE = os.path.dirname(os.path.dirname(__file__))


if TYPE_CHECKING:
    from .. import _core as core
else:

    class _Core:
        """The module ptmap._core, loaded when one of its names is first used.

        Error: Refusal if the module is missing or was built for another Python.
        """

        def __getattr__(self, name: str) -> object:
            try:
                from .. import _core
            except ImportError as error:
                raise Refusal(_why_not(error)) from None
            value = getattr(_core, name)
            setattr(self, name, value)
            return value

    core = _Core()


def _why_not(error: ImportError) -> str:
    running = platform.python_version()
    built = sorted(glob.glob(os.path.join(_PACKAGE, "_core*.so")))
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
