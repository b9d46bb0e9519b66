"""The convenience functions: an address's translation in GDB's expressions and conditions."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import gdb

from ..base import native
from ..base.errors import Refusal
from ..context import selection
from ..debugger import failures
from ..debugger.c_types import builtin
from ..debugger.numbers import number_of
from ..machine import question
from ..machine.sources.source import NotHere
from ..spaces import address_space
from ..spaces.address_space import AddressSpace

if TYPE_CHECKING:
    from .._core import Walk


class _Function(gdb.Function):
    """One of them. A failure is one sentence: in a condition GDB shows it and stops."""

    name: str
    most = 1  # arguments

    def __init__(self) -> None:
        super().__init__(self.name)

    def invoke(self, *arguments: gdb.Value) -> gdb.Value | int:
        with failures.told_by(f"${self.name}"):
            if not 1 <= len(arguments) <= self.most:
                raise Refusal(f"takes {'an address' if self.most == 1 else 'VA or VA, LEVEL'}")
            va = number_of(arguments[0], "the address")
            question.begin(brief=True)
            space = selection.resolve({})
            return self.answer(space, address_space.in_space(space, va), *arguments[1:])

    def answer(self, space: AddressSpace, va: int, *more: gdb.Value) -> gdb.Value | int:
        raise NotImplementedError


class _Physical(_Function):
    __doc__ = """Physical address of a linear one, as the current page tables translate it.

Usage: $ptmap_pa (VA)

An unsigned 64-bit integer; with paging off VA itself. Where VA is not mapped
that is an error, which ends a breakpoint's condition and stops: ask
$ptmap_mapped first where that may be.

VA is an integer, a pointer, an array or a function. The registers are those
of the selected CPU, `set ptmap cr3` and the like put over them; the memory is
what `set ptmap memory` says. Each call reads one entry a level, at this stop.

Examples:
  print/x $ptmap_pa($sp)
  xp/4gx $ptmap_pa(&jiffies)
  break do_page if $ptmap_pa($rdi) == 0x1000"""

    name = "ptmap_pa"

    def answer(self, space: AddressSpace, va: int, *more: gdb.Value) -> gdb.Value:
        if space.paging_is_off:
            return _unsigned(va)
        walk = _walk(space, va)
        if walk.outcome != "mapped":
            raise Refusal(f"{space.hex(va)} is not mapped: {_where_it_ends(space, walk)}")
        return _unsigned(walk.pa)


class _Mapped(_Function):
    __doc__ = """Whether an address is mapped by the current page tables: 1 or 0.

Usage: $ptmap_mapped (VA)

0 too where an entry on the way has a reserved bit set, as every access then
faults (`ptmap check` calls such a map damaged, and undecided), and where VA
is not canonical; with paging off always 1. It is an error where a table
cannot be read: then nobody knows. Rights do not count: see $ptmap_rights.

Examples:
  break vmalloc_fault if !$ptmap_mapped($cr2)
  display $ptmap_mapped(buffer)"""

    name = "ptmap_mapped"

    def answer(self, space: AddressSpace, va: int, *more: gdb.Value) -> int:
        return 1 if space.paging_is_off else int(_walk(space, va).outcome == "mapped")


class _Rights(_Function):
    __doc__ = """Rights of an address by the current page tables: a string such as "ur-xg".

Usage: $ptmap_rights (VA)

The five letters of `ptmap -ranges`, - where it is not so: u or s (user or
supervisor), r, w (write), x (execute), g (global). All levels together
decide, as in the processor. "" where VA is not mapped.

Compare by $_streq or $_regex, and for printf assign it to a variable first:
`==` and %s would make GDB call malloc in the target.

Examples:
  print $ptmap_rights($pc)
  set $r = $ptmap_rights($pc)
  printf "%s\\n", $r
  break *$pc if $_streq($ptmap_rights($sp), "srw-g")
  break f if $_regex($ptmap_rights($pc), "..wx")"""

    name = "ptmap_rights"

    def answer(self, space: AddressSpace, va: int, *more: gdb.Value) -> gdb.Value:
        if space.paging_is_off:
            raise Refusal("paging is off (CR0.PG=0): there are no rights")
        walk = _walk(space, va)
        return _string(walk.rights if walk.outcome == "mapped" else "")


class _Entry(_Function):
    __doc__ = """A page-table entry on the way of an address, raw.

Usage: $ptmap_entry (VA)
       $ptmap_entry (VA, LEVEL)

An unsigned 64-bit integer: the last entry of the walk, whether it maps a page
or is not present, or that of a level: 1 to 5, or "PT", "PD", "PDPT", "PML4",
"PML5". It is an error where the walk does not come to that level (a large
page, an entry above that is not present), where the paging mode has no such
level, and where the entry cannot be read.

Examples:
  print/x $ptmap_entry($pc)
  print/x $ptmap_entry($pc, "PD")
  break f if $ptmap_entry($sp, 1) & 0x40"""

    name = "ptmap_entry"
    most = 2

    def answer(self, space: AddressSpace, va: int, *more: gdb.Value) -> gdb.Value:
        if space.paging_is_off:
            raise Refusal("paging is off (CR0.PG=0): there are no entries")
        level = _level(space, more[0]) if more else None
        walk = _walk(space, va)
        for step in walk.steps if level else walk.steps[-1:]:
            if level in (None, step.level):
                return _unsigned(step.raw)
        names = [one.entry_name for one in space.paging.levels if one.number == level]
        raise Refusal(
            f"{space.hex(va)} has no {names[0] if names else 'entry'}: "
            f"{_where_it_ends(space, walk)}"
        )


def _walk(space: AddressSpace, va: int) -> Walk:
    """Error: Refusal where an entry cannot be read."""
    try:
        walk = space.walk(va)
    except NotHere:  # the short way to memory is not sure
        question.begin()
        walk = space.walk(va)
    if walk.outcome == "unreadable":
        last = walk.steps[-1]
        raise Refusal(
            f"{space.hex(va)}: the {last.entry_name} at {last.entry_address:#x} cannot be read: "
            f"{walk.why}"
        )
    question.end()
    return walk


def _where_it_ends(space: AddressSpace, walk: Walk) -> str:
    if walk.outcome == "not-canonical":
        return f"it is not canonical under {space.mode} paging"
    return native.core.end_text(walk)


def _level(space: AddressSpace, value: gdb.Value) -> int:
    """Error: Refusal where there is none like that."""
    if value.type.strip_typedefs().code in (gdb.TYPE_CODE_ARRAY, gdb.TYPE_CODE_STRING):
        word = value.string()
        level = address_space.LEVELS.get(word.upper(), 0)
    else:
        level = number_of(value, "the level")
        word = str(level)
    names = [one.table_name for one in space.paging.levels]
    if level not in [one.number for one in space.paging.levels]:
        raise Refusal(f"{space.mode} paging has no level {word}; it has {', '.join(names)}")
    return level


def _unsigned(number: int) -> gdb.Value:
    return gdb.Value(number).cast(gdb.selected_inferior().architecture().integer_type(64, False))


def _string(text: str) -> gdb.Value:
    """A C string, with its end: GDB's own conversion leaves that out, and makes nothing of ""."""
    return gdb.Value(text.encode() + b"\0", _char().array(len(text)))


@cache
def _char() -> gdb.Type:
    return builtin("char")


def register() -> None:
    for function in (_Physical, _Mapped, _Rights, _Entry):
        function()
