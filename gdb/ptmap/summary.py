"""What stands under a map: KPTI, the split, tables, pages, and what is missing."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import maps
from .address_space import AddressSpace
from .sources.source import INTERRUPTED
from .text import plural, short_size, size_text

if TYPE_CHECKING:
    from ._core import Gap, Map

_COLUMNS = 80
_GAPS_SHOWN = 6
_GIB = 1 << 30


def head(space: AddressSpace, linux: Any) -> str:
    """Mode and root; which of KPTI's; that it is Linux."""
    words = [f"{space.mode} paging, root {space.root:#x}"]
    if space.half:
        words.append(f"KPTI's {space.half} root")
    if linux:
        words.append("Linux")
    one, two = ", ".join([*words, *space.told]), "\n".join([", ".join(words), *space.told])
    return (one if len(one) <= _COLUMNS else two) + "\n"


def split_text(space: AddressSpace) -> str | None:
    """"split 3G/1G: ...", read from the kernel's tables, whatever the OS. Of 32-bit spaces."""
    va = split_of(space)
    if va is None:
        return None
    user = va / _GIB
    name = f"{int(user)}G/{4 - int(user)}G" if va % _GIB == 0 else f"{user:.4g}G/{4 - user:.4g}G"
    return f"split {name}: the supervisor's part begins at {space.hex(va)}"


def split_of(space: AddressSpace) -> int | None:
    if space.paging.canonical:
        return None
    made = maps.of(space.kernel, 0, space.paging.last_offset, split_physical=True)
    va = made.split
    # A kernel that maps its first MiB late still begins at a page directory entry.
    return None if va is None else int(va) & -space.paging.levels[-2].entry_span


def supervisor_part(space: AddressSpace) -> int | None:
    """The offset where it begins; None where user and supervisor pages are mixed."""
    if space.paging.canonical:
        return int(space.paging.upper_part)
    split = split_of(space)
    if split is None:
        everything = maps.of(space.kernel, 0, space.paging.last_offset)
        return None if any(r.user for r in everything) else 0
    return split


@dataclass(frozen=True)
class Shared:
    """Of the supervisor's part, in bytes: what the kernel root maps, and what of that the user root
    maps to the same frames. Frames count once, however often they are mapped."""

    kernel: int
    kernel_frames: int
    user: int
    user_frames: int


def shared(space: AddressSpace) -> Shared | None:
    """None without KPTI, where there is no split, and where tables cannot be read."""
    pair = space.kpti_roots
    if pair is None:
        return None
    first = supervisor_part(space)
    if first is None:
        return None
    last = space.paging.last_offset
    kernel = maps.of(space.below(pair.kernel), first, last, split_physical=True)
    user = maps.of(space.below(pair.user), first, last, split_physical=True)
    if kernel.unreadable or user.unreadable:
        return None
    return Shared(*kernel.common(kernel), *kernel.common(user))


def kpti_text(space: AddressSpace) -> str | None:
    sizes, pair = shared(space), space.kpti_roots
    if sizes is None or pair is None:
        return None
    other, root = ("kernel", pair.kernel) if space.half == "user" else ("user", pair.user)
    return (
        f"KPTI: {short_size(sizes.user_frames)} of the kernel's {short_size(sizes.kernel_frames)} "
        f"stay in the user root (-half {other}: {root:#x})"
    )


def counts(made: Map) -> str:
    pages = ", ".join(f"{count} of {size}" for size, count in made.pages.items() if count)
    outside = f", {made.outside_ram} not RAM" if made.outside_ram else ""
    whole = "complete" if made.complete else "INCOMPLETE"
    return f"{plural(made.tables, 'table')}; pages: {pages or 'none'}{outside}; {whole}\n"


def missing_json(made: Map) -> dict[str, Any]:
    """The members of a JSON that say it; the core writes them the same into a map's own."""

    def gap_json(gap: Gap) -> dict[str, Any]:
        return {"va": hex(gap.va), "size": hex(gap.size), "table": hex(gap.table),
                "level": gap.level, "why": gap.why}  # fmt: skip

    return {
        "complete": made.complete,
        "truncated": made.truncated,
        "unreadable": [gap_json(gap) for gap in made.unreadable],
        "malformed": [gap_json(gap) for gap in made.malformed],
    }


def missing(space: AddressSpace, made: Map, cut: bool) -> list[str]:
    """What could not be read or has reserved bits, and limits that were reached: `cut` is whether
    that of tables was."""
    lines = []
    names = {level.number: level.table_name for level in space.paging.levels}
    for gaps, what in (
        (made.unreadable, ("table could not be read", "tables could not be read")),
        (made.malformed, ("entry has a reserved bit set", "entries have a reserved bit set")),
    ):
        if gaps:
            lines.append(f"{plural(len(gaps), *what)}:\n")
        for gap in gaps[:_GAPS_SHOWN]:
            line = (
                f"  {space.hex(gap.va)} {size_text(gap.size):>7}  "
                f"{names[gap.level]} at {gap.table:#x}: {gap.why}"
            )
            lines += [row + "\n" for row in textwrap.wrap(line, _COLUMNS, subsequent_indent="    ")]
        if len(gaps) > _GAPS_SHOWN:
            lines.append(f"  and {len(gaps) - _GAPS_SHOWN} more (-json names all)\n")
    if any(gap.why == INTERRUPTED for gap in made.unreadable):
        lines.append("interrupted: the same command goes on from here\n")
    if made.truncated:
        limit = "max-tables" if cut else "max-ranges"
        lines.append(f"cut short: the limit of {limit[4:]} is reached (set ptmap {limit})\n")
    return lines
