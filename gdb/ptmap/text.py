"""Numbers, sizes and other people's names in words."""

from __future__ import annotations

import os
from typing import Sequence


def printable(name: bytes | str) -> str:
    r"""What a guest, a file or a user may have chosen: ASCII as it is, other bytes and the
    backslash as \xNN. Nothing in it moves a terminal's cursor or ends a line."""
    return "".join(
        chr(byte) if 0x20 <= byte < 0x7F and byte != 0x5C else f"\\x{byte:02x}"
        for byte in os.fsencode(name)
    )


def one_line(text: str) -> str:
    r"""A sentence in which names are printable() already: what else is in it becomes so too, and
    backslashes stay."""
    return "\\".join(printable(part) for part in text.split("\\"))


def plural(count: int, noun: str, many: str = "") -> str:
    """"1 table", "12 tables"."""
    return f"{count} {noun if count == 1 else many or noun + 's'}"


def size_text(size: int) -> str:
    """"4 KiB", "1 GiB": the largest unit that divides it."""
    units: Sequence[str] = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
    unit = 0
    while size and size % 1024 == 0 and unit + 1 < len(units):
        size, unit = size // 1024, unit + 1
    return f"{size} {units[unit]}"


def short_size(size: int) -> str:
    """"4K", "15.9T": five characters at most, rounded."""
    value, unit = float(size), 0
    while value >= 1023.5 and unit < 6:
        value, unit = value / 1024, unit + 1
    number = f"{value:.0f}" if value == int(value) or value >= 100 else f"{value:.1f}"
    return number + "BKMGTPE"[unit]
