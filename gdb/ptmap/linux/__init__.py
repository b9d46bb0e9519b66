"""What ptmap knows of Linux: none of it is needed for a map, all of it explains one.

    kernel.py         a kernel: its banner, its version, where KASLR put it
    layout.py         the documented areas of its address space
    not_present.py    entries that are not present: swap, migration, PROT_NONE
    place.py          without control registers: where a kernel is, by its symbols
    recognition.py    whether a space is a Linux's
    shape.py          how a Linux looks by its tables
    structures.py     fields of its structures, by vmlinux's types
    symbol_kernel.py  a kernel that its symbols led to
    symbols.py        its symbols given to GDB, at the right place
    tasks.py          processes
    user_stack.py     where a process's stack is
    vmas.py           what a process has mapped
"""
