"""ptmap: GDB commands that show a paused x86 machine's address space.

Data goes one way: a command asks target.py for the registers and memory, hands them to the native
core (native.py), and prints the map that comes back.

    commands/          one file a command; the docstring is its help
    command.py         what commands share: options, arguments, errors
    expressions.py     expressions, which write nothing to the target
    functions.py       $ptmap_pa and the like; api.py what scripts import
    question.py        how such a question begins, which is no command
    c_types.py         C's own types in frames of other languages
    text.py            numbers and sizes in words
    settings.py        set/show ptmap
    target.py          what GDB is attached to; its registers.py
    cpus.py            GDB's threads as CPUs, counted from 0
    qemu_stub.py       the physical mode of QEMU's gdbstub
    qemu_monitor.py    what only QEMU's monitor tells: GDT, IDT, TR
    memory.py          the physical memory that commands read; where it comes from: sources/
    progress.py        how far a long command is
    virtual_memory.py  linear memory through any root
    address_space.py   which tables to read, how: registers and options put together
    kpti.py            the two roots of a process
    descriptors.py     GDT, IDT and TSS: which pages the processor needs
    kernel_entry.py    whether they are mapped, and what SYSCALL needs
    elf_images.py      ELF images behind user pages; vdso.py which of them is the vDSO
    symbol_files.py    their symbols given to GDB
    attributes.py      the vocabulary of -filter, check and -expect
    rules/             rules that `ptmap check` and `pte -expect` evaluate; tap.py shows them
    labels.py          names of stretches; elf_sections.py and linux/ know some
    user_stack.py      where a process's stack is
    space_labels.py    all that is known of a space
    maps.py            maps of a space, within the limits of the settings
    last_maps.py       the last map made of each root, for `ptmap diff` alone
    snapshots.py       maps in files; sides.py what a diff compares
    watch.py           watchpoints on entries
    map_view.py        what `ptmap` shows of a space; as text by overview_text.py,
                       grid_text.py and summary.py
    linux/             what only Linux has: its layout, tasks, VMAs, swapped pages, KASLR,
                       the kernel's vDSO images, vvar and vsyscall pages; and, where there are no
                       control registers (kgdb), where a kernel is by its symbols (place.py) and
                       whose space the selected task's is (selected_task.py)

A script's `import ptmap` has all that api.py's docstring tells of, loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import (
        EXEC, GLOBAL, NO_PA, PAGE_1G, PAGE_2M, PAGE_4K, PAGE_4M, READ, USER, WRITE, Differences,
        Error, Map, Mapping, Pages, Registers, Space, Tables, diff, load, memory_type, space,
    )  # fmt: skip
    from ._core import Difference, DiffSide, Gap, Range, Step, Table, Walk

_NATIVE = ("DiffSide", "Difference", "Gap", "Range", "Step", "Table", "Walk")
__all__ = [
    "EXEC", "GLOBAL", "NO_PA", "PAGE_1G", "PAGE_2M", "PAGE_4K", "PAGE_4M", "READ", "USER", "WRITE",
    "DiffSide", "Difference", "Differences", "Error", "Gap", "Map", "Mapping", "Pages", "Range",
    "Registers", "Space", "Step", "Table", "Tables", "Walk", "diff", "load", "memory_type", "space",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _NATIVE:
        from . import native

        return getattr(native.core(), name)
    if name in __all__:
        from . import api

        return getattr(api, name)
    raise AttributeError(f"module 'ptmap' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def register() -> None:
    """Registers commands and settings with GDB. Imports nothing heavy."""
    from . import functions, settings, target
    from .commands import check, diff, find, kaslr, pte, ptmap, regs, save, vdso, xp

    settings.register()
    for command in (ptmap, pte, vdso, regs, find, save, diff, check, kaslr, xp):
        command.register()
    functions.register()
    target.watch_attach()
    target.watch_changes()
