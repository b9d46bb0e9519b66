#!/usr/bin/python3
"""What two builds need for the same commands on the same large map: ratios measured in one run.

    tests/bench/two_builds.py OLD_BUILD NEW_BUILD [-n ROUNDS] [-guest NAME] [-profile COMMAND]

The guest has 1,048,576 pages of 4 KiB, as in large_map.py. A round asks one build, then the other,
each in a GDB of its own that has made a map already. What is printed is the least time of all
rounds, on the clock and of GDB's own CPU: the median would tell of what else the host does.
-profile runs one command under cProfile in the second build instead.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "guests"), str(ROOT / "tests" / "harness")]

import guard
from gdbsession import GdbSession
from guests import boot

_COMMANDS = ("ptmap", "ptmap -json FILE", "pte $pc", "ptmap -ranges", "ptmap 0x400000 0x800000",
             "ptmap find 0x1000000", "ptmap find -aliases", "ptmap save SAVED", "ptmap diff SAVED",
             "ptmap check no write+exec", "vdso", "ptmap regs")  # fmt: skip
_TIMES = 8

_MEASURE = """
import time
result = []
for _ in range({times}):
    start = time.perf_counter(), time.process_time()
    try:
        gdb.execute({command!r}, to_string=True)
    except gdb.error:
        pass
    result.append((time.perf_counter() - start[0], time.process_time() - start[1]))
"""
_PROFILE = """
import cProfile, io, pstats, time
profile = cProfile.Profile(time.thread_time)
profile.runcall(gdb.execute, {command!r}, to_string=True)
text = io.StringIO()
pstats.Stats(profile, stream=text).sort_stats("tottime").print_stats(40)
result = text.getvalue()
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("-n", type=int, default=5, metavar="ROUNDS")
    parser.add_argument("-guest", default="4-level", metavar="NAME")
    parser.add_argument("-big", type=int, default=4096, metavar="MIB", help="of its area (4096)")
    parser.add_argument("-profile", metavar="COMMAND")
    options = parser.parse_args()
    builds = options.old.absolute(), options.new.absolute()
    times: dict[tuple[str, Path], list[tuple[float, float]]] = {}
    append = f"big={options.big} transparent_hugepage=never"
    memory = f"{options.big + 2048}M"
    with boot(
        options.guest, append=append, extra_args=("-m", memory)
    ) as qemu, guard.Folder() as at:
        names = {"FILE": f"{at}/map.json", "SAVED": f"{at}/saved.ptmap"}
        for _ in range(1 if options.profile else options.n):
            for build in builds[1:] if options.profile else builds:
                with GdbSession(script=build / "gdb" / "ptmap-gdb.py") as session:
                    session.attach(qemu.gdb_target)
                    session.run("ptmap")
                    for command in [options.profile] if options.profile else _COMMANDS:
                        said = command
                        for name, path in names.items():
                            said = said.replace(name, path)
                        if options.profile:
                            print(session.python(_PROFILE.format(command=said)))
                            continue
                        code = _MEASURE.format(times=_TIMES, command=said)
                        times.setdefault((command, build), []).extend(session.python(code))
                    session.disconnect()
    if options.profile:
        return
    print(f"{options.guest}, {options.big} MiB: milliseconds, old, new, new/old; then of the CPU")
    for command in _COMMANDS:
        old, new = ([1000 * min(row) for row in zip(*times[command, build])] for build in builds)
        columns = [f"{a:8.2f} {b:8.2f}  {b / a:5.2f}" for a, b in zip(old, new)]
        print(f"  {command:28} {'   '.join(columns)}")


if __name__ == "__main__":
    main()
