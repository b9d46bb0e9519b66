#!/usr/bin/python3
"""How many bytes `pte` and `ptmap` move over a slow line: kgdb on a serial port.

    tests/bench/kgdb.py [NAME...]     kgdb-64 and kgdb-pae unless named

Tables are told apart from the kernel's variables and names (which task is selected, what its
mappings are called), which are read besides. A command's first time at a stop, as what was read is
kept for the next.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "guests"), str(ROOT / "tests" / "harness")]

from gdbsession import GdbSession, ptmap_script
from guests import GUESTS, boot, kgdb_target
from kernels import fetch

# Remembers each read of physical memory by its length; a page or PAE's root is a table.
_RECORD = """
from ptmap.machine.sources import choose
from ptmap.machine.sources.direct_map import DirectMap
DirectMap.recorded, kept = [], DirectMap._one
def one(self, address, length):
    DirectMap.recorded.append((address, length))
    return kept(self, address, length)
DirectMap._one = one
"""
_AFRESH = "from ptmap.machine.sources import choose; choose.forget()"
_TAKEN = """
from ptmap.machine.sources.direct_map import DirectMap
from ptmap.machine.sources import choose
result = [DirectMap.recorded[:], choose.memory().core.seconds]
DirectMap.recorded.clear()
"""


def main() -> None:
    for name in sys.argv[1:] or ["kgdb-64", "kgdb-pae"]:
        with boot(name, kgdb=True) as qemu, GdbSession(script=ptmap_script()) as session:
            session.run(f"file {fetch(GUESTS[name].kernel).with_name('vmlinux')}")
            session.attach(kgdb_target(qemu))
            session.python(_RECORD)
            print(f"{name}:")
            measure(session, "pte $pc")
            measure(session, "ptmap")
            session.disconnect()


def measure(session: GdbSession, command: str) -> None:
    session.run("show ptmap memory")  # the kernel is found
    session.python(_AFRESH)
    before = session.python(_TAKEN)[1]
    document = json.loads(session.run(f"{command} -json -"))
    reads, after = session.python(_TAKEN)
    if document["kind"] == "pte":
        steps = document["addresses"][0]["steps"]
        pages = {int(step["table"], 16) & -4096 for step in steps}
        bytes_of = sum(length for address, length in reads if address & -4096 in pages)
        what, each = f"{len(steps)} levels", bytes_of / len(steps)
    else:
        tables = Counter(tuple(read) for read in reads if read[1] in (4096, 32))
        bytes_of = sum(length * times for (_, length), times in tables.items())
        what, each = f"{len(tables)} distinct tables", bytes_of / len(tables)
    others = sum(length for _, length in reads) - bytes_of
    print(
        f"  {command:8} {what}: {bytes_of} bytes of them, {each:.1f} each; {others} bytes of the "
        f"kernel's variables; {after - before:.1f} s"
    )


if __name__ == "__main__":
    main()
