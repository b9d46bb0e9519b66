"""Numbers and sizes in words."""

from __future__ import annotations

from typing import Sequence


def printable(path: str) -> str:
    """A file's name, whatever bytes it has."""
    return path.encode(errors="replace").decode()


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
