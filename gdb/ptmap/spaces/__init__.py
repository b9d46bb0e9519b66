"""An address space as a value.

    address_space.py   its registers and its root
    attributes.py      the attributes' words, as -filter, check and -expect take them
    kpti.py            the two roots of a process under KPTI
    labels.py          names of parts of a space
    maps.py            maps of a space, within the limits of its reader
    reader.py          memory and limits for reading a space
    registers.py       registers of a CPU
    scanned.py         a space's tables, scanned once for each command
    split.py           the user's and the supervisor's part
    virtual_memory.py  linear memory through any root
    walks.py           walks and scans: what reads a space's tables
"""
