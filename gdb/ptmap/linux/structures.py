"""Fields of the kernel's structures, by the types of vmlinux."""

from __future__ import annotations

from ..base.errors import Refusal
from ..base.interval import Interval
from ..base.symbols import Member
from ..spaces.virtual_memory import Unreadable
from .kernel import Kernel

NO_TYPES = "it needs a vmlinux with debug information"


class NoType(Refusal):
    """There is no such structure or field. A caller that can do without it may catch this."""


class Structures:
    """Reads fields of the kernel's structures. A field is "task_struct.tasks.next"."""

    def __init__(self, kernel: Kernel) -> None:
        self._memory = kernel.memory
        self._symbols = kernel.symbols
        self.pointer = kernel.pointer
        self._near = kernel.near
        self._members: dict[str, Member] = {}

    def read(self, address: int, field: str) -> int:
        """A number or a pointer. Error: NoType, Unreadable."""
        return self.number(self.at(address, field), self.member(field).size)

    def record(self, address: int, *fields: str) -> list[bytes]:
        """Several fields of one structure, in few reads because a list of tasks may be long."""
        places = [self.member(field) for field in fields]
        parts: list[Interval] = []
        for one in sorted(Interval.of_size(one.offset, one.size) for one in places):
            if parts and one.first - parts[-1].end <= self._near:
                before = parts.pop()
                one = Interval(before.first, max(one.last, before.last))
            parts.append(one)
        raw = {part.first: self.content(address + part.first, part.size) for part in parts}

        def content(one: Member) -> bytes:
            first = max(first for first in raw if first <= one.offset)
            return raw[first][one.offset - first : one.offset - first + one.size]

        return [content(one) for one in places]

    def at(self, address: int, field: str) -> int:
        """A field's address in the structure at ADDRESS. Error: NoType."""
        return address + self.member(field).offset

    def content(self, address: int, length: int) -> bytes:
        """Bytes. Error: Unreadable, also outside of the address space: a pointer may be damaged."""
        if not 0 <= address <= (1 << 8 * self.pointer) - length:
            raise Unreadable(f"{address:#x} is not an address")
        return self._memory.read(address, length)

    def number(self, address: int, length: int) -> int:
        return int.from_bytes(self.content(address, length), "little")

    def string(self, address: int, limit: int) -> bytes:
        """A C string. Error: Unreadable."""
        limit = min(limit, (1 << 8 * self.pointer) - address)
        self.content(address, 1)
        return self._memory.string(address, limit)

    def has(self, field: str) -> bool:
        try:
            self.member(field)
        except NoType:
            return False
        return True

    def container(self, address: int, field: str) -> int:
        """The structure whose field is at ADDRESS, as Linux's container_of(). Error: NoType."""
        return address - self.member(field).offset

    def member(self, field: str) -> Member:
        """Where a field is in its structure. Error: NoType."""
        if field not in self._members:
            name, *path = field.split(".")
            try:
                self._members[field] = self._symbols.member(name, path)
            except LookupError as error:
                if self._symbols.has_structure(name):
                    raise NoType(f"this kernel's struct {name} has no {error.args[0]}") from None
                raise NoType(f"the symbols loaded have no struct {name}: {NO_TYPES}") from None
        return self._members[field]
