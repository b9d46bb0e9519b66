"""Which space is meant, and what was seen before.

    elf_sections.py   labels from the ELF files that GDB has loaded
    last_maps.py      the last map made of each root, for `ptmap diff` alone
    selected_task.py  on kgdb: the space of the selected task
    selection.py      registers and options put together
    sides.py          what a diff compares
    snapshots.py      maps in files
    space_labels.py   all that is known of a space
"""
