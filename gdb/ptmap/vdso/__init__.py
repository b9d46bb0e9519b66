"""Finds a vDSO and the pages that belong to it.

    auxv.py         a process's auxiliary vector
    elf_images.py   ELF images behind user pages
    vdso.py         which image is the vDSO
    vdso_images.py  the kernel's own images
    vsyscall.py     the vsyscall page
    vvar.py         the vvar pages: the vDSO's data
"""
