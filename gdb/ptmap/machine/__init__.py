"""What GDB is attached to.

    cpus.py          GDB's threads as CPUs, counted from 0
    memory.py        the physical memory that commands read; where it comes from: sources/
    qemu_monitor.py  what only QEMU's monitor tells: GDT, IDT, TR
    qemu_stub.py     the physical mode of QEMU's gdbstub
    question.py      how a question begins and ends
    remote.py        packets to a stub
    target.py        whether it can be asked, its registers, its memory
"""
