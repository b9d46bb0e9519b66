"""What a debugger knows of the kernel's symbols and types. Folders that may not import GDB get it
handed in by `Reader.symbols`; debugger/lookup.py asks GDB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Member:
    """A member of a structure; bytes, from the structure's beginning."""

    offset: int
    size: int
    elements: int | None  # if it is an array


class Symbols(Protocol):
    """The symbols and types that are loaded: of this kernel, of another one, or none."""

    def link_address(self, name: str, /) -> int | None:
        """Where the debugger believes a symbol to be; None if it knows none."""

    def size_of_type(self, name: str, /) -> int | None:
        """In bytes; None if there is no such type."""

    def elements(self, name: str, /) -> int | None:
        """An array's number of elements, by its type alone; None if that is not known."""

    def enumerators(self, name: str, /) -> dict[str, int]:
        """Of an enumeration; empty if there is no such type."""

    def has_structure(self, name: str, /) -> bool:
        ...

    def members(self, structure: str, /) -> list[str]:
        """The names of a structure's direct members. Error: LookupError if there is no such
        type."""

    def member(self, structure: str, path: list[str], /) -> Member:
        """A member of a member ... of a structure, also inside anonymous structures and unions.

        Error: LookupError, whose argument is the missing name: the structure's, or a member's.
        """
