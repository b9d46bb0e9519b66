"""The base class of all commands: options in GDB's manner, arguments, errors, output."""

from __future__ import annotations

import json
import re
from contextlib import nullcontext
from itertools import islice
from typing import Iterable, Iterator, Mapping, Union

import gdb

from ..base import lifetimes
from ..base.errors import Refusal
from ..base.option import OUTPUT, Option, Options
from ..base.text import Text, flat
from ..context import last_maps
from ..debugger import failures, files, progress
from ..debugger.numbers import evaluate, value_of
from ..machine import cpus, question, target
from ..spaces.reader import Plan

_COMMA_AND_LINE = ",\n "
_PARTS = 4096  # tokens of JSON in a piece

Completions = Union[list[str], int]  # words, or one of gdb.COMPLETE_...

_WORD = re.compile(r"""(?:"[^"]*(?:"|$)|'[^']*(?:'|$)|[^\s"'])+""")  # as GDB's argv has them
_LISTED = re.compile(r"(.*[+,])?(.*)", re.DOTALL)


class _Output:
    """Lives as long as a command."""

    file: str | None = None  # the value of -o


def _output() -> _Output:
    return lifetimes.command.of(_Output)


class Command(gdb.Command):
    """A GDB command. A subclass has `options`, run(), and a docstring, which is the help."""

    name: str
    options: tuple[Option, ...] = ()
    takes: int = gdb.COMPLETE_EXPRESSION  # how words that are not options are completed
    # What a word that is an option's name, {0}, may mean besides, and how to type that.
    no_option = "a symbol of that name is ({0})"
    makes_maps = False  # whether `ptmap diff` without operands compares with what it has read

    def __init__(self, name: str, prefix: bool = False) -> None:
        self.name = name
        super().__init__(name, gdb.COMMAND_DATA, prefix=prefix)

    def run(self, options: Options, words: list[str]) -> None:
        raise NotImplementedError

    def plan(self, options: Options, words: list[str]) -> Plan:
        """What the command will ask of the tables. OPTIONS are not evaluated yet."""
        return Plan()

    def needs_target(self, words: list[str]) -> bool:
        """Whether the command, with these WORDS, uses the target."""
        return True

    def invoke(self, argument: str, from_tty: bool) -> None:
        try:
            with failures.told_by(self.name), question.of_command():
                progress.begin()
                last_maps.new_command(self.name, self.makes_maps)
                self._invoke(argument)
        finally:
            _output().file = None  # a command that this one is part of has none
            progress.erase()

    def _invoke(self, argument: str) -> None:
        """Error: see failures.py."""
        options, words = self.parse(argument)
        self._require_dashes(words)
        file = options.pop("o", "-")
        _output().file = None if file == "-" else file
        if _output().file and options.get("json", "-") != "-":
            raise Refusal("-json FILE leaves nothing to show: it cannot go with -o FILE")
        question.will_ask(self.plan(options, words))
        # Before anything is evaluated: expressions read memory and registers too.
        if self.needs_target(words):
            target.require_stopped()
        # -cpu comes first: all other expressions use that CPU's registers.
        cpu = evaluate(options["cpu"]) if "cpu" in options else None
        with cpus.selected(cpu) if cpu is not None else nullcontext():
            for option in self.options:
                if option.name in options and option.is_evaluated:
                    options[option.name] = value_of(option, options[option.name])
            self.run(options, words)

    def parse(self, argument: str) -> tuple[Options, list[str]]:
        """Options by name, as text, and the other words. Options end at `--`.

        A word is an option if a letter follows its dash. A unique beginning is enough.
        """
        argv = gdb.string_to_argv(argument)
        options: Options = {}
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

    def _require_dashes(self, words: list[str]) -> None:
        """Refuses a bare option name before GDB looks for a symbol of that name, which takes long
        in a kernel's symbols. `(pid)` is the symbol, where the command takes an expression."""
        names = {option.name for option in self.options}
        for word in words if self.takes == gdb.COMPLETE_EXPRESSION else ():
            if word in names:
                hint = "; " * bool(self.no_option) + self.no_option.format(word)
                raise Refusal(f"{word}: the option is -{word}{hint}")

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
        raise Refusal(f"{'ambiguous' if found else 'unknown'} option {word}; there are {names}")

    def complete(self, text: str, word: str | None) -> Completions:
        """GDB asks twice at TAB. At first WORD is None: GDB only asks whether the answer is one of
        gdb.COMPLETE_..., which decides where WORD begins. Then it asks for words."""
        before, current = _under_cursor(text)
        found = self.completions(before, current)
        if isinstance(found, int):
            return found
        begins = len(current) - len(word) if word is not None else 0  # for example after a dash
        return [one[begins:] for one in found]

    def completions(self, before: list[str], current: str) -> Completions:
        """Option names after a dash, choices after an option, else what `takes` says. CURRENT is
        the whole word under the cursor, BEFORE has the words before it."""
        if current.startswith("-"):
            return [name for o in self._known if (name := f"-{o.name}").startswith(current)]
        for option in self._known:
            if before[-1:] == ["-" + option.name]:
                if option.is_file:
                    return gdb.COMPLETE_FILENAME
                words = beginning(option.choices + option.words(), current)
                if option.value and (words or not option.is_evaluated):
                    return words
        return self.takes


def _under_cursor(text: str) -> tuple[list[str], str]:
    """The words before the cursor's word; the cursor's word, without its open quote."""
    words = _WORD.findall(text)
    if not words or text[-1].isspace() and not words[-1].endswith(text[-1]):
        return words, ""
    return words[:-1], words[-1].lstrip("\"'")


def beginning(words: Iterable[str], current: str) -> list[str]:
    """The words that continue CURRENT, or its last attribute if it is a list: user+wr, user,no."""
    head, part = _LISTED.fullmatch(current).groups(default="")  # type: ignore[union-attr]
    return [head + one for one in words if one.startswith(part)]


def _chosen(option: Option, word: str) -> str:
    """The word; if the option has choices, as the choice is spelled, whatever the word's case."""
    if not option.choices:
        if word[:1] == "-" and word[1:2].isalpha() and not option.is_evaluated:
            raise Refusal(f"-{option.name} needs {option.value}, and {word} looks like an option")
        return word
    for choice in option.choices:
        if choice.lower() == word.lower():
            return choice
    raise Refusal(f"-{option.name} takes one of {', '.join(option.choices)}")


def is_terminal_output() -> bool:
    """Whether write() goes to GDB's output. If not, it goes to the file of -o, at any length."""
    return _output().file is None


def write(text: Text) -> None:
    """Writes a command's whole answer to GDB's output or the file of -o. A long one comes in
    pieces, and Ctrl-C works between two. Error: Refusal if the machine has changed since it was
    read, or the file cannot be written."""
    file = _output().file
    if file is not None:
        write_file(file, text)
        return
    target.require_same()
    progress.erase()
    for piece in flat(text):
        gdb.write(piece)


def json_pieces(value: object, indent: int | None = None) -> Iterator[str]:
    """The text of json.dumps(), in pieces, so that Ctrl-C works between two."""
    parts = json.JSONEncoder(indent=indent).iterencode(value)
    while piece := "".join(islice(parts, _PARTS)):
        yield piece


def json_members(members: Mapping[str, object], indented: bool = False) -> Iterator[str]:
    """Members of an object that has some already: each begins with its comma. In pieces."""
    for key, value in members.items():
        yield f"{_COMMA_AND_LINE if indented else ', '}{json.dumps(key)}: "
        for piece in json_pieces(value, 1 if indented else None):
            yield piece.replace("\n", "\n ")  # in a string it is escaped


def write_json(where: str, text: Text) -> None:
    """Writes JSON to a file; for "-" as write() does."""
    if where == "-":
        write(text)
    else:
        write_file(where, text)


def write_file(path: str, content: bytes | Text) -> None:
    """Error: Refusal if the machine has changed since it was read, or the file cannot be
    written."""
    target.require_same()
    files.write(path, content)


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
