"""Labels from the ELF files that GDB has loaded: their sections, where GDB believes them to be."""

from __future__ import annotations

import os
import re

import gdb

from .labels import Label

# `maintenance info sections` would name them all, and ends GDB 13 with an internal error when its
# output goes to a string.
_SECTION = re.compile(r"\s*0x([0-9a-f]+) - 0x([0-9a-f]+) is (.+?)(?: in (/.*))?$")
# The segments of a core are memory without a name of its own ("load1").
_CORE = re.compile(r"^Local core dump file:\n(?:\t.*\n)*", re.M)
_LINUX = {"__ksymtab", ".data..percpu"}


def labels() -> list[Label]:
    """Of every section that is loaded; none of a Linux kernel's, which linux/layout.py places."""
    files: dict[str, list[Label]] = {}
    text = _CORE.sub("", _info_files())
    for line in text.split("\n"):  # a name may have any other character that ends a line
        if found := _SECTION.match(line):
            start, end = int(found[1], 16), int(found[2], 16)
            if start < end:
                files.setdefault(found[4] or "", []).append(Label(start, end, found[3], "read"))
    return [
        one
        for sections in files.values()
        if not _LINUX & {section.name for section in sections}
        for one in sections
    ]


def _info_files() -> str:
    """A section's name may be any bytes, and GDB gives text where they are UTF-8 only."""
    try:
        return gdb.execute("info files", to_string=True)
    except UnicodeDecodeError as error:
        return os.fsdecode(error.object)
