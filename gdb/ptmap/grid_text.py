"""The grid as rows of text: an address, a space, 64 cells."""

from __future__ import annotations

from typing import Any

import gdb

from .address_space import AddressSpace

_CELLS = 64


def grid_rows(space: AddressSpace, grid: Any) -> list[str]:
    """Rows of a _core.Grid, with newlines. The cells before a window's first are blank.

    On a terminal that is too narrow for 64 cells behind a 16-digit address a row has 32.
    """
    width = gdb.parameter("width")  # None or 0: no limit, as in batch mode
    cells = _CELLS if not width or space.digits + 3 + _CELLS <= width else _CELLS // 2
    offset = space.paging.offset_of(grid.first)
    skipped = offset % (cells * grid.cell_size) // grid.cell_size
    text = " " * skipped + grid.cells
    rows = []
    for at in range(0, len(text), cells):
        address = space.paging.address_of(offset + (at - skipped) * grid.cell_size)
        rows.append(f"{space.hex(address)} {text[at:at + cells]}\n")
    return rows
