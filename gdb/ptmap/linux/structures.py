"""Fields of the kernel's structures, laid out by the types of vmlinux."""

from __future__ import annotations

import gdb

from ..errors import Refusal
from ..virtual_memory import Unreadable
from .kernel import Kernel

NO_TYPES = "it needs a vmlinux with debug information"


class NoType(Refusal):
    """The symbols know no such structure or field; a caller that can do without may catch it."""


class Structures:
    """Reads fields of the kernel's structures. A field is "task_struct.tasks.next"."""

    def __init__(self, kernel: Kernel) -> None:
        self._memory = kernel.memory
        self.pointer = kernel.pointer
        self._near = kernel.near
        self._places: dict[str, tuple[int, gdb.Type]] = {}

    def read(self, address: int, field: str) -> int:
        """A number or a pointer. Error: NoType, Unreadable."""
        return self.number(self.at(address, field), self.type(field).sizeof)

    def record(self, address: int, *fields: str) -> list[bytes]:
        """Several fields of one structure by few reads: a list of tasks may be long."""
        places = [self._place(field) for field in fields]
        spans: list[tuple[int, int]] = []
        for first, end in sorted((at, at + kind.sizeof) for at, kind in places):
            if spans and first - spans[-1][1] <= self._near:
                first, end = spans[-1][0], max(end, spans.pop()[1])
            spans.append((first, end))
        raw = {first: self.content(address + first, end - first) for first, end in spans}

        def part(at: int, size: int) -> bytes:
            first = max(first for first in raw if first <= at)
            return raw[first][at - first : at - first + size]

        return [part(at, kind.sizeof) for at, kind in places]

    def at(self, address: int, field: str) -> int:
        """Where the field of the structure at this address is. Error: NoType."""
        return address + self._place(field)[0]

    def content(self, address: int, length: int) -> bytes:
        """Error: Unreadable, beyond the ends of the address space too: pointers may be damaged."""
        if not 0 <= address <= (1 << 8 * self.pointer) - length:
            raise Unreadable(f"{address:#x} is no address")
        return self._memory.read(address, length)

    def number(self, address: int, length: int) -> int:
        return int.from_bytes(self.content(address, length), "little")

    def string(self, address: int, limit: int) -> bytes:
        """A C string. Error: Unreadable."""
        limit = min(limit, (1 << 8 * self.pointer) - address)
        self.content(address, 1)
        return self._memory.string(address, limit)

    def type(self, field: str) -> gdb.Type:
        return self._place(field)[1]

    def has(self, field: str) -> bool:
        try:
            self._place(field)
        except NoType:
            return False
        return True

    def container(self, address: int, field: str) -> int:
        """The structure whose field is at this address, as container_of()."""
        return address - self._place(field)[0]

    def _place(self, field: str) -> tuple[int, gdb.Type]:
        if field not in self._places:
            name, *path = field.split(".")
            try:
                kind = gdb.lookup_type(f"struct {name}")
            except gdb.error:
                raise NoType(f"the symbols loaded have no struct {name}: {NO_TYPES}") from None
            place = 0
            for step in path:
                found = _member(kind.strip_typedefs(), step)
                if found is None:
                    raise NoType(f"this kernel's struct {name} has no {step}")
                place, kind = place + found[0], found[1]
            self._places[field] = place, kind
        return self._places[field]


def _member(kind: gdb.Type, name: str) -> tuple[int, gdb.Type] | None:
    """Offset and type of a member, anonymous structures and unions looked into."""
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
