"""Which address space a command is about, and what earlier commands saw.

    hints.py          why an address is not mapped, if another address or root was meant
    elf_sections.py   labels from the ELF files that GDB has loaded
    kernel_files.py   the kernel's ELF files whose symbols GDB has; loads one at its place
    last_maps.py      the last map of each root, for `ptmap diff` without operands
    module_files.py   loads the symbols of a kernel's modules
    selected_task.py  with kgdb: the space of the selected task
    selection.py      the space that registers and options select
    sides.py          the two sides of a diff
    snapshots.py      maps in files
    space_labels.py   all labels of a space
"""
