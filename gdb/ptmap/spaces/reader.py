"""All that reading an address space needs: memory, limits, progress."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable, Protocol, Sequence

from ..base.interval import Interval
from ..base.lifetimes import Lifetime
from ..base.symbols import Symbols
from .registers import Roots

if TYPE_CHECKING:
    from .._core import ReadOnce
    from .._core import Tables


class Source(Protocol):
    """Where memory comes from: machine/sources/source.py."""

    name: str
    can_run: bool  # whether the machine can run on
    keeps: bool  # whether answers are kept while the target stands still
    knows_ram: bool  # whether everything outside of `ram` certainly is not RAM
    place: Any  # of a Linux kernel, if the source was found by its symbols


class Memory(Protocol):
    """A machine's physical memory: machine/memory.py."""

    core: ReadOnce  # what the native core reads through
    found: Lifetime  # what was recognised in this memory; ends with it

    @property
    def source(self) -> Source:
        ...

    @property
    def ram(self) -> list[Interval]:
        ...

    def is_ram(self, address: int, length: int) -> bool:
        ...

    def reading(self) -> AbstractContextManager[None]:
        ...

    def __call__(self, wanted: Sequence[tuple[int, int]]) -> list[bytes | str]:
        ...


class Progress(Protocol):
    """Long work calls it with the amount done; an exception from it ends the work."""

    def scanning(self, tables: int, /) -> None:
        ...

    def flattening(self, ranges: int, /) -> None:
        ...

    def searching(self, pages: int, /) -> None:
        ...

    def placing(self, tried: int, places: int, /) -> None:
        ...


@dataclass(frozen=True)
class Plan:
    """What a command will ask for, as far as it knows before it reads anything."""

    whole: bool = False  # about all of a space, and not a few addresses or a window
    counts: bool = True  # how many pages there are, and whether they are RAM
    brief: bool = False  # only a few entries are read, unless the command widens that
    exact: bool = False  # frames and page sizes of each range, of the user's part too


@dataclass
class Scans:
    """What a question has scanned; scanned.py fills it."""

    plan: Plan = Plan()
    by_root: dict[tuple[object, ...], object] = field(default_factory=dict)
    pairs: dict[tuple[object, ...], Roots | None] = field(default_factory=dict)  # see kpti.py


@dataclass(frozen=True)
class Reader:
    """All that reading a space needs besides the space itself."""

    memory: Callable[[], Memory]  # the source is chosen at the first call; Refusal if there is none
    progress: Progress
    symbols: Symbols  # that are loaded; they may be another kernel's
    max_tables: int  # that one scan may read
    max_ranges: int  # that one map may have
    pat: int | None  # IA32_PAT; None if it is not known
    pkru: int | None  # PKRU; None if it is not known
    scans: Scans  # what was scanned in this command
    remember_tables: Callable[[Any, Tables], None]  # called after a scan of a whole AddressSpace
    cpus: Callable[[], int]  # the number of CPUs; asking may be slow
