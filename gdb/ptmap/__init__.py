"""ptmap: GDB commands that show a paused x86 machine's address space.

Data goes one way: a command asks target.py for the registers and memory, hands them to the native
core (native.py), and prints the map that comes back.

    commands/          one file a command; the docstring is its help
    command.py         what commands share: options, arguments, errors
    settings.py        set/show ptmap
    target.py          what GDB is attached to, and its control registers
    qemu_stub.py       physical memory through QEMU's gdbstub
    address_space.py   which tables to read, how: registers, -root and -mode put together
    attributes.py      the vocabulary of -filter
"""


def register() -> None:
    """Registers commands and settings with GDB. Imports nothing heavy."""
    from . import settings, target
    from .commands import pte, ptmap, regs

    settings.register()
    ptmap.register()
    pte.register()
    regs.register()
    target.watch_attach()
