"""GDB's expressions as integers, addresses and variables."""

from __future__ import annotations

from dataclasses import dataclass

import gdb

from ..base.errors import Refusal
from ..base.option import Option
from . import expressions


@dataclass(frozen=True)
class Variable:
    """An expression whose value lies in memory, at an address that GDB's symbols give. GDB itself
    reads something else or nothing if KASLR moved the kernel away from its symbols, or if CR3 does
    not map it. So ptmap reads it through the kernel's own tables."""

    expression: str
    address: int
    size: int

    @classmethod
    def of(cls, expression: str) -> Variable | None:
        try:
            place = expressions.value(f"&({expression})")
            size = place.type.target().sizeof
        except RuntimeError:  # gdb.error too; &(*0) is an int, so it has no target()
            return None
        return cls(expression, int(place) & (1 << 64) - 1, size) if size in (4, 8) else None


class Number(int):
    """An expression's value. A pointer is a linear address, never a physical one."""

    is_pointer = False
    variable: Variable | None = None  # what it was read from; only for options of type PA


@dataclass(frozen=True)
class Unread:
    """A variable that GDB cannot read, and GDB's reason."""

    variable: Variable
    why: str


class MemoryRefusal(Refusal):
    """An expression needs memory that GDB cannot read."""


def _refusal(expression: str, error: Exception) -> Refusal:
    """Every GDB that ptmap supports raises gdb.MemoryError if the target has no such memory.
    Memory that a trace did not record is another error ("unavailable")."""
    kind = MemoryRefusal if isinstance(error, gdb.MemoryError) else Refusal
    return kind(f"{expression}: {error}")


def evaluate(expression: str) -> Number:
    """A GDB expression as an integer. Error: Refusal if its value is not one, or if it would write
    to the target or run it."""
    try:
        return number_of(expressions.value(expression), expression)
    except gdb.error as error:
        raise _refusal(expression, error) from None


PHYSICAL_END = 1 << 52  # physical addresses have at most 52 bits


def physical(expression: str) -> int:
    """A GDB expression as a physical address. Error: Refusal if it cannot be one; a pointer is
    linear."""
    number = evaluate(expression)
    if number.is_pointer:
        raise Refusal(f"{expression} is a linear address: `pte` shows its physical address")
    if not 0 <= number < PHYSICAL_END:
        raise Refusal(f"{number:#x} is not a physical address: those have at most 52 bits")
    return int(number)


def number_of(value: gdb.Value, expression: str) -> Number:
    """A value as an integer; EXPRESSION is its text. Error: Refusal if it is not one."""
    try:
        code = value.type.strip_typedefs().code
        if code in (
            gdb.TYPE_CODE_ARRAY,
            gdb.TYPE_CODE_FUNC,
            gdb.TYPE_CODE_STRUCT,
            gdb.TYPE_CODE_UNION,
        ):
            with expressions.without_effects():  # GDB would first write a string to the target
                place, code = value.address, gdb.TYPE_CODE_PTR  # as GDB's x and info symbol do
            if place is None:
                raise Refusal(f"{expression} is not an integer, and is not in memory")
            value = place
        elif code == gdb.TYPE_CODE_VOID:
            without = "" if gdb.selected_thread() else ": without a target GDB knows no registers"
            raise Refusal(f"{expression} has no value{without}")
        elif code == gdb.TYPE_CODE_FLT:
            raise Refusal(f"{expression} is not an integer")
        number = Number(value)
        number.is_pointer = code == gdb.TYPE_CODE_PTR
        return number
    except (gdb.error, OverflowError, TypeError, ValueError) as error:
        raise _refusal(expression, error) from None


def value_of(option: Option, expression: str) -> Number | Unread:
    """The value of an option's expression. Error: Refusal."""
    variable = Variable.of(expression) if option.value == "PA" else None
    try:
        number = evaluate(expression)
    except MemoryRefusal as refusal:
        if variable is None:
            raise
        return Unread(variable, str(refusal))
    number.variable = variable
    return number
