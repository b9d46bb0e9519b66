"""Physical memory through a kernel's direct map, for stubs that read only virtual memory."""

from __future__ import annotations

import gdb

from .source import NotHere, Source


def open_source(connection: gdb.TargetConnection | None) -> Source:
    """Error: NotHere."""
    raise NotHere("no physical memory here: ptmap needs QEMU's gdbstub")
