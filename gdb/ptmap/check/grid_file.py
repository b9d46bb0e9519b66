"""A grid in a file: rows of cells, with or without their addresses."""

from __future__ import annotations

import re

from ..base.errors import Refusal
from ..base.text import plural, printable
from .rule_file import read_text

_CELLS = r"[.xXrR+*!?]+"
_WITH_ADDRESS = re.compile(rf"^0x([0-9a-fA-F]+) ({_CELLS})\s*$", re.M)
_PLAIN = re.compile(rf"^({_CELLS})\s*$", re.M)


def read(path: str, first: int, cell_size: int, count: int) -> str:
    """COUNT cells. The file may be all that `ptmap` prints, or only rows of cells. Error: Refusal
    if it does not have these cells."""
    text = read_text(path)
    rows = _WITH_ADDRESS.findall(text)
    cells = ""
    for address, row in rows:
        if int(address, 16) != first + len(cells) * cell_size:
            raise Refusal(
                f"{printable(path)}: there is a row of 0x{address}; the next row must be that of "
                f"{first + len(cells) * cell_size:#010x}"
            )
        cells += row
    if not rows:
        cells = "".join(_PLAIN.findall(text))
    if not cells:
        raise Refusal(f"{printable(path)} has no row of cells")
    if "?" in cells:
        raise Refusal(
            f"{printable(path)} has a cell ? (a table that could not be read), which is nothing "
            "to expect"
        )
    if len(cells) != count:
        raise Refusal(f"{printable(path)} has {plural(len(cells), 'cell')}, this grid has {count}")
    return cells
