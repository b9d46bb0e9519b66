"""ptmap: GDB commands that show a paused x86 machine's address space.

A question goes one way. A command (commands/) reads its options, context/ says which address space
is meant, machine/ gives registers and physical memory, the native module _core walks the tables,
and what is known of the result (linux/, vdso/, entry/, check/) goes into its text or JSON.

The folders lie on floors: a file uses its own folder and lower floors, and no neighbour of its own
floor (tests/house/floors.py holds it; breaches.txt lists what is still to be mended).

    7  commands/                      one file a command
    6  check/ scripting/              rules; `import ptmap` and the $ functions
    5  context/                       which space is meant; what was seen before
    4  machine/ vdso/ entry/          what GDB is attached to; a vDSO; what entering a kernel needs
    3  linux/                         what a Linux is
    2  debugger/ spaces/              GDB's API in small; an address space as a value
    1  base/                          text, errors, the native module

A script's `import ptmap` has the names of scripting/api.py; each is loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._core import DiffSide, Difference, Gap, Range, Step, Table, Walk
    from .linux.processes import Process
    from .scripting.api import (
        EXEC,
        GLOBAL,
        NO_PA,
        PAGE_1G,
        PAGE_2M,
        PAGE_4K,
        PAGE_4M,
        READ,
        USER,
        WRITE,
        Differences,
        Error,
        Map,
        Mapping,
        Pages,
        Registers,
        Space,
        Tables,
        diff,
        load,
        memory_type,
        processes,
        space,
    )

_NATIVE = ("DiffSide", "Difference", "Gap", "Range", "Step", "Table", "Walk")
__all__ = [
    "EXEC", "GLOBAL", "NO_PA", "PAGE_1G", "PAGE_2M", "PAGE_4K", "PAGE_4M", "READ", "USER", "WRITE",
    "DiffSide", "Difference", "Differences", "Error", "Gap", "Map", "Mapping", "Pages", "Process",
    "Range", "Registers", "Space", "Step", "Table", "Tables", "Walk", "diff", "load", "memory_type",
    "processes", "space",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _NATIVE:
        from .base import native

        return getattr(native.core, name)
    if name in __all__:
        from .scripting import api

        return getattr(api, name)
    raise AttributeError(f"module 'ptmap' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def register() -> None:
    """Registers commands and settings with GDB. Imports nothing heavy: GDB starts fast."""
    from .base import private_folder
    from .commands import check, diff, find, kaslr, ps, pte, ptmap, regs, save, vdso, xp
    from .debugger import settings
    from .machine import target
    from .machine.sources import choose
    from .scripting import functions

    private_folder.sweep()
    settings.register(show_memory=choose.show)
    for command in (ptmap, pte, vdso, regs, find, save, diff, check, kaslr, ps, xp):
        command.register()
    functions.register()
    target.watch_attach()
    target.watch_changes()
