"""Linux's processes with what their page tables map: `ptmap ps`. Needs a vmlinux with types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Iterator

from ..base.errors import Refusal
from ..spaces import maps, walks
from . import tasks
from .kernel import Kernel
from .structures import Structures
from .tasks import Task

if TYPE_CHECKING:
    from ..spaces.address_space import AddressSpace

_PAGE = 1 << 12

# include/linux/sched.h: bits of task_struct.__state and exit_state, and what /proc/PID/status calls
# them (task_state_array in fs/proc/array.c). 0 is running.
_STATES = (
    (0x01, "sleeping"), (0x02, "disk sleep"), (0x04, "stopped"), (0x08, "tracing stop"),
    (0x10, "dead"), (0x20, "zombie"), (0x40, "parked"),
)  # fmt: skip
_RUNNING = "running"
_IDLE, _IDLE_BITS = "idle", 0x402  # TASK_UNINTERRUPTIBLE and TASK_NOLOAD


@dataclass(frozen=True)
class Process:
    """A thread group. Its state and CPU are those of its first thread."""

    pid: int
    comm: str  # printable
    is_kernel_thread: bool
    state: str  # as /proc/PID/status has it: "running" (or ready to run), "sleeping", "zombie" ...
    cpu: int  # that ran it last
    running_on: tuple[int, ...] | None  # CPUs that run one of its threads now; None if not known
    root: int | None  # physical, under KPTI the kernel root; None if it has no address space
    mapped: int | None  # bytes of its own part that are mapped; None without a root
    why: str | None = None  # why a root is missing that should be there, or `mapped` may be more

    @property
    def pages(self) -> int | None:
        """What is mapped, in pages of 4 KiB."""
        return None if self.mapped is None else self.mapped // _PAGE


class Processes:
    """Iterates over the processes in the order of the kernel's list, which begins with the idle
    task of CPU 0. It ends where the list is damaged: `damage` says how."""

    damage: str | None = None

    def __init__(self, space: AddressSpace, kernel: Kernel, kernel_threads: bool = False) -> None:
        """Error: Refusal without the types of this kernel."""
        self._space, self._kernel, self._all = space, kernel, kernel_threads
        self._structures = Structures(kernel)
        self._fields = _Fields(self._structures)
        self._mapped: dict[int, tuple[int, str | None]] = {}  # by root

    def __iter__(self) -> Iterator[Process]:
        try:
            for task in tasks.tasks(self._kernel):
                if self._all or not task.is_kernel_thread:
                    yield self._process(task)
        except Refusal as error:
            self.damage = str(error)

    def _process(self, task: Task) -> Process:
        root, mapped, why = None, None, None
        try:
            root = tasks.root_of(self._space, self._kernel, task)
        except Refusal as error:
            why = str(error)
        if root is not None:
            mapped, cut = self._count(root)
            why = cut and f"{task}: {cut}"
        return Process(
            pid=task.pid,
            comm=task.comm,
            is_kernel_thread=task.is_kernel_thread,
            state=self._fields.state(task.address),
            cpu=self._fields.cpu(task.address),
            running_on=self._running_on(task),
            root=root,
            mapped=mapped,
            why=why,
        )

    def _running_on(self, task: Task) -> tuple[int, ...] | None:
        try:
            threads = [one.address for one in tasks.threads(self._kernel, task)]
            running = [one for one in threads if self._fields.is_on_cpu(one)]
            return tuple(self._fields.cpu(one) for one in running)
        except Refusal:
            return None

    def _count(self, root: int) -> tuple[int, str | None]:
        """Bytes that the user's part of a root maps, and why there may be more."""
        if root not in self._mapped:
            space = self._space.below(root, pair=self._kernel.pair(root))
            last = user_end(self._kernel) - 1
            made = maps.flatten(space, walks.scan(space, 0, last), 0, last)
            size = sum(one.size for one in made)
            why = None if made.complete else "not all of its tables could be read"
            self._mapped[root] = size, "a limit was reached" if made.truncated else why
        return self._mapped[root]


def user_end(kernel: Kernel) -> int:
    """Where the processes' part ends. Error: Refusal if that is not known."""
    end = kernel.space.paging.upper_part or kernel.page_offset
    if not end:
        raise Refusal("where this kernel's part begins is not known")
    return end


@dataclass
class Roots:
    """The processes by their distinct roots; under KPTI these are the kernel roots."""

    tasks: dict[int, list[Task]]
    why_more: list[str]  # why there may be others


def roots(space: AddressSpace, kernel: Kernel) -> Roots:
    """Error: Refusal if the list of tasks cannot be read at all."""
    found = Roots({}, [])
    try:
        for task in tasks.tasks(kernel):
            try:
                root = tasks.root_of(space, kernel, task)
            except Refusal as error:
                found.why_more.append(str(error))
                continue
            if root is not None:
                found.tasks.setdefault(root, []).append(task)
    except Refusal as error:
        if not found.tasks:
            raise
        found.why_more.append(str(error))
    return found


class _Fields:
    """What a task_struct has of its state. The names of the fields depend on the version."""

    def __init__(self, structures: Structures) -> None:
        self._structures = structures
        has = structures.has
        self._state = "__state" if has("task_struct.__state") else "state"  # until Linux 5.13
        in_thread_info = has("task_struct.thread_info.cpu")  # since Linux 5.16
        self._cpu = "thread_info.cpu" if in_thread_info else "cpu"
        self._is_smp = has(f"task_struct.{self._cpu}")

    def state(self, task: int) -> str:
        """As task_state_index(), include/linux/sched.h."""
        bits = self._read(task, self._state)
        if bits & _IDLE_BITS == _IDLE_BITS:
            return _IDLE
        bits |= self._read(task, "exit_state")
        return next((word for bit, word in reversed(_STATES) if bits & bit), _RUNNING)

    def cpu(self, task: int) -> int:
        return self._read(task, self._cpu) if self._is_smp else 0

    def is_on_cpu(self, task: int) -> bool:
        """Error: NoType in a kernel for one CPU."""
        return bool(self._read(task, "on_cpu"))

    def _read(self, task: int, field: str) -> int:
        """Error: NoType, Unreadable."""
        return self._structures.read(task, f"task_struct.{field}")
