r"""Exposed tables: the page tables that user mode can reach through the mappings they make.

Who can write a page table owns the machine, and who can read one knows where everything is. A
kernel has its tables in its own map of all memory; none should be in a user page.

    gdb -x build/release/gdb/ptmap-gdb.py -ex 'target remote :1234' \
        -x examples/python/exposed_tables.py
"""

from bisect import bisect_left

import gdb
import ptmap

try:
    space = ptmap.space()
    # The root first among tables, so last here: one may be used at several levels.
    names = {table.pa & -4096: table.name for table in reversed(space.tables())}
    frames, exposed = sorted(names), 0
    user = space.map(filter="user")
    for va, size, pa, flags in user.rows():
        for frame in frames[bisect_left(frames, pa) : bisect_left(frames, pa + size)]:
            exposed += 1
            writable = ", writable" if flags & ptmap.WRITE else ""
            print(f"{names[frame]:4} {frame:#x} is mapped at {va + frame - pa:#x}{writable}")
    print(f"{len(frames)} tables, {exposed} mappings of them for user mode")
    if not user.complete:
        print("not all of the space could be read: there may be more")
except ptmap.Error as error:  # without this `gdb -x` would end with status 0
    print(f"exposed_tables: {error}")
    gdb.execute("quit 1")
