"""What Linux told a process at exec: the auxiliary vector, on its stack above the environment.

Found by its shape, so that no symbols are needed (create_elf_tables() in fs/binfmt_elf.c): pairs of
words that end with AT_NULL, and AT_RANDOM pointing to bytes right behind it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Iterator

from .. import user_stack
from ..address_space import AddressSpace
from .kernel import Kernel

# include/uapi/linux/auxvec.h, arch/x86/include/uapi/asm/auxvec.h
AT_NULL, AT_PAGESZ, AT_RANDOM, AT_SYSINFO, AT_SYSINFO_EHDR = 0, 6, 25, 32, 33
_LAST_TYPE = 63
_MAX_PAIRS = 64
_BEHIND = 4096  # bytes from its end to where AT_RANDOM points, a few strings

_PAGE = 0x1000
_SEARCHED = 8 << 20  # of a stack, from its top: Linux allows 6 MiB of arguments (_STK_LIM / 4 * 3)


@dataclass(frozen=True)
class Auxv:
    """An auxiliary vector."""

    va: int
    word: int  # bytes
    values: dict[int, int]

    @property
    def vdso(self) -> int | None:
        """Where exec put the vDSO; None where it put none."""
        return self.values.get(AT_SYSINFO_EHDR) or None

    @property
    def abi(self) -> str:
        if self.word == 8:
            return "64-bit"
        return "32-bit" if AT_SYSINFO in self.values else "x32"  # ARCH_DLINFO_IA32, _X32


def find(space: AddressSpace, linux: Kernel) -> Auxv | None:
    """That of a space's process, None where it is not found."""
    extent = user_stack.of_linux(space, linux)
    if extent is None:
        return None
    words = (8, 4) if space.paging.canonical else (4,)
    for start, content in _runs(space, *extent):
        for word in words:
            for at in _places(content, word):
                found = _at(content, at, word, start)
                if found is not None:
                    return found
    return None


def _runs(space: AddressSpace, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """The mapped pages of [start, end), each run of neighbours at once, from the top down."""
    memory = space.linear
    bottom = max(start, end - _SEARCHED)
    run: list[bytes] = []
    at = end
    while at > bottom:
        at -= _PAGE
        pa = memory.translate(at)
        (content,) = memory.frames([(pa, _PAGE)]) if pa is not None else ("",)
        if isinstance(content, bytes):
            run.insert(0, content)
            yield at, b"".join(run[:3])  # a vector and what is behind it lie in three pages
        else:
            run.clear()


def _places(content: bytes, word: int) -> Iterator[int]:
    """Where the first two pages of `content` have a word AT_SYSINFO_EHDR or, without a vDSO,
    AT_PAGESZ."""
    for kind in (AT_SYSINFO_EHDR, AT_PAGESZ):
        pattern = kind.to_bytes(word, "little")
        at = content.find(pattern)
        while 0 <= at < 2 * _PAGE:
            if at % word == 0:
                yield at
            at = content.find(pattern, at + 1)


def _at(content: bytes, at: int, word: int, start: int) -> Auxv | None:
    """The vector that the pair at `at` belongs to; `content` begins at the address `start`."""
    form = "<QQ" if word == 8 else "<II"
    pair = 2 * word
    first = at
    while first >= pair and 0 < struct.unpack_from(form, content, first - pair)[0] <= _LAST_TYPE:
        first -= pair
    if first < pair:
        return None  # it begins in the page below, whose turn comes
    values: dict[int, int] = {}
    for place in range(first, len(content) - pair + 1, pair):
        kind, value = struct.unpack_from(form, content, place)
        if kind == AT_NULL:
            behind = values.get(AT_RANDOM, 0) - (start + place + pair)
            if values.get(AT_PAGESZ) != _PAGE or not 0 <= behind < _BEHIND:
                return None
            return Auxv(start + first, word, values)
        if kind > _LAST_TYPE or len(values) >= _MAX_PAIRS or kind in values:
            return None
        values[kind] = value
    return None
