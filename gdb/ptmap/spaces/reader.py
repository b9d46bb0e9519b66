"""What an address space is read through, and within which limits."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable, Protocol, Sequence

from ..base.lifetimes import Lifetime

if TYPE_CHECKING:
    from .._core import ReadOnce
    from .._core import Space as Tables


class Source(Protocol):
    """Where memory comes from: machine/sources/source.py."""

    name: str
    keeps: bool  # what was read, for as long as the target stands still
    knows_ram: bool  # whether what is outside `ram` is none for certain
    place: Any  # of a Linux kernel, where its symbols led to its memory


class Memory(Protocol):
    """A machine's physical memory: machine/memory.py."""

    core: ReadOnce  # what the native core reads through
    found: Lifetime  # what was recognised in it; ends with it

    @property
    def source(self) -> Source:
        ...

    @property
    def ram(self) -> list[tuple[int, int]]:
        ...

    def is_ram(self, address: int, length: int) -> bool:
        ...

    def reading(self) -> AbstractContextManager[None]:
        ...

    def __call__(self, wanted: Sequence[tuple[int, int]]) -> list[bytes | str]:
        ...


class Progress(Protocol):
    """Called now and then with how much is done; what it raises ends the work."""

    def scanning(self, tables: int, /) -> None:
        ...

    def flattening(self, ranges: int, /) -> None:
        ...


@dataclass(frozen=True)
class Plan:
    """What a command will ask for, as far as it is known before anything is read."""

    whole: bool = False  # about all of a space, and not a few addresses or a window
    counts: bool = True  # how many pages there are, and whether they are RAM
    brief: bool = False  # a few entries are all that is read, unless the command widens that
    exact: bool = False  # frames and page sizes of each range, of the user's part too


@dataclass
class Scans:
    """What was scanned, for as long as a question: scanned.py knows what."""

    plan: Plan = Plan()
    by_root: dict[tuple[object, ...], object] = field(default_factory=dict)


@dataclass(frozen=True)
class Reader:
    """All that reading a space needs besides the space itself."""

    memory: Callable[[], Memory]  # chosen when it is first asked for; Refusal if there is none
    progress: Progress
    max_tables: int  # that one scan may read
    max_ranges: int  # that one map may have
    pat: int | None  # IA32_PAT; None if it is not known
    pkru: int | None  # PKRU, the same
    scans: Scans  # what was scanned in this command
    scanned: Callable[[Any, Tables], None]  # told of each scan of a whole AddressSpace
    cpus: Callable[[], int]  # how many CPUs there are; asking may be slow
