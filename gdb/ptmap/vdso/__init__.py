"""Finding a vDSO, and what is beside it.

    auxv.py         a process's auxiliary vector
    elf_images.py   ELF images behind user pages
    vdso.py         which of them is the vDSO
    vdso_images.py  the images that the kernel has
    vsyscall.py     the vsyscall page
    vvar.py         the vvar pages
"""
