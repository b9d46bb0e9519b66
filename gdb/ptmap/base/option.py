"""Options of commands, in GDB's manner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable


@dataclass(frozen=True)
class Option:
    """`-name` alone, or `-name VALUE` if `value` says what it takes."""

    name: str
    value: str = ""  # PA, VA, CPU, PID are evaluated; other words are taken as they are
    help: str = ""
    choices: tuple[str, ...] = ()
    words: Callable[[], tuple[str, ...]] = tuple  # completions for the words of VALUE

    @property
    def is_evaluated(self) -> bool:
        """Whether GDB evaluates VALUE, as an expression."""
        return self.value in ("PA", "VA", "CPU", "PID")

    @property
    def is_file(self) -> bool:
        """Whether VALUE is a file's name or a folder's, or - for GDB's output."""
        return self.value in ("FILE", "FILE|-", "DIR")


# What was given, by the option's name: its word, or its number if it is evaluated; True for an
# option that takes no value.
Options = dict[str, Any]

JSON = Option("json", "FILE|-", "write JSON to a file, or - for GDB's own output")
OUTPUT = Option("o", "FILE", "write to a file what would be shown")  # every command takes it
