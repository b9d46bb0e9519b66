"""What GDB is attached to.

    cpus.py          GDB's threads as CPUs, counted from 0
    memory.py        the physical memory that commands read
    sources/         where physical memory comes from
    qemu_monitor.py  registers that only QEMU's monitor shows: GDTR, IDTR, LDTR, TR
    qemu_stub.py     the physical mode of QEMU's gdbstub
    question.py      how a question begins and ends
    remote.py        packets to a stub
    target.py        whether the target is stopped; its registers, its memory
"""
