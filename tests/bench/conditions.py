#!/usr/bin/python3
"""What a breakpoint's condition costs: stops a second with each, measured in turn.

    tests/bench/conditions.py [-n STOPS] [-r ROUNDS] [-kgdb]

The guest, lab64 or lab32, runs round and round through a breakpoint whose condition is false until
the last stop. Every round measures every row once, so that a busy host slows all alike; what is
printed is the median of the rounds, and what a stop costs more than with the condition 1. -kgdb
adds a kernel in its own debugger, on a serial line, a few stops of it.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "guests"), str(ROOT / "tests" / "harness")]

import guard
from gdbsession import GdbSession, ptmap_script
from looping import Looping

# PA is where the breakpoint is.
_CONDITIONS = ("1", "$ptmap_mapped($pc)", "$ptmap_pa($pc) == PA", "$ptmap_entry($sp, 1) & 2",
               "$ptmap_mapped($pc) && $ptmap_mapped($sp)")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-n", type=int, default=300, metavar="STOPS", help="a round (300)")
    parser.add_argument("-r", type=int, default=5, metavar="ROUNDS", help="rounds (5)")
    parser.add_argument("-kgdb", action="store_true", help="a Linux kernel by kgdb too")
    options = parser.parse_args()
    for name in ("lab64", "lab32"):
        with guard.Folder() as out, Looping(name, Path(out)) as loop:
            loop.load(loop.kind.count)
            loop.register("eax", loop.kind.direct_map + 0x1F00000)
            for source in ("process", "packets"):
                loop.gdb.run(f"set ptmap memory {source}")
                show(f"{name}, {source}", loop.gdb, f"*{loop.head:#x}", options.n, options.r)
    if options.kgdb:
        kgdb()


def show(what: str, gdb: GdbSession, place: str, stops: int, rounds: int) -> None:
    pa = gdb.eval(f"$ptmap_pa({place.lstrip('*')})")
    times: dict[str, list[float]] = {condition: [] for condition in _CONDITIONS}
    for _ in range(rounds):
        for condition in _CONDITIONS:
            times[condition].append(measure(gdb, place, condition.replace("PA", hex(pa)), stops))
    plain = median(times["1"])
    print(f"{what}: {rounds} rounds of {stops} stops")
    for condition in _CONDITIONS:
        one = median(times[condition])
        print(f"  {condition:42} {1 / one:7.0f} stops/s  {1e6 * (one - plain):+7.0f} us a stop")


def measure(gdb: GdbSession, place: str, condition: str, stops: int) -> float:
    """Seconds a stop. The first is not counted: the source is chosen there."""
    gdb.run(f"break {place} if ({condition}) && $stops++ >= $last")
    try:
        gdb.run("set $stops = 0")
        gdb.run("set $last = 0")
        gdb.run("continue")
        gdb.run("set $stops = 0")
        gdb.run(f"set $last = {stops - 1}")
        start = time.perf_counter()
        gdb.run("continue")
        return (time.perf_counter() - start) / stops
    finally:
        gdb.run("delete")


def kgdb() -> None:
    from guests import GUESTS, boot, kgdb_target
    from kernels import fetch

    name = "kgdb-64-nokaslr"
    with boot(name, kgdb=True) as qemu, GdbSession(script=ptmap_script()) as session:
        session.run(f"file {fetch(GUESTS[name].kernel).with_name('vmlinux')}")
        session.attach(kgdb_target(qemu))
        show(f"{name}, direct map", session, "account_process_tick", 3, 1)
        session.disconnect()


if __name__ == "__main__":
    main()
