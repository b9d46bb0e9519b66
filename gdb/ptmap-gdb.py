"""The one file to source: gives GDB the commands ptmap and pte.

    gdb -x build/release/gdb/ptmap-gdb.py        or        (gdb) source .../ptmap-gdb.py

Loading is cheap (the native module waits for the first command) and may be repeated.
"""

import os
import sys

import gdb


def _ptmap_load() -> None:
    # Not __file__: where another script sources this one, that is still the other's.
    here = os.path.dirname(os.path.abspath(_ptmap_load.__code__.co_filename))
    if "ptmap" in sys.modules:
        loaded = os.path.dirname(os.path.dirname(os.path.abspath(sys.modules["ptmap"].__file__)))
        if loaded != here:
            gdb.write(f"ptmap is loaded already, from {loaded}; restart GDB to change it.\n")
        return
    if not hasattr(gdb, "RemoteTargetConnection"):
        # An error in a Python file comes with a traceback, whatever its class.
        gdb.write(f"ptmap needs GDB 12 or later; this is {gdb.VERSION}\n", gdb.STDERR)
        return
    sys.path.insert(0, here)
    try:
        import ptmap
    finally:
        sys.path.remove(here)
    ptmap.register()


_ptmap_load()
