"""What entering a kernel needs.

    kernel_entry.py  GDT, IDT, TSS, SYSCALL's entry and stack: whether they are mapped
"""
