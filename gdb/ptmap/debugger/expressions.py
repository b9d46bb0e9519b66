"""Expressions that a person or a file of rules gives, evaluated without effect on the target."""

from __future__ import annotations

import re
import signal
from contextlib import contextmanager
from typing import Iterator

import gdb

# Through these an expression would write (counter++) or run code (f(), "a string", for which the
# target's malloc makes room). may-write-registers cannot be changed while there is a target.
_EFFECTS = ("may-write-memory", "may-call-functions")

# So what assigns to a register, which a local variable may be kept in, is told by its text.
_LITERAL = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'')
_OPERATOR = re.compile(r"<<=|>>=|==|!=|<=|>=|:=|\+\+|--|[-+*/%&|^@]=|=")
_COMPARES = {"==", "!=", "<=", ">="}
_WHERE_EQUALS_COMPARES = ("ada", "pascal", "modula-2")
_TO_VARIABLE = re.compile(
    r"\s*(?:(?:\+\+|--)\s*\$(\w+)\s*$|\$(\w+)\s*(?:\+\+|--|(?:<<|>>|[-+*/%&|^@:])?=))"
)
_ALWAYS = {"pc", "sp", "fp", "ps"}  # GDB's own names for registers


def value(expression: str) -> gdb.Value:
    """Error: gdb.error, also where the target would be written to or run."""
    if "=" in expression or "++" in expression or "--" in expression:
        _require_harmless(_LITERAL.sub(" ", expression))
    with without_effects():
        return gdb.parse_and_eval(expression)


def _require_harmless(text: str) -> None:
    """Error: gdb.error where it assigns to anything but GDB's own convenience variables."""
    while any(_assigns(operator) for operator in _OPERATOR.findall(text)):
        found = _TO_VARIABLE.match(text)
        if found is None or _is_register(found[1] or found[2]):
            raise gdb.error("it assigns, and nothing is written to the target")
        text = text[found.end() :]


def _assigns(operator: str) -> bool:
    if operator in ("=", "/="):
        return gdb.parameter("language") not in _WHERE_EQUALS_COMPARES  # "auto": most likely C
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
    """Inside GDB refuses to write to the target or to call its functions. Its own convenience
    variables can be assigned to. May be entered again inside."""
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
            # It may raise KeyboardInterrupt for a Ctrl-C just before, with SIGINT blocked.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        finally:
            for name in changed:
                gdb.execute(f"set {name} on", to_string=True)
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
