"""GDB's expressions as integers, addresses and variables."""

from __future__ import annotations

from dataclasses import dataclass

import gdb

from ..base.errors import Refusal
from ..base.option import Option
from . import expressions


@dataclass(frozen=True)
class Variable:
    """An expression whose value lies in memory, at an address that GDB's symbols give. Where they
    are not where KASLR put the kernel, or CR3 does not map it, GDB reads something else or nothing:
    context/selection.py reads it through the kernel's own tables."""

    expression: str
    address: int
    size: int

    @classmethod
    def of(cls, expression: str) -> Variable | None:
        try:
            place = expressions.value(f"&({expression})")
            size = place.type.target().sizeof
        except RuntimeError:  # gdb.error is one too; &(*0) is an int, which points to nothing
            return None
        return cls(expression, int(place) & (1 << 64) - 1, size) if size in (4, 8) else None


class Number(int):
    """What an expression came to, and whether it is a pointer: to what is linear, not physical."""

    is_pointer = False
    variable: Variable | None = None  # that it was read from; only of PA options


@dataclass(frozen=True)
class Unread:
    """A variable that GDB cannot read, and its words."""

    variable: Variable
    why: str


class MemoryRefusal(Refusal):
    """An expression needs memory that GDB cannot read."""


def _refusal(expression: str, error: Exception) -> Refusal:
    """For what GDB raised: from all versions that ptmap knows a gdb.MemoryError, if the target has
    no such memory. Memory that a trace did not record is "unavailable", which is another error."""
    kind = MemoryRefusal if isinstance(error, gdb.MemoryError) else Refusal
    return kind(f"{expression}: {error}")


def evaluate(expression: str) -> Number:
    """A GDB expression as an integer. Error: Refusal where it does not evaluate to one, and where
    it would write to the target or run it."""
    try:
        return number_of(expressions.value(expression), expression)
    except gdb.error as error:
        raise _refusal(expression, error) from None


PHYSICAL_END = 1 << 52  # physical addresses have at most 52 bits


def physical(expression: str) -> int:
    """A GDB expression as a physical address. Error: Refusal where it is none, as a pointer."""
    number = evaluate(expression)
    if number.is_pointer:
        raise Refusal(f"{expression} is a linear address: `pte` tells its physical one")
    if not 0 <= number < PHYSICAL_END:
        raise Refusal(f"{number:#x} is no physical address: those have at most 52 bits")
    return int(number)


def number_of(value: gdb.Value, expression: str) -> Number:
    """A value as an integer; EXPRESSION is what it came from. Error: Refusal where it is none."""
    try:
        code = value.type.strip_typedefs().code
        if code in (
            gdb.TYPE_CODE_ARRAY,
            gdb.TYPE_CODE_FUNC,
            gdb.TYPE_CODE_STRUCT,
            gdb.TYPE_CODE_UNION,
        ):
            with expressions.without_effects():  # a string would be put into the target first
                place, code = value.address, gdb.TYPE_CODE_PTR  # what x and info symbol do
            if place is None:
                raise Refusal(f"{expression} lies nowhere in memory, and is no integer")
            value = place
        elif code == gdb.TYPE_CODE_VOID:
            without = "" if gdb.selected_thread() else ": without a target GDB knows no registers"
            raise Refusal(f"{expression} has no value{without}")
        elif code == gdb.TYPE_CODE_FLT:
            raise Refusal(f"{expression} is no integer")
        number = Number(value)
        number.is_pointer = code == gdb.TYPE_CODE_PTR
        return number
    except (gdb.error, OverflowError, TypeError, ValueError) as error:
        raise _refusal(expression, error) from None


def value_of(option: Option, expression: str) -> Number | Unread:
    """What an option's expression comes to. Error: Refusal."""
    variable = Variable.of(expression) if option.value == "PA" else None
    try:
        number = evaluate(expression)
    except MemoryRefusal as refusal:
        if variable is None:
            raise
        return Unread(variable, str(refusal))
    number.variable = variable
    return number
