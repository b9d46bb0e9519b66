"""Expressions of a person or of a file of rules, evaluated without effect on the target."""

from __future__ import annotations

import re
import signal
from contextlib import contextmanager
from typing import Iterator

import gdb

# While these are off an expression cannot write (counter++) or run code: f(), or "a string", for
# which GDB calls the target's malloc. may-write-registers cannot change while there is a target.
_EFFECTS = ("may-write-memory", "may-call-functions")

# So the text decides whether an expression assigns to a register. A local variable may be in one.
_LITERAL = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'')
_OPERATOR = re.compile(r"<<=|>>=|==|!=|<=|>=|:=|\+\+|--|[-+*/%&|^@]=|=")
_COMPARES = {"==", "!=", "<=", ">="}
_WHERE_EQUALS_COMPARES = ("ada", "pascal", "modula-2")
_TO_VARIABLE = re.compile(
    r"\s*(?:(?:\+\+|--)\s*\$(\w+)\s*$|\$(\w+)\s*(?:\+\+|--|(?:<<|>>|[-+*/%&|^@:])?=))"
)
_ALWAYS = {"pc", "sp", "fp", "ps"}  # GDB's own names for registers


def value(expression: str) -> gdb.Value:
    """Error: gdb.error, also if it would write to the target or run it."""
    if "=" in expression or "++" in expression or "--" in expression:
        _require_harmless(_LITERAL.sub(" ", expression))
    with without_effects():
        return gdb.parse_and_eval(expression)


def _require_harmless(text: str) -> None:
    """Error: gdb.error if it assigns to anything but GDB's own convenience variables."""
    while any(_assigns(operator) for operator in _OPERATOR.findall(text)):
        found = _TO_VARIABLE.match(text)
        if found is None or _is_register(found[1] or found[2]):
            raise gdb.error("it assigns a value, and ptmap writes nothing to the target")
        text = text[found.end() :]


def _assigns(operator: str) -> bool:
    if operator in ("=", "/="):
        return gdb.parameter("language") not in _WHERE_EQUALS_COMPARES  # "auto" counts as C
    return operator not in _COMPARES


def _is_register(name: str) -> bool:
    registers = gdb.selected_inferior().architecture().registers()
    if name in _ALWAYS or any(register.name == name for register in registers):
        return True
    if gdb.convenience_variable(name) is not None:
        return False
    return bool(gdb.parse_and_eval(f"${name}").type.code != gdb.TYPE_CODE_VOID)


@contextmanager
def without_effects() -> Iterator[None]:
    """While it lasts GDB refuses to write to the target or to call its functions, but assigns to
    its own convenience variables. May be nested."""
    held = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    changed: list[str] = []
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        for name in _EFFECTS:
            if gdb.parameter(name):
                changed.append(name)
                gdb.execute(f"set {name} off", to_string=True)
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
        yield
    finally:
        try:
            # This blocks SIGINT, and yet may raise KeyboardInterrupt for an earlier Ctrl-C.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        finally:
            for name in changed:
                gdb.execute(f"set {name} on", to_string=True)
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
