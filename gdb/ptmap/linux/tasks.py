"""Linux's processes and their address spaces. Needs a vmlinux with debug information.

Memory is read through the kernel's own root; the types of vmlinux say where the fields are. GDB
itself cannot read it: it goes through CR3, and with KPTI a CPU in user mode has no kernel there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Iterator

from ..base.errors import Refusal
from ..base.text import plural, printable
from ..spaces import kpti
from ..spaces.virtual_memory import Unreadable
from .kernel import Kernel
from .recognition import find
from .structures import NO_TYPES, Structures

if TYPE_CHECKING:
    from ..spaces.address_space import AddressSpace

_MAX_TASKS = 1 << 16
_PID_LIMIT = 1 << 22  # PID_MAX_LIMIT, include/linux/threads.h
_COMM = 15  # TASK_COMM_LEN less its NUL, include/linux/sched.h
_PF_EXITING, _PF_KTHREAD = 0x00000004, 0x00200000  # include/linux/sched.h
_LISTED = 10


@dataclass(frozen=True)
class Task:
    """A thread. Its process is the one whose pid is the thread's tgid."""

    address: int  # of its task_struct
    pid: int
    tgid: int
    comm: str  # printable
    mm: int  # its mm_struct; 0 for a kernel thread, before the first exec, and after the exit
    is_kernel_thread: bool
    is_exiting: bool

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.comm})"


def linux(space: AddressSpace) -> Kernel:
    """The Linux of a space. Error: Refusal if there is none, or if its symbols are not loaded."""
    kernel = find(space)
    if kernel is None:
        raise Refusal("no Linux recognised here")
    if kernel.wrong_symbols:
        raise Refusal("the symbols loaded are not this kernel's")
    if kernel.offset is None:
        raise Refusal("needs the kernel's symbols: `ptmap kaslr VMLINUX` loads them")
    return kernel


def tasks(kernel: Kernel) -> Iterator[Task]:
    """Every process (its first thread); the idle task comes first. Error: Refusal if damaged."""
    structures = Structures(kernel)
    init = kernel.symbol("init_task")
    if init is None:
        raise Refusal(f"the symbols loaded have no init_task: {NO_TYPES}")
    yield _task(structures, init)
    head = structures.at(init, "task_struct.tasks")
    for address in linked(structures, head, "task_struct.tasks", "the list of tasks"):
        yield _task(structures, address)


def threads(kernel: Kernel, leader: Task) -> Iterator[Task]:
    """A process's threads, with the first one. Error: Refusal if damaged."""
    structures = Structures(kernel)
    signal = structures.read(leader.address, "task_struct.signal")
    head = structures.at(signal, "signal_struct.thread_head")
    what = f"the list of the threads of {leader}"
    for address in linked(structures, head, "task_struct.thread_node", what):
        yield _task(structures, address)


def linked(structures: Structures, head: int, member: str, what: str) -> Iterator[int]:
    """The structures on a list; MEMBER of each is on it. A list_head (include/linux/list.h) is a
    ring with HEAD in it."""
    seen = {head}
    at = head
    while True:
        try:
            # A list_head's first member is `next`.
            following = structures.number(at, structures.pointer)
        except Unreadable as error:
            raise Refusal(f"{what} is damaged: {error}") from None
        if following == head:
            return
        if following in seen or len(seen) > _MAX_TASKS:
            raise Refusal(f"{what} is damaged: it has a loop at {following:#x}")
        seen.add(following)
        at = following
        yield structures.container(at, member)


def task_at(kernel: Kernel, address: int) -> Task:
    """The task whose task_struct is at ADDRESS. Error: Refusal if there is no task."""
    return _task(Structures(kernel), address)


_TASK_FIELDS = tuple(f"task_struct.{name}" for name in ("pid", "tgid", "mm", "flags", "comm"))


def _task(structures: Structures, address: int) -> Task:
    """Error: Refusal if there is no task."""
    try:
        *numbers, comm = structures.record(address, *_TASK_FIELDS)
    except Unreadable as error:
        raise Refusal(f"the list of tasks is damaged: {error}") from None
    pid, tgid, mm, flags = (int.from_bytes(number, "little") for number in numbers)
    if max(pid, tgid) > _PID_LIMIT:
        raise Refusal(
            f"the list of tasks is damaged: there is no task at {address:#x} (pid {pid:#x})"
        )
    name = printable(comm.split(b"\0")[0][:_COMM])
    is_kernel_thread = bool(flags & _PF_KTHREAD) or pid == 0
    return Task(address, pid, tgid, name, mm, is_kernel_thread, bool(flags & _PF_EXITING))


def space_of(space: AddressSpace, pid: int | None, comm: str | None) -> AddressSpace:
    """The address space of a process, by the pid of any of its threads or by its name.

    Error: Refusal if there is no such process, or several.
    """
    if pid is not None and comm is not None:
        raise Refusal("-pid and -comm both name a process: give only one")
    option = "-comm" if pid is None else "-pid"
    try:
        kernel = linux(space)
        task = _by_comm(kernel, comm or "") if pid is None else _by_pid(kernel, pid)
        return space_of_task(space, kernel, task)
    except Refusal as error:
        raise Refusal(f"{option}: {error}") from None


def _by_comm(kernel: Kernel, comm: str) -> Task:
    wanted = printable(comm)
    found = [task for task in tasks(kernel) if task.comm == wanted]
    if len(found) == 1:
        return found[0]
    if not found:
        cut = f" (Linux keeps {_COMM} characters of a name)" if len(wanted) > _COMM else ""
        raise Refusal(f"no process is named {wanted}{cut}")
    pids = " ".join(str(task.pid) for task in found[:_LISTED])
    more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    raise Refusal(f"{len(found)} processes are named {wanted}: pid {pids}{more}")


def _by_pid(kernel: Kernel, pid: int) -> Task:
    known = kernel.task_of_pid(pid)
    if known is not None:
        return task_at(kernel, known)
    leaders = []
    for task in tasks(kernel):
        if task.pid == pid:
            return task
        leaders.append(task)
    for leader in leaders:
        # A kernel thread has no other threads, and all idle tasks have pid 0.
        if not leader.is_kernel_thread:
            for task in threads(kernel, leader):
                if task.pid == pid:
                    return task
    raise Refusal(f"no process has the pid {pid} ({plural(len(leaders), 'process', 'processes')})")


def space_of_task(space: AddressSpace, kernel: Kernel, task: Task, role: str = "") -> AddressSpace:
    """A task's address space; ROLE follows the task's name in `notes`. Error: Refusal."""
    mm = _mm(kernel, task)
    if mm is None:
        if not task.is_kernel_thread:
            if task.is_exiting:
                raise Refusal(f"{task} has exited: it has no address space any more")
            raise Refusal(f"{task} has no address space yet")
        note = f"{task}{role}, a kernel thread: init_mm"  # it runs in whatever space is loaded
        mm = kernel.symbol("init_mm")
        if mm is None:
            raise Refusal(f"the symbols loaded have no init_mm: {NO_TYPES}")
    else:
        note = f"{task}{role}"
    root = _valid_root(space, kernel, task, mm)
    kernel.found.of(_Hints).task_by_root[root] = task.address
    return space.below(root, notes=(note,), pair=kernel.pair(root))


def root_of(space: AddressSpace, kernel: Kernel, task: Task) -> int | None:
    """The physical root of a task's own address space, under KPTI the kernel root; None if it has
    none. SPACE tells the paging mode. Error: Refusal if its mm_struct is damaged."""
    mm = _mm(kernel, task)
    return None if mm is None else _valid_root(space, kernel, task, mm)


def _valid_root(space: AddressSpace, kernel: Kernel, task: Task, mm: int) -> int:
    root = _root(kernel, Structures(kernel), mm)
    if root is None or space.paging.root_of(root) != root:
        raise Refusal(f"{task}: its mm_struct at {mm:#x} has no valid page-table root")
    return root


def _mm(kernel: Kernel, task: Task) -> int | None:
    """The task's mm_struct; if the first thread has exited, another thread's."""
    if task.mm or task.is_kernel_thread:
        return task.mm or None
    return next((other.mm for other in threads(kernel, task) if other.mm), None)


def _root(kernel: Kernel, structures: Structures, mm: int) -> int | None:
    """The physical root. Under KPTI mm->pgd is the kernel root (arch/x86/mm/pgtable.c)."""
    try:
        return kernel.memory.translate(structures.read(mm, "mm_struct.pgd"))
    except Unreadable:
        return None


@dataclass
class _Hints:
    """Lives as long as the memory is the same. The task whose root was last looked up, by root:
    only a hint, checked before use. It saves the list of all tasks, which takes long over a slow
    line."""

    task_by_root: dict[int, int] = field(default_factory=dict)


def _likely(kernel: Kernel, root: int) -> Iterator[Task]:
    """The tasks to try before the whole list, which is slow to read."""
    hint = kernel.found.of(_Hints).task_by_root.get(root)
    if kernel.place is not None and hint is not None:
        try:
            yield task_at(kernel, hint)
        except Refusal:
            pass  # it has gone
    for address in kernel.running():
        yield task_at(kernel, address)


def task_of_root(kernel: Kernel, root: int) -> Task | None:
    """The task that has these tables; under KPTI ROOT may be either root. None if no process has
    them, or if the symbols or the list do not tell."""
    if kernel.offset is None:
        return None
    pair = kpti.roots(kernel.space)
    wanted = root & ~(pair.kernel ^ pair.user) if pair is not None else root
    if kernel.place is not None and wanted == kernel.place.root:
        return None  # init_mm belongs to no process
    structures = Structures(kernel)
    try:
        for task in chain(_likely(kernel, wanted), tasks(kernel)):
            mm = _mm(kernel, task)
            if mm is not None and _root(kernel, structures, mm) == wanted:
                return task
    except Refusal:
        pass
    return None
