"""What entering a kernel needs.

    kernel_entry.py  GDT, IDT, TSS and what SYSCALL needs, and whether it is mapped
"""
