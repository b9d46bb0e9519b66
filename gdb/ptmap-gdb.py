"""The one file to source: gives GDB the commands ptmap and pte.

    gdb -x build/release/gdb/ptmap-gdb.py        or        (gdb) source .../ptmap-gdb.py

Loading is cheap (the native module waits for the first command) and may be repeated.
"""

import os
import sys

import gdb


def _load() -> None:
    here = os.path.dirname(os.path.realpath(os.path.abspath(__file__), strict=False))
    beside = os.path.dirname(os.path.abspath(__file__))  # where the module was built
    if "ptmap" in sys.modules:
        loaded = os.path.dirname(os.path.dirname(os.path.abspath(sys.modules["ptmap"].__file__)))
        if loaded not in (here, beside):
            gdb.write(f"ptmap is loaded already, from {loaded}; restart GDB to change it.\n")
        return
    sys.path.insert(0, beside)
    try:
        import ptmap
    finally:
        sys.path.remove(beside)
    ptmap.register()


_load()
