r"""Fragmentation: how long the runs of neighbouring frames are that user memory lies in.

Where most of it is in runs of 2 MiB and more, large pages would fit; runs of 4 KiB say that
memory is in pieces. A range of ptmap ends where frames stop being contiguous.

    gdb -x build/release/gdb/ptmap-gdb.py -ex 'target remote :1234' \
        -x examples/python/fragmentation.py
"""

from collections import Counter

import gdb
import ptmap

try:
    runs: Counter[int] = Counter()
    sizes: Counter[int] = Counter()
    user = ptmap.space().map(filter="user")
    for va, size, pa, flags in user.rows():
        power = size.bit_length() - 1
        runs[power] += 1
        sizes[power] += size
    for power in sorted(runs):
        share = 100 * sizes[power] / sizes.total()
        print(f"{runs[power]:7} runs of {1 << power - 10:7} KiB and more: {share:3.0f}%")
    if not user.complete:
        print("not all of the space could be read: there may be more")
except ptmap.Error as error:  # without this `gdb -x` would end with status 0
    print(f"fragmentation: {error}")
    gdb.execute("quit 1")
