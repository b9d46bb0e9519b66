"""A 64-bit space in one screen: a row for each occupied stretch, what is empty counted."""

from __future__ import annotations

from typing import Any

import gdb

from . import native
from .address_space import AddressSpace
from .text import short_size, size_text

_WIDTH, _HEIGHT = 80, 24  # where GDB sets no limit
_CELLS, _CELLS_MIN, _CELLS_MAX = 16, 4, 64
_OTHER_LINES = 9  # head, parts, legends, summary, prompt; one more where there is KPTI
MARKS = {"read": " =", "deduced": " ~", "documented": ""}


def overview_lines(space: AddressSpace, scanned: Any, made: Any, labels: list[Any]) -> list[str]:
    """The rows, with newlines; as many as GDB's screen has room for, 80x24 without one."""
    width, height = gdb.parameter("width") or _WIDTH, gdb.parameter("height") or _HEIGHT
    cells = max(_CELLS_MIN, min(_CELLS_MAX, width - _WIDTH + _CELLS))
    core = native.core()
    room = height - _OTHER_LINES - (space.kpti_roots is not None)
    rows = core.overview(made, labels, max(room, 4), cells)
    head = f"empty {'start':<18}  size  used rwx   {'map':{cells}} what (?: some pages)"
    lines = [head[:width] + "\n"]
    slots, root = core.draw_grid(scanned, 0).cells, space.paging.levels[0]
    half = len(slots) // 2
    for part, in_use, upper in (("lower", slots[:half], False), ("upper", slots[half:], True)):
        unknown = in_use.count("?")
        lines.append(
            f"{part} part: {half - in_use.count('.') - unknown} of {half} {root.table_name} slots "
            f"of {size_text(root.entry_span)} in use"
            f"{f', {unknown} not readable' if unknown else ''}\n"
        )
        lines += [
            _row(space, stretch, labels_here, cells, width)
            for stretch, labels_here in rows
            if stretch.va >> 63 == upper
        ]
    return lines


def legend(labelled: bool) -> str:
    cells = "x r +: supervisor, user read-only, user write; X R *: large"
    return f"{cells}{'; =: read, ~: deduced' if labelled else ' pages'}\n"


def _row(space: AddressSpace, stretch: Any, labels: list[Any], cells: int, width: int) -> str:
    who = "u" if stretch.all_user else "us" if stretch.user else "s"
    rights = f"{who}r{_all('w', stretch.write, stretch.all_write)}" + _all(
        "x", stretch.exec, stretch.all_exec
    )
    empty = short_size(stretch.empty) if stretch.empty else ""
    name = ", ".join(label.name + MARKS.get(label.source, "") for label in labels)
    if labels and not stretch.labelled:
        name = f"partly {name}"
    text = (
        f"{empty:>5} {space.hex(stretch.va)} {short_size(stretch.size):>5} "
        f"{short_size(stretch.mapped):>5} {rights:<5} {stretch.cells:{cells}} {name}"
    )
    return (text if len(text) <= width else text[: width - 3] + "...").rstrip() + "\n"


def _all(letter: str, some: bool, every: bool) -> str:
    """A right that every page of a stretch has, some have, or none."""
    return letter if every else "?" if some else "-"
