"""The command ptmap: the map."""

from __future__ import annotations

from ..base.errors import Refusal
from ..base.option import JSON, Option, Options
from ..base.text import Part
from ..context import selection
from ..machine import cpus
from ..spaces import address_space, attributes
from ..spaces.address_space import AddressSpace
from ..spaces.reader import Plan
from .command import Command, write, write_json
from .map_view import MapView


class PtmapCommand(Command):
    """Show the address space of the selected CPU, read from its page tables.

    ptmap [-ranges] [-phys] [-filter ATTRS] [-as user|kernel] [-at VA]
          [-level N] [-trampoline] [-all-cpus] [-json FILE|-]
          [-root PA|PGD] [-mode MODE] [-half user|kernel] [-cpu N]
          [-pid N] [-comm NAME] [START END]

    Without options it draws a 32-bit space as the classic grid, one character
    for each page directory entry (4 MiB; PAE: 2 MiB), and a 64-bit space as
    one screen: a row for each part in use, with the empty space before it.

        .      nothing present
        x      a page, or a table whose first page is one: supervisor
        r      the same: user, read-only
        +      the same: user, read/write
        X R *  a large page: supervisor; user, read-only; user, read/write
        !      a reserved bit is set
        ?      a table could not be read

    Rights are those of the whole path from the root. START END (END
    exclusive, 0 for the top) shows only a window. The parts of Linux are
    labelled, with symbols or without: "=" is read from this kernel's
    variables or symbols, "~" deduced from the tables, the rest documented.

      -ranges        the merged ranges: start, end, size, rights (u for user
                     or s for supervisor, r, w, x, g for global), memory type,
                     page sizes, physical address (- if not contiguous)
      -phys          ranges end where the frames stop being contiguous
      -filter ATTRS  ranges with these attributes; + is and, "," is or, no-
                     negates: user supervisor write read-only exec no-exec
                     global large 4K 2M 4M 1G WB WC WT WP UC UC- PAT1 PAT5 PAT7;
                     if a page size is named, ranges also end where it changes
      -as user|kernel
                     rights as this mode has them now: WP, SMEP, SMAP counted
      -at VA         the grid of one table that translates VA, by default one
                     level below the usual grid
      -level N       that table's level: PT PD PDPT PML4 PML5 or 1 to 5
      -trampoline    what KPTI's user root keeps of the kernel
      -all-cpus      one map for each distinct root, with the CPUs that use it
      -root PA       the tables below this root instead of CR3's; a pointer
                     such as init_mm.pgd is translated
      -mode MODE     read them as 32-bit, pae, 4-level or 5-level
      -half HALF     KPTI's user or kernel root, whichever CR3 has
      -cpu N         of this CPU, counted from 0
      -pid N         of this Linux process (needs the kernel's symbols)
      -comm NAME     of the Linux process with this name (the same)
      -json FILE|-   the ranges as JSON (schema ptmap/1) to a file, or to
                     GDB's output
      -o FILE        write to a file what would be shown

    -phys, -filter, -as and -trampoline imply -ranges.

    Examples:
      ptmap
      ptmap -ranges 0xc0000000 0xd0000000
      ptmap -filter write+exec
      ptmap -half user -filter supervisor
      ptmap -at $pc -level PT
      ptmap -root 0x1000 -mode 32-bit -json map.json"""

    makes_maps = True
    no_option = "a window that begins at a symbol of that name is ({0}) END"
    options = (
        Option("ranges", "", "the merged ranges"),
        Option("phys", "", "ranges end where frames stop being contiguous"),
        Option("filter", "ATTRS", "ranges with these attributes", words=attributes.words),
        Option("as", "MODE", "rights as this mode has them now", choices=("user", "kernel")),
        Option("at", "VA", "the grid of one table"),
        Option("level", "N", "of that table", choices=tuple(address_space.LEVELS)),
        Option("trampoline", "", "what KPTI's user root keeps of the kernel"),
        Option("all-cpus", "", "one map for each distinct root"),
        *selection.OPTIONS,
        JSON,
    )

    def plan(self, options: Options, words: list[str]) -> Plan:
        whole = not words and "at" not in options and "trampoline" not in options
        return Plan(whole, exact="phys" in options)

    def run(self, options: Options, words: list[str]) -> None:
        if "trampoline" in options:
            _trampoline(options)
        if "all-cpus" in options:
            _all_cpus(options, words)
            return
        view = MapView.of(_resolve(options), options, words)
        if "json" in options:
            write_json(options["json"], view.json())
        else:
            write(view.text())


def _trampoline(options: Options) -> None:
    """Selects the user root for -trampoline. Error: Refusal for options that exclude it."""
    if options.setdefault("half", "user") != "user":
        raise Refusal("-trampoline is about the user root: it cannot go with -half kernel")
    for other in ("at", "level"):
        if other in options:
            raise Refusal(f"-trampoline cannot go with -{other}")


def _resolve(options: Options) -> AddressSpace:
    """The space. Error: Refusal if paging is off."""
    space = selection.resolve(options)
    if space.paging_is_off:
        raise Refusal(
            "paging is off (CR0.PG=0): there is no map, every address is physical; "
            "-root PA -mode MODE reads tables that are not in use yet"
        )
    return space


def _all_cpus(options: Options, words: list[str]) -> None:
    """A map for each distinct root, by the first CPU that has it."""
    for other in ("cpu", "root", "pid", "comm"):
        if other in options:
            raise Refusal(f"-all-cpus takes each CPU's own root: it cannot go with -{other}")
    views: dict[tuple[str, int], MapView] = {}
    users: dict[tuple[str, int], list[int]] = {}
    off = []
    for cpu in range(cpus.count()):
        with cpus.selected(cpu):
            try:
                view = _view_of_cpu(options, words)
            except Refusal as refusal:
                raise Refusal(f"CPU {cpu}: {refusal}") from None
        if view is None:
            off.append(cpu)
            continue
        key = (view.space.mode, view.space.root)
        views.setdefault(key, view)
        users.setdefault(key, []).append(cpu)
    if "json" in options:
        text = [f'{{"schema": "ptmap/1", "kind": "maps", "paging_off": {off}, "maps": [\n']
        for index, (key, view) in enumerate(views.items()):
            text += [",\n"] if index else []
            text += list(view.json({"cpus": users[key]}))
            text[-1] = text[-1].rstrip()
        write_json(options["json"], [*text, "]}\n"])
        return
    shown: list[Part] = []
    for key, view in views.items():
        shown += ["\n"] if shown else []
        shown += [_cpus(users[key]), *view.text()]
    if off:
        shown += ["\n"] if shown else []
        shown += [_cpus(off) + "paging is off\n"]
    write(shown)


def _view_of_cpu(options: Options, words: list[str]) -> MapView | None:
    """The selected CPU's map; None if its paging is off, even with -half."""
    mode_only = {key: value for key, value in options.items() if key == "mode"}
    if selection.resolve(mode_only).paging_is_off:
        return None
    return MapView.of(selection.resolve(options), dict(options), words)


def _cpus(numbers: list[int]) -> str:
    return f"CPU {', '.join(map(str, numbers))}: "


def register() -> None:
    PtmapCommand("ptmap", prefix=True)
