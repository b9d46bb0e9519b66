"""Why an address is not mapped, if the user may have meant another address or another root."""

from __future__ import annotations

from ..linux import kernel, recognition
from ..spaces import kpti
from ..spaces.address_space import AddressSpace
from ..spaces.virtual_memory import VirtualMemory

_LOWEST_SPLIT = 1 << 30  # 32-bit and PAE: VMSPLIT_1G, arch/x86/Kconfig


def of(space: AddressSpace, va: int) -> str | None:
    """One sentence, with the command that mends it; None if there is nothing to say.

    The commonest traps: a symbol at its link address though KASLR has moved the kernel, and a
    kernel's address under KPTI's user root.
    """
    if va < (space.paging.upper_part if space.paging.canonical else _LOWEST_SPLIT):
        return None  # a process's address
    if kernel.is_in_image(space.reader.symbols, va):
        linux = recognition.find(space)
        if linux is not None and linux.offset:
            there = space.hex(linux.moved(va))
            return (
                "KASLR has moved the kernel and GDB's symbols have not moved: what is linked for "
                f"this address is at {there} (`ptmap kaslr VMLINUX` moves the symbols)"
            )
    through_kernel = VirtualMemory(kpti.kernel_of(space))
    if kpti.half(space) == "user" and through_kernel.translate(va) is not None:
        return "this is KPTI's user root; the kernel root maps the address (-half kernel)"
    return None
