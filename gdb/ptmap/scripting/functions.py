"""Convenience functions: an address's translation in GDB's expressions and conditions."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import gdb

from ..base import native
from ..base.errors import Refusal
from ..base.option import Options
from ..context import hints, selection
from ..debugger import failures
from ..debugger.c_types import builtin
from ..debugger.numbers import number_of
from ..machine import question
from ..machine.sources.source import NotHere
from ..spaces import address_space, walks
from ..spaces.address_space import AddressSpace

if TYPE_CHECKING:
    from .._core import Walk


class _Function(gdb.Function):
    """A convenience function. A failure is one sentence: in a condition GDB shows it and stops."""

    name: str
    most, takes = 1, "an address"  # arguments

    def __init__(self) -> None:
        super().__init__(self.name)

    def invoke(self, *arguments: gdb.Value) -> gdb.Value | int:
        with failures.told_by(f"${self.name}"):
            if not 1 <= len(arguments) <= self.most:
                raise Refusal(f"takes {self.takes}")
            va = number_of(arguments[0], "the address")
            question.begin(brief=True)
            space = selection.resolve(self.options(*arguments[1:]))
            return self.answer(space, address_space.in_space(space, va), *arguments[1:])

    def options(self, *more: gdb.Value) -> Options:
        """What selects the space. Error: Refusal."""
        return {}

    def answer(self, space: AddressSpace, va: int, *more: gdb.Value) -> gdb.Value | int:
        raise NotImplementedError


class _Physical(_Function):
    __doc__ = """Physical address of a linear one, as the current page tables translate it.

Usage: $ptmap_pa (VA)
       $ptmap_pa (VA, HALF)

An unsigned 64-bit integer; VA itself if paging is off. It is an error if VA
is not mapped. An error in a breakpoint's condition stops the target: if VA
may be unmapped ask $ptmap_mapped first. HALF is "kernel" or "user": KPTI's
root of that name; it is an error without KPTI.

VA is an integer, a pointer, an array or a function. The registers are the
selected CPU's, or what `set ptmap cr3` and the like say; `set ptmap memory`
says where memory is read. Each call reads one entry a level.

Examples:
  print/x $ptmap_pa($sp)
  xp/4gx $ptmap_pa(&jiffies)
  xp/4gx $ptmap_pa(&jiffies, "kernel")
  break do_page if $ptmap_pa($rdi) == 0x1000"""

    name = "ptmap_pa"
    most, takes = 2, "VA or VA, HALF"

    def options(self, *more: gdb.Value) -> Options:
        if not more:
            return {}
        half = _word(more[0])
        if half not in ("kernel", "user"):
            raise Refusal('HALF is "kernel" or "user"')
        return {"half": half}

    def answer(self, space: AddressSpace, va: int, *more: gdb.Value) -> gdb.Value:
        if space.paging_is_off:
            return _unsigned(va)
        walk = _walk(space, va)
        if walk.outcome != "mapped":
            hint = hints.of(space, va) if walk.outcome == "not-present" else None
            why = f"{_where_it_ends(space, walk)}{'; ' if hint else ''}{hint or ''}"
            raise Refusal(f"{space.hex(va)} is not mapped: {why}")
        return _unsigned(walk.pa)


class _Mapped(_Function):
    __doc__ = """Whether an address is mapped by the current page tables: 1 or 0.

Usage: $ptmap_mapped (VA)

0 also if VA is not canonical, or if an entry on the way has a reserved bit
set: every access then faults (`ptmap check` calls such a map damaged, and the
rule undecided). Always 1 if paging is off. It is an error if a table cannot
be read. Rights do not count: see $ptmap_rights.

Examples:
  break vmalloc_fault if !$ptmap_mapped($cr2)
  display $ptmap_mapped(buffer)"""

    name = "ptmap_mapped"

    def answer(self, space: AddressSpace, va: int, *more: gdb.Value) -> int:
        return 1 if space.paging_is_off else int(_walk(space, va).outcome == "mapped")


class _Rights(_Function):
    __doc__ = """Rights of an address by the current page tables: a string such as "ur-xg".

Usage: $ptmap_rights (VA)

The five letters of `ptmap -ranges`: u or s (user or supervisor), r (read),
w (write), x (execute), g (global); - for one that does not hold. All levels
together decide, as in the processor. "" if VA is not mapped.

Compare it by $_streq or $_regex, and for printf assign it to a variable
first: with `==` and %s GDB would call malloc in the target.

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
    __doc__ = """The raw page-table entry that translates an address.

Usage: $ptmap_entry (VA)
       $ptmap_entry (VA, LEVEL)

An unsigned 64-bit integer. Without LEVEL it is the last entry of the walk,
which maps a page or is not present. LEVEL is 1 to 5, or "PT", "PD", "PDPT",
"PML4", "PML5". It is an error if the walk ends before that level (at a large
page or an entry that is not present), if the paging mode has no such level,
or if the entry cannot be read.

Examples:
  print/x $ptmap_entry($pc)
  print/x $ptmap_entry($pc, "PD")
  break f if $ptmap_entry($sp, 1) & 0x40"""

    name = "ptmap_entry"
    most, takes = 2, "VA or VA, LEVEL"

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
    """Error: Refusal if an entry cannot be read."""
    try:
        walk = walks.walk(space, va)
    except NotHere:  # the quick way to memory cannot be used
        question.begin()
        walk = walks.walk(space, va)
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
    """The level's number. Error: Refusal if the paging mode has no such level."""
    word = _word(value)
    if word is not None:
        level = address_space.LEVELS.get(word.upper(), 0)
    else:
        level = number_of(value, "the level")
        word = str(level)
    names = [one.table_name for one in space.paging.levels]
    if level not in [one.number for one in space.paging.levels]:
        raise Refusal(f"{space.mode} paging has no level {word}; it has {', '.join(names)}")
    return level


def _word(value: gdb.Value) -> str | None:
    """A string's characters; None if it is no string."""
    if value.type.strip_typedefs().code in (gdb.TYPE_CODE_ARRAY, gdb.TYPE_CODE_STRING):
        return str(value.string())
    return None


def _unsigned(number: int) -> gdb.Value:
    return gdb.Value(number).cast(gdb.selected_inferior().architecture().integer_type(64, False))


def _string(text: str) -> gdb.Value:
    """A C string with its NUL, which GDB's own conversion leaves out; that also fails for ""."""
    return gdb.Value(text.encode() + b"\0", _char().array(len(text)))


@cache
def _char() -> gdb.Type:
    return builtin("char")


def register() -> None:
    for function in (_Physical, _Mapped, _Rights, _Entry):
        function()
