r"""Working set: how much of each stretch of user memory was used since the OS last looked.

The accessed bit (A) of an entry is set by the processor when a page is read, written or executed,
the dirty bit (D) when it is written; an OS clears them now and then. No command adds them up.

    gdb -x build/release/gdb/ptmap-gdb.py -ex 'target remote :1234' \
        -x examples/python/working_set.py
"""

import gdb
import ptmap

A, D = 1 << 5, 1 << 6  # SDM vol. 3A, figure 4-11

try:
    stretches: list[list[int]] = []  # start, end, pages, accessed, dirty
    everything = ptmap.space().pages()
    for va, size, pa, flags, entry in everything:
        if not flags & ptmap.USER:
            continue
        if not stretches or stretches[-1][1] != va:
            stretches.append([va, va, 0, 0, 0])
        one = stretches[-1]
        one[1:] = va + size, one[2] + 1, one[3] + bool(entry & A), one[4] + bool(entry & D)
    for start, end, pages, accessed, dirty in stretches:
        print(f"{start:#018x} {pages:7} pages, {accessed:7} accessed, {dirty:7} dirty")
    if not everything.complete:
        print("not all of the space could be read: there may be more")
except ptmap.Error as error:  # without this `gdb -x` would end with status 0
    print(f"working_set: {error}")
    gdb.execute("quit 1")
