"""What all commands share: options in GDB's manner, arguments, errors, JSON files."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import gdb

from . import cpus, expressions, last_maps, progress, target
from .errors import Refusal
from .sources import choose
from .text import printable


@dataclass(frozen=True)
class Option:
    """`-name` alone, or `-name VALUE` where `value` says what it takes."""

    name: str
    value: str = ""  # PA, VA, CPU, PID are evaluated; other words are taken as they are
    help: str = ""
    choices: tuple[str, ...] = ()
    words: tuple[str, ...] = ()  # that VALUE may consist of, for completion


_EVALUATED = ("PA", "VA", "CPU", "PID")

JSON = Option("json", "FILE|-", "write JSON to a file, or - for GDB's own output")
OUTPUT = Option("o", "FILE", "write to a file what would be shown")  # every command takes it

_shown_in: str | None = None  # the file of -o
_running = 0  # commands of ours


def is_running() -> bool:
    """Whether GDB runs one of our commands now."""
    return _running > 0


@dataclass(frozen=True)
class Variable:
    """An expression whose value lies in memory, at an address that GDB's symbols give. Where they
    are not where KASLR put the kernel, or CR3 does not map it, GDB reads something else or nothing:
    address_space.py reads it through the kernel's own tables."""

    expression: str
    address: int
    size: int

    @classmethod
    def of(cls, expression: str) -> Variable | None:
        try:
            place = expressions.value(f"&({expression})")
            size = place.type.target().sizeof
        except gdb.error:
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


def evaluate(expression: str) -> Number:
    """A GDB expression as an integer. Error: Refusal where it does not evaluate to one, and where
    it would write to the target or run it."""
    try:
        return number_of(expressions.value(expression), expression)
    except gdb.error as error:
        raise Refusal(f"{expression}: {error}") from None


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
        raise Refusal(f"{expression}: {error}") from None


class Command(gdb.Command):
    """A GDB command. Subclasses set `options`, have a docstring, which is the help, and run()."""

    name: str
    options: tuple[Option, ...] = ()

    def __init__(self, name: str, prefix: bool = False) -> None:
        self.name = name
        super().__init__(name, gdb.COMMAND_DATA, prefix=prefix)

    def run(self, options: dict[str, Any], words: list[str]) -> None:
        raise NotImplementedError

    def needs_target(self, words: list[str]) -> bool:
        """Whether what is asked for, apart from options, has to do with the target."""
        return True

    def invoke(self, argument: str, from_tty: bool) -> None:
        global _shown_in, _running
        progress.begin()
        choose.new_command()
        last_maps.new_command(self.name)
        _running += 1
        try:
            options, words = self.parse(argument)
            _shown_in = options.pop("o", "-")
            if _shown_in == "-":
                _shown_in = None
            if _shown_in and options.get("json", "-") != "-":
                raise Refusal("-json FILE leaves nothing to show: it goes with no -o FILE")
            # Before anything is evaluated: expressions read memory and registers too.
            if self.needs_target(words):
                target.require_stopped()
            else:
                target.leave_alone()
            # That of `-cpu` is the CPU whose registers all the others mean.
            cpu = evaluate(options["cpu"]) if "cpu" in options else None
            with cpus.selected(cpu) if cpu is not None else nullcontext():
                for option in self.options:
                    if option.name in options and option.value in _EVALUATED:
                        options[option.name] = value_of(option, options[option.name])
                self.run(options, words)
        except (Refusal, gdb.error) as error:
            # gdb.error: GDB's own words for what the target or connection did.
            raise gdb.GdbError(f"{self.name}: {error}") from None
        except UnicodeError as error:  # for one, what GDB took for a monitor's text
            raise gdb.GdbError(
                f"{self.name}: {error}: if a stub said this, disconnect and attach again"
            ) from None
        finally:
            _shown_in = None
            _running -= 1
            progress.erase()

    def parse(self, argument: str) -> tuple[dict[str, Any], list[str]]:
        """Options by name, as text, and the other words. Options end at `--`.

        A word is an option when a letter follows its dash; unique beginnings will do.
        """
        argv = gdb.string_to_argv(argument)
        options: dict[str, Any] = {}
        words: list[str] = []
        while argv:
            word = argv.pop(0)
            if word == "--":
                return options, words + argv
            if len(word) < 2 or word[0] != "-" or not word[1].isalpha():
                words.append(word)
                continue
            option = self._option(word)
            if not option.value:
                options[option.name] = True
            elif not argv:
                raise Refusal(f"-{option.name} needs {option.value}")
            else:
                options[option.name] = _chosen(option, argv.pop(0))
        return options, words

    @property
    def _known(self) -> tuple[Option, ...]:
        return (*self.options, OUTPUT)

    def _option(self, word: str) -> Option:
        known = self._known
        exact = [o for o in known if o.name == word[1:]]
        found = exact or [o for o in known if o.name.startswith(word[1:])]
        if len(found) == 1:
            return found[0]
        names = " ".join("-" + o.name for o in found or known)
        raise Refusal(f"{'ambiguous' if found else 'unknown'} option {word}; there is {names}")

    def complete(self, text: str, word: str) -> Any:
        """Option names after a dash, an option's choices after it, else expressions."""
        before = text[: len(text) - len(word)]
        if before.endswith("-") and (len(before) == 1 or before[-2].isspace()):
            return [o.name for o in self._known if o.name.startswith(word)]
        if word.startswith("-"):
            return ["-" + o.name for o in self._known if ("-" + o.name).startswith(word)]
        last = before.split()[-1:] if before[-1:].isspace() else []
        for option in self._known:
            if last == ["-" + option.name]:
                if option.value.startswith("FILE"):
                    return gdb.COMPLETE_FILENAME
                if option.choices or option.words:
                    return [c for c in option.choices + option.words if c.startswith(word)]
        return gdb.COMPLETE_EXPRESSION


def value_of(option: Option, expression: str) -> Number | Unread:
    """What an option's expression comes to. Error: Refusal."""
    variable = Variable.of(expression) if option.value == "PA" else None
    try:
        number = evaluate(expression)
    except Refusal as refusal:
        if variable is None or "Cannot access memory" not in str(refusal):
            raise
        return Unread(variable, str(refusal))
    number.variable = variable
    return number


def _chosen(option: Option, word: str) -> str:
    """The word, as the choices spell it where there are any; case does not matter there."""
    if not option.choices:
        if word[:1] == "-" and word[1:2].isalpha() and option.value not in _EVALUATED:
            raise Refusal(f"-{option.name} needs {option.value}, and {word} looks like an option")
        return word
    for choice in option.choices:
        if choice.lower() == word.lower():
            return choice
    raise Refusal(f"-{option.name} takes one of {', '.join(option.choices)}")


def is_for_eyes() -> bool:
    """Whether write() goes to GDB's output and to no file of -o, which may have any length."""
    return _shown_in is None


def write(text: str) -> None:
    """A command's one answer, to GDB's output or the file of -o. Error: Refusal where the machine
    is no more as it was read, or the file cannot be written."""
    if _shown_in is not None:
        write_file(_shown_in, text)
        return
    target.require_same()
    progress.erase()
    gdb.write(text)


def write_json(where: str, text: str) -> None:
    """The same, to a file or for - where an answer is shown."""
    if where == "-":
        write(text)
    else:
        write_file(where, text)


def write_file(path: str, content: str | bytes) -> None:
    """Error: Refusal where the machine is no more as it was read, or the file cannot be written."""
    target.require_same()
    if isinstance(content, str):
        content = content.encode("ascii", "backslashreplace")
    try:
        with open(os.path.expanduser(path), "wb") as file:
            file.write(content)
    except OSError as error:
        raise Refusal(f"{printable(path)}: {error.strerror}") from None


def is_taken(name: str) -> bool:
    """Whether another tool (or GDB) has a command of exactly this name."""
    return name in gdb.execute(f"complete {name}", to_string=True).split("\n")


def register(command: type[Command], short: str) -> None:
    """Registers `ptmap SHORT`, and SHORT itself unless another command has that name."""
    command(f"ptmap {short}")
    if is_taken(short):
        gdb.write(f"ptmap: another tool has the command {short}; use `ptmap {short}`.\n")
    else:
        command(short)
