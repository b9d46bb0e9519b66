"""Types of C and C++, whatever language the selected frame is in."""

from __future__ import annotations

import gdb


def builtin(name: str) -> gdb.Type:
    """A type that C or C++ has without debug information: "char", "char16_t"."""
    language = gdb.parameter("language")
    gdb.execute("set language c++", to_string=True)
    try:
        return gdb.lookup_type(name)
    finally:
        gdb.execute(f"set language {language}", to_string=True)
