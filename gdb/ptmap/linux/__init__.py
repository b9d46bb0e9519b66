"""What ptmap knows of Linux. A map does not need it; it explains one.

    covering.py       which mapping of a process covers an address, and why
    entries.py        what it means by an entry of a process
    entry_bits.py     bits of an entry that the processor ignores
    kernel.py         a kernel: its banner, its version, where KASLR put it
    layout.py         the documented areas of its address space
    meaning.py        what Linux means by an entry, as a value
    modules.py        the modules that it has loaded, and where their sections are
    not_present.py    entries that are not present: swap, migration, PROT_NONE
    place.py          where a kernel is, by its symbols; for targets without control registers
    placement.py      where the symbols of a kernel's file belong
    processes.py      processes with what their tables map
    recognition.py    whether a space belongs to a Linux
    shape.py          what tells a Linux by its tables
    structures.py     fields of its structures, by vmlinux's types
    symbol_kernel.py  a kernel found by its symbols
    tasks.py          processes
    user_stack.py     where a process's stack is
    vmas.py           what a process has mapped
    vmlinux.py        where a kernel's file with its symbols may be
"""
