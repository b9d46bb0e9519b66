"""The command ptmap find: the linear addresses that map physical memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Sequence

from ..base import native
from ..base.errors import Refusal
from ..base.interval import Interval
from ..base.option import JSON, Option, Options
from ..base.text import Part, Text, plural, printable, short_size, size_text
from ..context import selection, space_labels
from ..debugger import progress
from ..debugger.numbers import PHYSICAL_END, evaluate, physical
from ..spaces import kpti, labels, maps, scanned
from ..spaces.address_space import AddressSpace
from ..spaces.reader import Plan
from . import summary
from .command import Command, is_terminal_output, json_members, write, write_json
from .find_all import InAll, document

if TYPE_CHECKING:
    from .._core import AliasGroup, Aliases, Map, _Conflict

_COLUMNS = 80
CONFLICTS: tuple[_Conflict, ...] = ("write+exec", "user+kernel")
_GROUPS_SHOWN = 24
_MAPPINGS_SHOWN = 8  # for each group


class FindCommand(Command):
    """Find what maps physical memory, and mappings in conflict.

    ptmap find [-root PA|PGD] [-mode MODE] [-half user|kernel] [-cpu N]
               [-pid N] [-comm NAME] [-json FILE|-] PA [LEN]
    ptmap find -all [-json FILE|-] PA [LEN]
    ptmap find -aliases [as the first] [write+exec] [user+kernel]

    PA and LEN are expressions; LEN counts bytes and is 1 by default. For
    each range of addresses that maps any of these bytes it prints start,
    end, size, rights, memory type, page sizes and the physical address, as
    `ptmap -ranges` does, under a label if there is one. Then come conflicts
    between mappings of the same byte:

      write+exec   writable through one address, executable through another
                   or through the same one
      user+kernel  one address is the user's, another the supervisor's

    It looks into every table of the address space once. If not all of it
    could be read it says that there may be more.

      -all          in the spaces of all Linux processes, each named; then in
                    the kernel's part, which they share (needs the kernel's
                    symbols)
      -aliases      all physical memory with these conflicts, or only with
                    those that are named. Frames that the same ranges map,
                    for example a process's heap and the kernel's direct map,
                    are one entry, even if they are not contiguous
      -root PA      the tables below this root instead of CR3's; a pointer
                    such as init_mm.pgd is translated
      -mode MODE    read them as 32-bit, pae, 4-level or 5-level
      -half HALF    KPTI's user or kernel root, whichever CR3 has
      -cpu N        of this CPU, counted from 0
      -pid N        of this Linux process (needs the kernel's symbols)
      -comm NAME    of the Linux process with this name (the same)
      -json FILE|-  the same as JSON (schema ptmap/1) to a file, or to GDB's
                    output; -aliases then names each physical stretch
      -o FILE       write to a file what would be shown

    Examples:
      ptmap find 0xb8000
      ptmap find $cr3 4096
      ptmap find -all $ptmap_pa($sp)
      ptmap find -half user "0x1000000 + 0x2000" 0x1000
      ptmap find -aliases write+exec"""

    options = (
        Option("all", "", "in the spaces of all processes"),
        Option("aliases", "", "all physical memory with conflicting mappings"),
        *selection.OPTIONS,
        JSON,
    )

    def plan(self, options: Options, words: list[str]) -> Plan:
        return Plan(whole=True, counts="aliases" in options, exact="aliases" in options)

    def run(self, options: Options, words: list[str]) -> None:
        if "all" in options:
            _refuse_others(options)
        if "aliases" in options:
            for word in words:
                if word not in CONFLICTS:
                    raise Refusal(f"-aliases takes {' and '.join(CONFLICTS)}, not {word!r}")
            wanted = [one for one in CONFLICTS if one in words] or list(CONFLICTS)
            space = _space(options)
            view: _Aliases | _Found | InAll = _Aliases(space, wanted)
        elif "all" in options:
            view = InAll.of(_space({}), _stretch(words))
        else:
            stretch = _stretch(words)
            view = _Found(_space(options), stretch)
        if "json" in options:
            write_json(options["json"], view.json())
        else:
            write(view.text())


def _refuse_others(options: Options) -> None:
    """Error: Refusal if an option cannot go with -all."""
    for other in ("aliases", *(option.name for option in selection.OPTIONS)):
        if other in options:
            raise Refusal(f"-all is about the spaces of all processes: it cannot go with -{other}")


def _space(options: Options) -> AddressSpace:
    """The space. Error: Refusal if paging is off."""
    space = selection.resolve(options)
    if space.paging_is_off:
        raise Refusal("paging is off (CR0.PG=0): every physical address is its own linear one")
    return space


def _stretch(words: Sequence[str]) -> Interval:
    """The bytes of PA LEN. Error: Refusal."""
    if not words:
        raise Refusal("which physical address? For example: ptmap find 0xb8000")
    if len(words) > 2:
        raise Refusal(
            f"PA and LEN are one word each (quote an expression with spaces), not {len(words)}"
        )
    first = physical(words[0])
    length = evaluate(words[1]) if len(words) > 1 else 1
    if length <= 0:
        raise Refusal(f"LEN is a number of bytes, 1 or more, not {int(length)}")
    return Interval.until(first, int(min(first + length, PHYSICAL_END)))


class _Found:
    """What maps a stretch of physical memory."""

    def __init__(self, space: AddressSpace, stretch: Interval) -> None:
        self.space, self.stretch = space, stretch
        self.tables = scanned.of(space).whole.tables
        self.made = maps.find(space, self.tables, *stretch)
        self.known = space_labels.of(space)
        self.aliases: Aliases = native.core.aliases(self.made, pulse=progress.flattening)

    def json(self) -> Text:
        return document(self.made, self.known, self.stretch)

    def text(self) -> Text:
        space, made, size = self.space, self.made, self.stretch.size
        lines: list[Part] = [*_head(space, self.known)]
        lines.append(
            f"physical {self.stretch.first:#x}"
            + (f", {size_text(size)}" if size > 1 else "")
            + ("" if len(made) else ": no address maps it")
            + "\n"
        )
        lines.append(made.ranges_text(self.known.core(), progress.writing))
        lines += self._conflicts(size)
        if kpti.half(space) == "user":
            lines.append("this is KPTI's user root: -half kernel for the kernel's own mappings\n")
        return [*lines, *_end(made, self.tables.cut)]

    def _conflicts(self, size: int) -> list[str]:
        lines = []
        aliases = self.aliases
        for conflict, total, group in (
            ("write+exec", aliases.write_exec, aliases.first_write_exec),
            ("user+kernel", aliases.user_kernel, aliases.first_user_kernel),
        ):
            if group is None:
                continue
            part = f"{size_text(total[0])} of it, the first at {group.pa:#x}:\n  "
            lines.append(
                f"{conflict}: {'' if total[0] == size else part}"
                f"{_witnesses(self.space, self.made, group, conflict)}\n"
            )
        return lines + _no_nx(self.space, self.aliases)


def _witnesses(space: AddressSpace, made: Map, group: AliasGroup, conflict: str) -> str:
    """The addresses through which the first byte of a group is in conflict."""

    def first(right: str, has: bool = True) -> str:
        return next(
            space.hex(one.va) for one in group.mappings if getattr(made[one.range], right) == has
        )

    if conflict == "user+kernel":
        return f"user at {first('user')}, supervisor at {first('user', False)}"
    for one in group.mappings:
        if made[one.range].write and made[one.range].exec:
            return f"writable and executable at {space.hex(one.va)}"
    return f"writable at {first('write')}, executable at {first('exec')}"


class _Aliases:
    """All memory with conflicting mappings."""

    def __init__(self, space: AddressSpace, wanted: list[_Conflict]) -> None:
        self.space, self.wanted = space, wanted
        top = space.paging.last_offset
        whole = scanned.of(space).whole
        self.tables = whole.tables
        self.made = whole.view(0, top, split_physical=True)
        self.known = space_labels.of(space)
        self.aliases: Aliases = native.core.aliases(self.made, wanted, progress.flattening)

    def json(self) -> Text:
        made, aliases = self.made, self.aliases
        totals = {}
        for conflict, total in (
            ("write+exec", aliases.write_exec),
            ("user+kernel", aliases.user_kernel),
        ):
            if conflict in self.wanted:
                totals[conflict] = {"bytes": hex(total[0]), "stretches": total[1]}
        if "write+exec" in self.wanted:
            size, stretches = aliases.in_one
            totals["write+exec"]["in_one"] = {"bytes": hex(size), "stretches": stretches}
        head = {"kind": "find", "mode": self.space.mode, "root": hex(self.space.root)}
        counts = {"tables": made.tables, "conflicts": self.wanted, "totals": totals}
        shared = native.core.aliases_json(made, self.wanted, self.known.core(), progress.writing)
        return [
            '{"schema": "ptmap/1"',
            json_members(head),
            native.core.missing_json(made),
            json_members(counts),
            ',\n"aliases": [',
            shared,
            "]}\n",
        ]

    def text(self) -> Text:
        space = self.space
        lines: list[Part] = [*_head(space, self.known)]
        lines += self._totals()
        groups = sorted(self.aliases.groups, key=lambda g: (_severity(g), g.pa))
        shown = groups[:_GROUPS_SHOWN] if is_terminal_output() else groups
        for group in shown:
            lines += self._group(group)
        if len(shown) < len(groups):
            more = plural(len(groups) - len(shown), "entry", "entries")
            lines.append(f"and {more} more: all with -o FILE or -json FILE\n")
        if self.aliases.ungrouped:
            lines.append(
                f"and {plural(self.aliases.ungrouped, 'place')} in no entry above: "
                "all with -json FILE\n"
            )
        lines += _no_nx(space, self.aliases)
        return [*lines, *_end(self.made, self.tables.cut)]

    def _totals(self) -> list[str]:
        lines = []
        for conflict, total in (
            ("write+exec", self.aliases.write_exec),
            ("user+kernel", self.aliases.user_kernel),
        ):
            if conflict not in self.wanted:
                continue
            text = _amount(*total)
            if conflict == "write+exec" and self.aliases.in_one[1]:
                text += f"; through one address {_amount(*self.aliases.in_one)}"
            lines.append(f"{conflict:<11}  {text}\n")
        return lines

    def _group(self, group: AliasGroup) -> list[str]:
        made, space = self.made, self.space
        where = f"the first at {group.pa:#x}" if group.stretches > 1 else f"at {group.pa:#x}"
        lines = [
            f"{_amount(group.bytes, group.stretches)}, {where}: {', '.join(group.conflicts)}\n"
        ]
        for one in group.mappings[:_MAPPINGS_SHOWN]:
            has_more = group.stretches > 1
            part = Interval(*one.run) if has_more else Interval.of_size(one.va, group.bytes)
            r = made[one.range]
            sizes = ",".join(native.core.page_size_names(r.page_sizes))
            end = part.end & ((1 << 4 * space.digits) - 1)
            line = (
                f"  {space.hex(part.first)} {space.hex(end)} {r.rights} {r.cache:<4} {sizes:<5} "
                f"{self._label(one.va)}"
            )
            lines.append(f"{line[:_COLUMNS].rstrip()}\n")
        more = group.count - min(len(group.mappings), _MAPPINGS_SHOWN)
        if more:
            lines.append(f"  and {more} more: ptmap find {group.pa:#x}\n")
        return lines

    def _label(self, va: int) -> str:
        label = labels.at(self.known.all, va)
        return printable(label.name) if label else ""


def _severity(group: AliasGroup) -> int:
    return 0 if group.in_one else 1 if "write+exec" in group.conflicts else 2


def _amount(size: int, stretches: int) -> str:
    if not stretches:
        return "none"
    return short_size(size) + (f" in {stretches} places" if stretches > 1 else "")


def _head(space: AddressSpace, known: space_labels.Known) -> list[str]:
    return [summary.head(space, known.linux), *(f"assuming {what}\n" for what in space.assumed)]


def _no_nx(space: AddressSpace, aliases: Aliases) -> list[str]:
    """Why every writable page is executable."""
    if not aliases.in_one[1] or space.no_nx is None:
        return []
    return [f"{space.no_nx}: every mapped page is executable\n"]


def _end(made: Map, cut: bool) -> list[str]:
    """The last lines: counts, and whether the map is complete."""
    pages = ", ".join(f"{count} of {size}" for size, count in made.pages.items() if count)
    whole = "complete" if made.complete else "INCOMPLETE: there may be more"
    return [
        f"{plural(made.tables, 'table')}; pages: {pages or 'none'}; {whole}\n",
        *summary.missing(made, cut),
    ]


def register() -> None:
    FindCommand("ptmap find")
