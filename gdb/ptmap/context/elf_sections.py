"""Labels from the ELF files that GDB has loaded: their sections, where GDB believes them to be."""

from __future__ import annotations

import os
import re

import gdb

from ..spaces.labels import Label

# `maintenance info sections` would name them all, and ends GDB 13 with an internal error when its
# output goes to a string.
_SECTION = re.compile(r"\s*0x([0-9a-f]+) - 0x([0-9a-f]+) is (.+?)(?: in (/.*))?$")
# The segments of a core are memory without a name of its own ("load1").
_CORE = re.compile(r"^Local core dump file:\n(?:\t.*\n)*", re.M)
_MAIN = re.compile(r"^\s*`(.*)', file type ", re.M)  # GDB's own `file`, whose lines name none
_LINUX = {"__ksymtab", ".data..percpu"}


def files() -> dict[str, list[tuple[str, int, int]]]:
    """(name, start, end) of every section that is loaded, by the file it is of. With a live target
    GDB lists those of its own `file` twice."""
    found: dict[str, dict[tuple[str, int, int], None]] = {}
    text = _CORE.sub("", _info_files())
    main = _MAIN.search(text)
    for line in text.split("\n"):  # a name may have any other character that ends a line
        if section := _SECTION.match(line):
            start, end = int(section[1], 16), int(section[2], 16)
            if start < end:
                path = section[4] or (main[1] if main else "")
                found.setdefault(path, {})[section[3], start, end] = None
    return {path: list(places) for path, places in found.items()}


def labels() -> list[Label]:
    """Of every section that is loaded; none of a Linux kernel's, which linux/layout.py places."""
    return [
        Label(start, end, name, "read")
        for sections in files().values()
        if not _LINUX & {name for name, _, _ in sections}
        for name, start, end in sections
    ]


def _info_files() -> str:
    """A section's name may be any bytes, and GDB gives text where they are UTF-8 only."""
    try:
        return gdb.execute("info files", to_string=True)
    except UnicodeDecodeError as error:
        return os.fsdecode(error.object)
