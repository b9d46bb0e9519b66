"""The command ptmap: the map."""

from __future__ import annotations

from typing import Any

import gdb

from .. import address_space, attributes, native, settings, target
from ..address_space import AddressSpace
from ..command import JSON, Command, Option, evaluate, plural, size_text, write_json
from ..errors import Refusal
from ..grid_text import grid_rows

_LEVELS = {"1": 1, "2": 2, "3": 3, "4": 4, "5": 5,
           "PT": 1, "PD": 2, "PDPT": 3, "PML4": 4, "PML5": 5}  # fmt: skip
_GAPS_SHOWN = 6
_IMPLY_RANGES = ("ranges", "phys", "filter", "as")


class PtmapCommand(Command):
    """Show the address space of the selected CPU, as its page tables give it.

    ptmap [-ranges] [-phys] [-filter ATTRS] [-as user|kernel] [-at VA]
          [-level N] [-root PA] [-mode MODE] [-json FILE|-] [START END]

    Alone it draws the classic grid, one character for each entry of a level
    (32-bit: a cell is 4 MiB; PAE: 2 MiB; 4- and 5-level: an entry of the root,
    with the ranges under it):

        .      nothing present
        x      a page, or a table whose first page is one: supervisor
        r      the same: user, read-only
        +      the same: user, read/write
        X R *  a large page: supervisor; user, read-only; user, read/write
        !      a reserved bit is set
        ?      a table could not be read

    Rights are those of the whole path from the root. START END (END
    exclusive, 0 for the top) shows only a window.

      -ranges        the merged ranges: start, end, size, rights (u for user
                     or s for supervisor, r, w, x, g for global), memory type,
                     page sizes, physical address (- where not contiguous)
      -phys          ranges end where the frames stop being contiguous
      -filter ATTRS  ranges with these attributes; + is and, "," is or, no-
                     negates: user supervisor write read-only exec no-exec
                     global large 4K 2M 4M 1G WB WC WT WP UC UC- PAT1 PAT5 PAT7
      -as user|kernel
                     rights as this mode has them now: WP, SMEP, SMAP counted
      -at VA         the grid of one table that translates VA, by default one
                     level below the usual grid
      -level N       that table's level: PT PD PDPT PML4 PML5 or 1 to 5
      -root PA       the tables below this root instead of CR3's
      -mode MODE     read them as 32-bit, pae, 4-level or 5-level
      -json FILE|-   the ranges as JSON (schema ptmap/1) to a file, or to
                     GDB's output

    -phys, -filter and -as imply -ranges.

    Examples:
      ptmap
      ptmap -ranges 0xc0000000 0xd0000000
      ptmap -filter write+exec
      ptmap -at $pc -level PT
      ptmap -root 0x1000 -mode 32-bit -json map.json"""

    options = (
        Option("ranges", "", "the merged ranges"),
        Option("phys", "", "ranges end where frames stop being contiguous"),
        Option("filter", "ATTRS", "ranges with these attributes"),
        Option("as", "MODE", "rights as this mode has them now", choices=("user", "kernel")),
        Option("at", "VA", "the grid of one table"),
        Option("level", "N", "of that table", choices=tuple(_LEVELS)),
        *address_space.OPTIONS,
        JSON,
    )

    def run(self, options: dict[str, Any], words: list[str]) -> None:
        space = address_space.resolve(options)
        if space.paging is None:
            raise Refusal(
                "paging is off (CR0.PG=0): there is no map, every address is physical; "
                "-root PA -mode MODE reads tables that are not in use yet"
            )
        position = _position(space, options)  # of the level that a grid shows
        if "at" in options:
            options["at"] = address_space.in_space(space, options["at"])
            window = _table_window(space, position, options["at"], words)
        else:
            window = _window(space, words)
        wanted = attributes.parse(options["filter"]) if "filter" in options else []

        core = native.core()
        memory = target.memory()
        once = _ReadOnce(memory)
        walk = None
        with memory.reading():
            scanned = core.scan(
                space.paging, space.root, once, *window, max_tables=settings.get("max-tables")
            )
            if "at" in options:
                walk = core.walk(space.paging, space.root, options["at"], once)
        made = core.make_map(
            scanned,
            *window,
            split_physical="phys" in options,
            pat=settings.get("pat"),
            as_=options.get("as"),
            ac=space.ac,
            wanted=wanted,
            max_ranges=settings.get("max-ranges"),
        )
        if "json" in options:
            write_json(options["json"], made.json())
            return
        lines = [f"{space.mode} paging, root {space.root:#x}\n"]
        lines += [f"assuming {what}\n" for what in space.assumed]
        only_ranges = any(option in options for option in _IMPLY_RANGES)
        has_table = True
        if walk is not None:
            has_table = len(walk.steps) > position
            lines.append(_table_line(space, walk, position))
        if has_table and not only_ranges:
            lines += _grid(space, core.draw_grid(scanned, position, *window))
        if only_ranges or space.paging.canonical and "at" not in options:
            lines.append(made.ranges_text() or "no such range\n")
        if has_table or only_ranges:
            lines += _summary(space, made, options)
        gdb.write("".join(lines))


class _ReadOnce:
    """A memory that answers again from what it has read: no table is read twice."""

    def __init__(self, memory: Any) -> None:
        self._memory = memory
        self._known: dict[int, bytes | str] = {}

    def __call__(self, wanted: list[tuple[int, int]]) -> list[bytes | str]:
        missing = [read for read in wanted if self._lookup(*read) is None]
        if missing:
            answers = self._memory(missing)
            self._known |= {address: answer for (address, _), answer in zip(missing, answers)}
        return [self._lookup(*read) or "" for read in wanted]

    def _lookup(self, address: int, length: int) -> bytes | str | None:
        for start in (address, address & ~0xFFF, address & ~0x1F):
            known = self._known.get(start)
            if isinstance(known, str):
                return known
            if known is not None and address + length <= start + len(known):
                return known[address - start : address - start + length]
        return None


def _window(space: AddressSpace, words: list[str]) -> tuple[int, int]:
    """First and last offset of START END; everything without them."""
    top = space.paging.last_offset
    if not words:
        return 0, top
    if len(words) != 2:
        raise Refusal("a window is START END, each one word (quote an expression with spaces)")
    start, end = (evaluate(word) for word in words)
    first = _nearest_offset(space, start, upwards=True)
    beyond = 1 << (64 if space.paging.canonical else 32)
    last = top if end in (0, beyond) else _nearest_offset(space, end - 1, upwards=False)
    if last < first:
        raise Refusal(f"the window {words[0]} {words[1]} is empty: END comes after START")
    return first, last


def _nearest_offset(space: AddressSpace, address: int, upwards: bool) -> int:
    """An address's offset; of a non-canonical one that of the next canonical one."""
    paging = space.paging
    address = address_space.in_space(space, address)
    if not paging.translatable(address):
        return paging.upper_part if upwards else paging.upper_part - 1
    return paging.offset_of(address)


def _position(space: AddressSpace, options: dict[str, Any]) -> int:
    """Which of paging.levels the grid shows.

    The PD where addresses have 32 bits, else the root; one below that with -at; or what -level
    says.
    """
    levels = space.paging.levels
    overview = 0 if space.paging.canonical else len(levels) - 2
    if "level" not in options:
        return overview + 1 if "at" in options else overview
    for position, level in enumerate(levels):
        if level.number == _LEVELS[options["level"]]:
            if position != overview and "at" not in options:
                raise Refusal("-level needs -at VA: there is more than one such table")
            return position
    names = ", ".join(level.table_name for level in levels)
    raise Refusal(f"{space.mode} paging has no level {options['level']}; it has {names}")


def _table_window(
    space: AddressSpace, position: int, va: int, words: list[str]
) -> tuple[int, int]:
    """What the table that translates VA at a level spans."""
    if words:
        raise Refusal("-at shows one table; it goes with no START END")
    if not space.paging.translatable(va):
        raise Refusal(f"{va:#x} is not canonical under {space.mode} paging")
    span = space.paging.levels[position].table_span
    first = space.paging.offset_of(va) & ~(span - 1)
    return first, first + span - 1


def _table_line(space: AddressSpace, walk: Any, position: int) -> str:
    """Which table -at shows, or why there is none."""
    level = space.paging.levels[position]
    if len(walk.steps) > position:
        return (
            f"{level.table_name} at {walk.steps[position].table:#x}, "
            f"which translates {space.hex(walk.va)}\n"
        )
    last = walk.steps[-1]
    ends = {
        "mapped": f"maps a page of {size_text(walk.page_size)}",
        "not-present": "is not present",
        "reserved-bit": "has a reserved bit set",
        "unreadable": f"could not be read ({walk.why})",
    }[walk.outcome]
    return (
        f"no {level.table_name} translates {space.hex(walk.va)}: "
        f"{last.entry_name} {last.index} at {last.entry_address:#x} {ends}\n"
    )


def _grid(space: AddressSpace, grid: Any) -> list[str]:
    lines = [f"a cell is {size_text(grid.cell_size)}\n"]
    lines += grid_rows(space, grid)
    if grid.mixed:
        lines.append(
            f"{plural(grid.mixed, 'cell hides', 'cells hide')} a mix: "
            "a cell shows its first present page\n"
        )
    return lines


def _summary(space: AddressSpace, made: Any, options: dict[str, Any]) -> list[str]:
    pages = ", ".join(f"{count} of {size}" for size, count in made.pages.items() if count)
    whole = "complete" if made.complete else "INCOMPLETE"
    lines = [f"{plural(made.tables, 'table')}; pages: {pages or 'none'}; {whole}\n"]
    names = {level.number: level.table_name for level in space.paging.levels}
    for gaps, what in (
        (made.unreadable, ("table could not be read", "tables could not be read")),
        (made.malformed, ("entry has a reserved bit set", "entries have a reserved bit set")),
    ):
        if gaps:
            lines.append(f"{plural(len(gaps), *what)}:\n")
        for gap in gaps[:_GAPS_SHOWN]:
            lines.append(
                f"  {space.hex(gap.va)} {size_text(gap.size):>7}  "
                f"{names[gap.level]} at {gap.table:#x}: {gap.why}\n"
            )
        if len(gaps) > _GAPS_SHOWN:
            lines.append(f"  and {len(gaps) - _GAPS_SHOWN} more (-json names all)\n")
    if made.truncated:
        lines.append("cut short: the limit max-tables or max-ranges (set ptmap) is reached\n")
    if "as" in options and space.has_keys:
        lines.append("protection keys are not counted (pte counts them)\n")
    return lines


def register() -> None:
    PtmapCommand("ptmap", prefix=True)
