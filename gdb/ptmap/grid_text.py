"""The grid as rows of text: an address, a space, 64 cells; and the parts of a 32-bit space."""

from __future__ import annotations

from typing import Any

import gdb

from . import native
from .address_space import AddressSpace
from .text import short_size
from .overview_text import MARKS
from .space_labels import Known

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


def parts_lines(space: AddressSpace, made: Any, known: Known) -> list[str]:
    """The kernel's labelled parts and the stack: where, how large, how much of it is mapped."""
    labels = known.core()
    overview = native.core().overview(made, labels, len(labels), 1)
    stretches = [stretch for stretch, _ in overview]
    rows: dict[str, list[Any]] = {}  # by name: lowmem lies in pieces around the kernel's image
    for one in known.all:
        if one in known.kernel or one.name in ("stack", "[stack]"):
            row = rows.setdefault(one.name, [one.start, one.end, one.source])
            row[1] = one.end
    if not rows:
        return []
    lines = [f"{'start':<10}  size mapped what (= read, ~ deduced)\n"]
    for name, (start, end, source) in rows.items():
        mapped = sum(s.mapped for s in stretches if start <= s.va < end)
        lines.append(
            f"{space.hex(start)} {short_size(end - start):>5} {short_size(mapped):>6} "
            f"{name}{MARKS[source]}\n"
        )
    return lines
