"""Labels from the ELF files that GDB has loaded: their sections, where GDB believes them to be."""

from __future__ import annotations

import os
import re

import gdb

from ..spaces.labels import Label

# Not `maintenance info sections`: with its output in a string GDB 13 ends with an internal error.
_SECTION = re.compile(r"\s*0x([0-9a-f]+) - 0x([0-9a-f]+) is (.+?)(?: in (/.*))?$")
# The segments of a core are memory without a name of its own ("load1").
_CORE = re.compile(r"^Local core dump file:\n(?:\t.*\n)*", re.M)
_MAIN = re.compile(r"^\s*`(.*)', file type ", re.M)  # GDB's `file`, which its own lines do not name
_LINUX = {"__ksymtab", ".data..percpu"}


def files() -> dict[str, list[tuple[str, int, int]]]:
    """(name, start, end) of every loaded section, by file. With a live target GDB lists the
    sections of `file` twice; here each is once."""
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
    """A label for every loaded section, except a Linux kernel's, which linux/layout.py places."""
    return [
        Label(start, end, name, "read")
        for sections in files().values()
        if not _LINUX & {name for name, _, _ in sections}
        for name, start, end in sections
    ]


def _info_files() -> str:
    """A section's name may be any bytes, and GDB gives text only if they are UTF-8."""
    try:
        return gdb.execute("info files", to_string=True)
    except UnicodeDecodeError as error:
        return os.fsdecode(error.object)
