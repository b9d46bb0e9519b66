"""Which mapping of a process covers an address, and what an access would do there: why an address
is not present, or is read-only. Needs a vmlinux with types."""

from __future__ import annotations

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


def explain(space: AddressSpace, walk: Walk) -> dict[str, object] | None:
    """The mapping, as the JSON has it; None for the kernel's addresses, if no process has this
    space, or if the symbols or its memory do not tell."""
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
        if around.covering is not None:
            return _covered(around.covering, walk)
        return {"covered": False, "says": _uncovered(kernel, task, around, walk.va)}
    except Refusal:
        return None


def text(one: dict[str, object]) -> str:
    """What explain() gives in words."""
    if not one["covered"]:
        return f"no VMA covers it: {one['says']}"
    where = f" +{one['offset']}" if "offset" in one else ""
    says = f": {one['says']}" if one["says"] else ""
    return f"VMA {one['va']}, {one['size']} bytes: {one['name']}{where} {one['rights']}{says}"


def _covered(vma: Vma, walk: Walk) -> dict[str, object]:
    one: dict[str, object] = {
        "covered": True,
        "va": hex(vma.start),
        "size": hex(vma.end - vma.start),
        "rights": vma.rights,
        "name": vma.name or "[anon]",
    }
    if vma.is_file:
        page = walk.va & ~0xFFF
        one["name"] = f"file {vma.name}"
        one["offset"] = hex(vma.offset + page - vma.start)
    one["says"] = _says(vma, walk)
    return one


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
