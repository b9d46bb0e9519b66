#!/usr/bin/python3
"""How long a large map takes, beside what QEMU itself needs: ratios measured in one run.

    tests/bench/large_map.py [-n RUNS] [-guest NAME]

The guest has 1,048,576 pages of 4 KiB in one area of its process (4 GiB of its 6). Every round
measures everything once, one after the other, so that a busy host slows all alike; what is printed
is the median of the rounds and its ratio to the row that it is held against. A time is that from
the command to its last byte, in a file for ptmap and in GDB's hands for `info mem`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "guests"), str(ROOT / "tests" / "harness")]

import guard
from gdbsession import GdbSession, ptmap_script
from guests import boot

# Row, what it is, the row that it is held against.
_ROWS = (
    ("info mem", "QEMU's `monitor info mem`", "info mem"),
    ("process", "ptmap -json FILE, from the QEMU process", "info mem"),
    ("packets", "ptmap -json FILE, packets and pmemsave", "bare m packets"),
    ("m packets", "ptmap -json FILE, `m` packets only", "bare m packets"),
    ("bare m packets", "those `m` packets alone, nothing decoded", "bare m packets"),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-n", type=int, default=9, metavar="RUNS", help="rounds (9)")
    parser.add_argument("-guest", default="4-level", metavar="NAME", help="a 64-bit one (4-level)")
    options = parser.parse_args()
    first, rounds = measure(options.guest, options.n)
    medians = {row: median(one[row] for one in rounds) for row, _, _ in _ROWS}
    print(
        f"{options.guest}: {first['tables']} tables, {first['bytes']} bytes of them, "
        f"{first['pages']['4K']} pages of 4 KiB; "
        f"{'complete' if first['complete'] else 'NOT complete'}"
    )
    print(f"median of {options.n}, seconds, and the ratio to (1) or (2)")
    marks = {"info mem": "(1)", "bare m packets": "(2)"}
    for row, what, against in _ROWS:
        ratio = medians[row] / medians[against]
        before = f"  first {first[row]:.3f}" if row in first else ""
        print(f"  {what:43} {medians[row]:7.3f}  {ratio:5.2f} {marks[against]}{before}")


def measure(guest: str, runs: int) -> tuple[dict[str, Any], list[dict[str, float]]]:
    append = "big=4096 transparent_hugepage=never"
    with (
        boot(guest, append=append, extra_args=("-m", "6G")) as qemu,
        guard.Folder() as folder,
        GdbSession(script=ptmap_script()) as session,
    ):
        session.attach(qemu.gdb_target)
        session.run(f"source {Path(__file__).with_name('large_map_in_gdb.py')}")
        work = f"import __main__; result = __main__.Bench({str(Path(folder) / 'map.json')!r})"
        first = session.python(f"{work}.first()")
        rounds = [
            session.python("import __main__; result = __main__.bench.round()") for _ in range(runs)
        ]
        session.disconnect()
    return first, rounds


if __name__ == "__main__":
    main()
