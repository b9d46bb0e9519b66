"""The command xp: GDB's x on physical memory, and on linear memory through any tables."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, Iterator, NamedTuple, Union

import gdb

from ..base import lifetimes
from ..base.errors import Refusal
from ..base.option import JSON, OUTPUT, Option, Options
from ..base.text import one_line
from ..context import hints, selection
from ..debugger.c_types import builtin
from ..debugger.numbers import evaluate
from ..machine import target
from ..machine.memory import Memory
from ..spaces import address_space
from ..spaces.address_space import AddressSpace
from ..spaces.virtual_memory import VirtualMemory
from .command import Command, is_terminal_output, register as register_command, write, write_json

_SIZES = {"b": 1, "h": 2, "w": 4, "g": 8}
_PER_LINE = {"b": 8, "h": 8, "w": 4, "g": 2}
_FORMATS = "xduotacfsiz"
# x pads with zeros, but Value.format_string() does so only for these letters.
_PADDED = {"x": "z"}
_LONGEST_INSTRUCTION = 15  # SDM vol. 2A, 2.3.11
_BATCH = 4096  # bytes read and shown at once
_PAGE = 4096
_ADDRESSES = 1 << 52  # physical addresses are below this
_OF_SPACES = {option.name for option in selection.OPTIONS}
_WITH_VALUE = "|".join(option.name for option in (*selection.OPTIONS, JSON, OUTPUT))
_ARGUMENT = re.compile(
    r"\s*(?:/(?P<format>\S*))?\s*"
    rf"(?P<options>(?:(?:-(?:{_WITH_VALUE})\s+(?:\"[^\"]*\"|\S+)|-va)(?:\s+|$))*)"
    r"(?P<address>.*?)(?P<behind>\s-half\s+(?:user|kernel))?\s*",
    re.S,
)


@dataclass(frozen=True)
class _Format:
    count: int = 1
    letter: str = "x"
    size: str = "w"


class _Line(NamedTuple):
    address: int
    values: list[str]  # GDB's text: one string or instruction, or several numbers
    after: int  # the address with which the next command continues
    margin: str = ""

    def text(self) -> str:
        """The line as x shows it."""
        values = "".join(f"\t{value}" for value in self.values)
        return f"{self.margin}{self.address:#x}:{values}\n"


class _Last:
    """Lives as long as GDB, so that `xp` and `ptmap xp` continue each other."""

    format = _Format()
    next_address: int | None = None


class XpCommand(Command):
    """Examine physical memory: GDB's x, with a physical address.

    xp/FMT [-json FILE|-] [-o FILE] PA
    xp/FMT -va [-half HALF] [-root PA] [-mode MODE] [-cpu N] [-pid PID]
           [-comm NAME] [-json FILE|-] [-o FILE] VA

    FMT is a repeat count, a format letter and a size letter, as for x:
    x(hex) d(decimal) u(unsigned) o(octal) t(binary) a(address) c(char)
    f(float) s(string) i(instruction) z(hex, zero padded), and b(1 byte)
    h(2) w(4) g(8). PA is any expression. Parts of FMT that are left out are
    as in the last xp. Without arguments xp continues after the last address,
    with the same count. A negative count shows memory before PA.

    Only RAM and ROM are read, never a device. The guest's paging does not
    matter, unless -va is given: then the address is linear, and it is read
    where the tables map it, whatever the rights. -half, -root, -mode, -cpu,
    -pid and -comm select the tables as for `ptmap`. Without an address xp
    does not continue after -va: the next one may be meant for other tables.

      -json FILE|-  the same as JSON (schema ptmap/1) to a file, or to GDB's
                    output
      -o FILE       write to a file what would be shown

    Examples:
      xp/8gx 0x1000
      xp/4xg $cr3 & ~0xfff
      xp/3i 0x7c00
      xp/gx -va -half kernel &jiffies_64"""

    options = (*selection.OPTIONS, Option("va", "", "the address is linear"), JSON)

    def parse(self, argument: str) -> tuple[Options, list[str]]:
        """/FMT and options; the rest is one expression, as for x."""
        found = _ARGUMENT.fullmatch(argument)
        assert found is not None
        options, _ = super().parse(f"{found['options']} {found['behind'] or ''}")
        if wrong := [name for name in options if "va" not in options and name in _OF_SPACES]:
            raise Refusal(f"-{wrong[0]} needs -va: the address is physical")
        return options | {"format": found["format"] or ""}, [found["address"]] * bool(
            found["address"]
        )

    def run(self, options: Options, words: list[str]) -> None:
        last = lifetimes.session.of(_Last)
        wanted = _parse(options["format"], last.format)
        if not options["format"] and not words and last.format.count > 0:
            wanted = replace(wanted, count=last.format.count)
        if "va" in options and not words:
            raise Refusal("which linear address? For example: xp/8gx -va $sp")
        address = evaluate(words[0]) if words else last.next_address
        if address is None:
            raise Refusal("which physical address? For example: xp/8gx 0x1000")
        memory: _Memory
        if "va" in options:
            space = selection.resolve(options)
            address, memory = address_space.in_space(space, address), _Linear(space)
        elif not 0 <= address < _ADDRESSES:
            raise Refusal(f"{address:#x} is not a physical address: those have at most 52 bits")
        else:
            memory = _Physical(target.memory())
        last.format = replace(wanted, size="b") if _forgets_size(wanted, words) else wanted
        last.next_address = int(address) if memory.goes_on else None
        lines = _KINDS.get(wanted.letter, _values)(memory, int(address), wanted)
        if "json" not in options and is_terminal_output():
            # x too shows each line as soon as it is read.
            for line in self._going_on(memory, lines):
                gdb.write(line.text())
            return
        shown, why = self._collect(memory, lines)
        if "json" in options:
            write_json(options["json"], _json(memory, wanted, shown, why))
        else:
            write("".join(line.text() for line in shown))
        if why is not None:
            raise why

    def _going_on(self, memory: _Memory, lines: Iterator[_Line]) -> Iterator[_Line]:
        """The lines; keeps the address after each for the next command."""
        for line in lines:
            yield line
            lifetimes.session.of(_Last).next_address = line.after if memory.goes_on else None

    def _collect(
        self, memory: _Memory, lines: Iterator[_Line]
    ) -> tuple[list[_Line], Refusal | None]:
        """The lines, and the failure that ended them, if any."""
        shown = []
        try:
            for line in self._going_on(memory, lines):
                shown.append(line)
        except Refusal as why:
            return shown, why
        return shown, None


def _json(memory: _Memory, wanted: _Format, lines: list[_Line], why: Refusal | None) -> str:
    r"""The text of GDB, but other characters than ASCII become the \xNN of their UTF-8."""
    found = [
        memory.places(line.address) | {"values": [one_line(text.rstrip()) for text in line.values]}
        for line in lines
    ]
    head: dict[str, object] = {
        "schema": "ptmap/1",
        "kind": "xp",
        "format": wanted.letter,
        "size": None if wanted.letter == "i" else _SIZES[wanted.size],
        "complete": why is None,
        "lines": found,
    }
    if why is not None:
        head["why"] = str(why)
    return json.dumps(head, indent=1) + "\n"


# Formats, GDB's decode_format()


def _parse(text: str, last: _Format) -> _Format:
    """/FMT, with the last format for missing parts. Error: Refusal if x refuses it too."""
    found = re.fullmatch(r"(-?)(\d*)([a-z]*)", text)
    if not found:
        raise Refusal(f"/{text} is not a format: a count, a letter of {_FORMATS}, a size of bhwg")
    count = int(found[2] or 1) * (-1 if found[1] else 1)
    letter, size = "", ""
    for char in found[3]:
        if char in _SIZES:
            size = char
        elif char in _FORMATS:
            letter = char
        else:
            raise Refusal(f"/{text}: there is no format {char!r}, only {_FORMATS}, and sizes bhwg")
    letter = letter or last.letter
    if letter == "s" and size == "g":
        raise Refusal(f"/{text}: characters of strings have the size b, h or w")
    if not size:
        size = _default_size(letter, last.size, bool(set(found[3]) & set(_FORMATS)))
    return _Format(count, letter, size)


def _default_size(letter: str, last: str, letter_given: bool) -> str:
    if not letter_given:
        return last
    if letter == "s":
        return "b"
    if letter == "a":
        return _pointer_size()
    if letter == "c":
        return "b"
    if letter == "f":
        return last if last in "wg" else "g"
    return last


def _forgets_size(wanted: _Format, words: list[str]) -> bool:
    """Whether the next xp does not keep the size, as with x. GDB up to 16 forgets it after a
    string; GDB 18 after instructions, if an address was given (17 was not tried)."""
    return wanted.letter == "s" if _release() < 18 else wanted.letter == "i" and bool(words)


def _release() -> int:
    """GDB's major version: 16 for "16.3" and for "Fedora Linux 16.3-1.fc42"."""
    found = re.search(r"\d+", gdb.VERSION)
    return int(found[0]) if found else 0


def _pointer_size() -> str:
    """The size letter of pointers, by GDB's idea of the target."""
    if gdb.selected_thread() is None:
        return "g" if target.architecture().name() == "i386:x86-64" else "w"
    size = int(gdb.newest_frame().read_register("sp").type.sizeof)
    return "g" if size == 8 else "w"


# Memory


class _Physical:
    goes_on = True  # whether the next xp without an address continues it

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def readable(self, address: int, length: int) -> int:
        """How many of these bytes, from the first on, are RAM or ROM."""
        if self._memory.is_ram(address, length):
            return length
        low, high = 0, length  # the first `low` bytes are RAM, the first `high` are not
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._memory.is_ram(address, middle) else (low, middle)
        return low

    def read(self, address: int, length: int) -> bytes:
        """Bytes of RAM. Error: Refusal if they cannot be read."""
        if not length:
            return b""
        with self._memory.reading():
            answer = self._memory([(address, length)])[0]
        if isinstance(answer, str):
            raise Refusal(f"{address:#x}: {answer}")
        return answer

    def unreadable(self, address: int) -> Refusal:
        return Refusal(f"{address:#x}: {self.not_there}")

    @property
    def not_there(self) -> str:
        return self._memory.source.not_there

    def places(self, address: int) -> dict[str, object]:
        """An address for the JSON."""
        return {"pa": hex(address)}


class _Linear:
    """As _Physical, of what a space's tables map."""

    goes_on = False  # the next one may be meant for other tables

    def __init__(self, space: AddressSpace) -> None:
        self._space, self._linear = space, VirtualMemory(space)
        self._physical = _Physical(target.memory())

    def _parts(self, address: int, length: int) -> Iterator[tuple[int, int]]:
        """Physical address and length of what lies on each page, as far as pages are mapped."""
        end = address + length
        while address < end:
            pa = self._linear.translate(address)
            if pa is None:
                return
            part = min(end - address, _PAGE - address % _PAGE)
            yield pa, part
            address += part

    def readable(self, address: int, length: int) -> int:
        there = 0
        for pa, part in self._parts(address, length):
            readable = self._physical.readable(pa, part)
            there += readable
            if readable < part:
                break
        return there

    def read(self, address: int, length: int) -> bytes:
        return b"".join(self._physical.read(pa, part) for pa, part in self._parts(address, length))

    def unreadable(self, address: int) -> Refusal:
        pa = self._linear.translate(address)
        if pa is not None:
            return Refusal(
                f"{self._space.hex(address)}: physical {pa:#x}: {self._physical.not_there}"
            )
        hint = hints.of(self._space, address)
        more = f": {hint}" if hint else ""
        return Refusal(f"{self._space.hex(address)} is not mapped{more}")

    def places(self, address: int) -> dict[str, object]:
        return {"va": hex(address), "pa": hex(self._linear.translate(address) or 0)}


_Memory = Union[_Physical, _Linear]


# Values


def _values(memory: _Memory, address: int, wanted: _Format) -> Iterator[_Line]:
    size = _SIZES[wanted.size]
    count, after = abs(wanted.count), None
    if wanted.count < 0:
        count = min(count, address // size)
        if not count:
            raise Refusal(f"there is nothing before {address:#x}")
        after = address = address - count * size
    of_type = gdb.selected_inferior().architecture().integer_type(size * 8)
    while count:
        batch = min(count, _BATCH // size)
        there = memory.readable(address, batch * size)
        data = memory.read(address, there - there % size)
        texts = [_text(data[at : at + size], of_type, wanted) for at in range(0, len(data), size)]
        per_line = _PER_LINE[wanted.size]
        for at in range(0, len(texts), per_line):
            row = texts[at : at + per_line]
            end = address + (at + len(row)) * size
            yield _Line(address + at * size, row, end if after is None else after)
        if there < batch * size:
            raise memory.unreadable(address + there)
        address, count = address + batch * size, count - batch


def _text(data: bytes, of_type: gdb.Type, wanted: _Format) -> str:
    text = gdb.Value(data, of_type).format_string(format=_PADDED.get(wanted.letter, wanted.letter))
    return text.rjust(8 * len(data), "0") if wanted.letter == "t" else text


# Strings


def _strings(memory: _Memory, address: int, wanted: _Format) -> Iterator[_Line]:
    if wanted.count < 0:
        raise Refusal("strings cannot have a negative count")
    size = _SIZES[wanted.size]
    char = _character_type(wanted.size)
    limit = int(gdb.parameter("print elements") or 0) or _BATCH  # 0: as many as there are
    for _ in range(wanted.count):
        there = memory.readable(address, limit * size)
        data = memory.read(address, there - there % size)
        chars = [data[at : at + size] for at in range(0, len(data), size)]
        if bytes(size) in chars:
            shown = chars[: chars.index(bytes(size))]
            after, ending = address + (len(shown) + 1) * size, ""
        else:
            shown, after, ending = chars, address + len(data), "..."
        if not shown and len(data) < size:
            raise memory.unreadable(address + there)
        yield _Line(address, [_string(shown, char) + ending], after)
        if ending and there < limit * size:
            raise memory.unreadable(address + there)
        address = after


def _string(chars: list[bytes], char: gdb.Type) -> str:
    if not chars:
        return gdb.Value(bytes(char.sizeof), char.array(0)).format_string()
    array = char.array(len(chars) - 1)
    return gdb.Value(b"".join(chars), array).format_string(max_elements=0)


def _character_type(size: str) -> gdb.Type:
    return builtin({"b": "char", "h": "char16_t", "w": "char32_t"}[size])


# Instructions


def _instructions(memory: _Memory, address: int, wanted: _Format) -> Iterator[_Line]:
    """Uses GDB's disassembler on bytes that were read: it reads nothing from the target."""
    if wanted.count < 0:
        raise Refusal("instructions cannot have a negative count")
    try:
        disassembler: Any = import_module("gdb.disassembler")
    except ImportError:
        raise Refusal(
            f"/i needs GDB 13 or later, whose disassembler takes bytes; this is {gdb.VERSION}"
        ) from None

    class Bytes(disassembler.DisassembleInfo):
        """An instruction whose bytes were read before."""

        def __init__(self, info: Any, data: bytes) -> None:
            super().__init__(info)
            self._data = data

        def read_memory(self, length: int, offset: int = 0) -> Any:
            if offset < 0 or offset + length > len(self._data):
                raise gdb.MemoryError("the instruction ends after the bytes that were read")
            return memoryview(self._data)[offset : offset + length]

    class FromBytes(disassembler.Disassembler):
        def __init__(self) -> None:
            super().__init__("ptmap")
            self.data = b""

        def __call__(self, info: Any) -> Any:
            return disassembler.builtin_disassemble(Bytes(info, self.data))

    architecture = target.architecture()
    ours = FromBytes()
    for _ in range(wanted.count):
        there = memory.readable(address, _LONGEST_INSTRUCTION)
        ours.data = memory.read(address, there)
        users = disassembler.register_disassembler(ours, architecture.name())
        try:
            one = architecture.disassemble(address)[0]
        except gdb.MemoryError:
            raise memory.unreadable(address + there) from None
        finally:
            disassembler.register_disassembler(users, architecture.name())
        after = address + one["length"]
        yield _Line(address, [one["asm"]], after, margin="   ")
        address = after


_KINDS = {"s": _strings, "i": _instructions}  # else _values


def register() -> None:
    register_command(XpCommand, "xp")
