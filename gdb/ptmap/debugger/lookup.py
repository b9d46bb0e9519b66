"""Symbols and types as GDB knows them: the `Symbols` of base/symbols.py. KASLR may have moved the
kernel away from its symbols."""

from __future__ import annotations

import gdb

from ..base.symbols import Member


def link_address(name: str) -> int | None:
    """Where GDB believes a symbol to be; None if it knows none."""
    try:
        wide = gdb.selected_inferior().architecture().integer_type(64, False)
        return int(gdb.parse_and_eval(f"&{name}").cast(wide))
    except gdb.error:
        return None


def size_of_type(name: str) -> int | None:
    """In bytes; None if GDB knows no such type."""
    try:
        return int(gdb.lookup_type(name).sizeof)
    except gdb.error:
        return None


def elements(name: str) -> int | None:
    """An array's number of elements, by its type alone; None if GDB does not know it."""
    try:
        return _elements(gdb.parse_and_eval(f"&{name}").type.target())
    except (gdb.error, RuntimeError, TypeError, ValueError):
        return None


def enumerators(name: str) -> dict[str, int]:
    """Of an enumeration; empty if GDB knows no such type."""
    try:
        kind = gdb.lookup_type(f"enum {name}")
    except gdb.error:
        return {}
    return {field.name: field.enumval for field in kind.fields() if field.name}


def has_structure(name: str) -> bool:
    return size_of_type(f"struct {name}") is not None


def members(structure: str) -> list[str]:
    """The names of a structure's direct members. Error: LookupError if there is no such type."""
    return [field.name for field in _structure(structure).fields() if field.name]


def member(structure: str, path: list[str]) -> Member:
    """A member of a member ... of a structure, also inside anonymous structures and unions.

    Error: LookupError, whose argument is the missing name: the structure's, or a member's.
    """
    kind, offset = _structure(structure), 0
    for name in path:
        found = _member(kind.strip_typedefs(), name)
        if found is None:
            raise LookupError(name)
        offset, kind = offset + found[0], found[1]
    return Member(offset, kind.sizeof, _elements(kind))


def _structure(name: str) -> gdb.Type:
    try:
        return gdb.lookup_type(f"struct {name}")
    except gdb.error:
        raise LookupError(name) from None


def _elements(kind: gdb.Type) -> int | None:
    if kind.strip_typedefs().code != gdb.TYPE_CODE_ARRAY:
        return None
    first, last = kind.strip_typedefs().range()
    return int(last - first + 1)


def _member(kind: gdb.Type, name: str) -> tuple[int, gdb.Type] | None:
    """Offset and type of a member, also inside anonymous structures and unions."""
    if kind.code not in (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION):
        return None
    for field in kind.fields():
        if not hasattr(field, "bitpos") or field.type is None:
            continue
        if field.name == name:
            return field.bitpos // 8, field.type
        inner = None if field.name else _member(field.type.strip_typedefs(), name)
        if inner is not None:
            return field.bitpos // 8 + inner[0], inner[1]
    return None
