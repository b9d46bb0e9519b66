"""Which mapping of a process covers an address, and what an access would do there: why an address
is not present, or is read-only. Needs a vmlinux with types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..base.errors import Refusal
from ..spaces import kpti
from . import tasks, vmas
from .kernel import Kernel
from .processes import user_end
from .recognition import find
from .structures import Structures
from .vmas import VM_EXEC, VM_GROWSDOWN, VM_MAYSHARE, VM_READ, VM_WRITE, Vma

if TYPE_CHECKING:
    from .._core import Walk
    from ..spaces.address_space import AddressSpace

_RLIMIT_STACK = 3  # include/uapi/asm-generic/resource.h


def asks(space: AddressSpace, walk: Walk) -> bool:
    """Whether a mapping may explain where the walk ends, and symbols are there to find it."""
    is_read_only = walk.outcome == "mapped" and walk.user and not walk.write
    if walk.outcome != "not-present" and not is_read_only:
        return False
    return space.reader.symbols.link_address("init_task") is not None


@dataclass(frozen=True)
class Covering:
    """The mapping that covers an address, or that none does."""

    vma: Vma | None
    va: int  # the address
    says: str  # what an access does, or why there is none; "" if there is nothing to say

    @property
    def offset(self) -> int:
        """Of the address's page in the mapping's file."""
        assert self.vma is not None
        return self.vma.offset + (self.va & ~0xFFF) - self.vma.start

    def json(self) -> dict[str, object]:
        vma = self.vma
        if vma is None:
            return {"covered": False, "says": self.says}
        return {
            "covered": True,
            "va": hex(vma.start),
            "size": hex(vma.end - vma.start),
            "rights": vma.rights,
            "name": vma.name or "[anon]",
            **({"offset": hex(self.offset)} if vma.is_file else {}),
            "says": self.says,
        }

    def text(self) -> str:
        vma = self.vma
        if vma is None:
            return f"no VMA covers it: {self.says}"
        name = f"file {vma.name} +{self.offset:#x}" if vma.is_file else vma.name or "[anon]"
        says = f": {self.says}" if self.says else ""
        return f"VMA {vma.start:#x}, {vma.end - vma.start:#x} bytes: {name} {vma.rights}{says}"


def explain(space: AddressSpace, walk: Walk) -> Covering | None:
    """None for the kernel's addresses, if no process has this space, or if the symbols or its
    memory do not tell."""
    if not asks(space, walk):
        return None
    kernel = find(space)
    try:
        if kernel is None or kernel.offset is None or walk.va >= user_end(kernel):
            return None
        task = tasks.task_of_root(kernel, kpti.kernel_of(space).root)
        if task is None or not task.mm:
            return None
        around = vmas.around(kernel, task.mm, walk.va)
        if around is None:
            return None
        vma = around.covering
        says = _says(vma, walk) if vma else _uncovered(kernel, task, around, walk.va)
        return Covering(vma, walk.va, says)
    except Refusal:
        return None


def _says(vma: Vma, walk: Walk) -> str:
    """What an access does."""
    if not vma.flags & (VM_READ | VM_WRITE | VM_EXEC):
        return "no access is allowed (PROT_NONE)"
    if walk.outcome == "mapped":
        if not vma.flags & VM_WRITE:
            return ""
        is_shared = vma.flags & VM_MAYSHARE
        return "read-only until a write" if is_shared else "read-only: a write copies"
    if walk.steps[-1].raw:
        return ""  # the entry itself tells
    if not vma.is_file:
        return "comes at first touch"
    is_private = vma.flags & VM_WRITE and not vma.flags & VM_MAYSHARE
    copies = "; a write copies" if is_private else ""
    return f"comes from the file at first touch{copies}"


def _uncovered(kernel: Kernel, task: tasks.Task, around: vmas.Around, va: int) -> str:
    above, below = around.above, around.below
    if above is None:
        return "there is none above it"
    name = above.name or "[anon]"
    if not above.flags & VM_GROWSDOWN:
        return f"the next one is {name} at {above.start:#x}"
    # expand_downwards() in mm/mmap.c; acct_stack_growth()
    structures = Structures(kernel)
    signal = structures.read(task.address, "task_struct.signal")
    limits = structures.at(signal, "signal_struct.rlim") + _RLIMIT_STACK * 2 * kernel.pointer
    limit = structures.number(limits, kernel.pointer)
    if above.end - (va & ~0xFFF) > limit:
        return f"it is too far below {name} at {above.start:#x}, whose limit is {limit:#x} bytes"
    gap = kernel.word("stack_guard_gap")
    if below is not None and gap and (va & ~0xFFF) - below.end < gap:
        return f"in the guard gap between {below.name or '[anon]'} and {name} at {above.start:#x}"
    return f"{name} at {above.start:#x} grows down to it at first touch"
