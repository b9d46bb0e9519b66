"""An address space as a value.

    address_space.py   its registers and its root
    attributes.py      the vocabulary of -filter, check and -expect: what people see of it
    kpti.py            the two roots of a process
    labels.py          names of stretches
    maps.py            maps of a space, within the limits of its reader
    reader.py          what a space is read through
    registers.py       registers of a CPU
    scanned.py         what a command has scanned and flattened of it
    split.py           the user's and the supervisor's part
    virtual_memory.py  linear memory through any root
"""
