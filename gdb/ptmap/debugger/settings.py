"""set/show ptmap: values that the target does not show, and limits."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Callable

import gdb

from ..base import lifetimes
from ..base.text import printable
from . import expressions, failures


@dataclass(frozen=True)
class _Row:
    name: str
    meaning: str
    doc: str
    low: int = 0
    high: int = (1 << 64) - 1
    default: int | None = None  # None: automatic


_ROWS = (
    _Row("cr0", "CR0", "Use this CR0 instead of the target's."),
    _Row("cr3", "CR3", "Use this CR3 instead of the target's."),
    _Row("cr4", "CR4", "Use this CR4 instead of the target's."),
    _Row("efer", "IA32_EFER", "Use this IA32_EFER instead of the target's."),
    _Row("pat", "IA32_PAT", "The memory types of the eight PAT slots (Linux: 0x0407050600070106)."),
    _Row("pkru", "PKRU", "The rights of user pages' protection keys.", high=(1 << 32) - 1),
    _Row("maxphyaddr", "MAXPHYADDR", "Physical-address bits of the processor.", 32, 52),
    _Row("direct-map", "The direct map's base",
         "The linear address where the kernel maps physical address 0, and all RAM behind it."),
    _Row("max-tables", "The limit of tables", "Page tables that one map may read.",
         1, 1 << 24, 1 << 18),
    _Row("max-ranges", "The limit of ranges", "Ranges that one map may have.",
         1, 1 << 32, 1 << 22),
)  # fmt: skip


class _Setting(gdb.Parameter):
    def __init__(self, row: _Row) -> None:
        self.row = row
        automatic = row.default is None
        usual = "auto (the target's, if it has one)" if automatic else str(row.default)
        self.__doc__ = row.doc
        what = row.meaning.replace("The ", "the ", 1)
        self.set_doc = f"Set {what} for ptmap."
        self.show_doc = f"Show {what} for ptmap."
        self.__doc__ += f"\nAn expression, or auto. By default {usual}."
        super().__init__(f"ptmap {row.name}", gdb.COMMAND_DATA, gdb.PARAM_STRING_NOESCAPE)
        self.value = "auto"
        self.number: int | None = row.default

    def get_set_string(self) -> str:
        try:
            text = _given(self, "auto")
            self.number = self.row.default if text == "auto" else self._evaluate(text)
        except gdb.GdbError:
            self.value = self._text()
            raise
        self.value = self._text()
        return ""

    def get_show_string(self, _value: str) -> str:
        return f"{self.row.meaning} for ptmap is {self._text()}."

    def _text(self) -> str:
        if self.number is None:
            return "auto"
        return self._show(self.number)

    def _show(self, number: int) -> str:
        """Registers in hexadecimal, counts in decimal: only a count has a lowest value."""
        return str(number) if self.row.low else hex(number)

    def _evaluate(self, text: str) -> int:
        try:
            number = int(expressions.value(text))
        except (gdb.error, OverflowError, ValueError) as error:
            raise failures.gdb_error(f"ptmap {self.row.name}", str(error)) from None
        if not self.row.low <= number <= self.row.high:
            raise failures.gdb_error(
                f"ptmap {self.row.name}",
                f"{text} is not in {self._show(self.row.low)} to {self._show(self.row.high)}",
            )
        return number


MEMORY_WORDS = ("auto", "packets", "process", "direct-map", "dump", "file")


class _MemorySetting(gdb.Parameter):
    """Where physical memory comes from.

    set ptmap memory auto|packets|process|direct-map|dump PATH|file PATH

      auto        the first that works: a core file's dump, the QEMU process,
                  QEMU's stub, the kernel's direct map. The default.
      packets     QEMU's stub in its physical mode
      process     the memory of the QEMU process on this host that is proved
                  to be at the other end
      direct-map  the kernel's own map of all RAM, for a stub that reads only
                  virtual memory (kgdb)
      dump PATH   a dump of the machine, with its registers, or a crash dump of
                  a Linux (/proc/vmcore, makedumpfile): no target needed
      file PATH   a raw image: byte N is physical address N. If its size is
                  that of an attached QEMU's main memory, it is that memory:
                  the part above 4 GiB follows the lower part without a gap

    Memory read over a slow line (kgdb) is kept until the target runs, or
    until this is set again, even to the same value.
    show ptmap memory says which source is used, why, and what it cost so far."""

    set_doc = "Set where ptmap reads physical memory."
    show_doc = "Show where ptmap reads physical memory, why, and what it cost."

    def __init__(self, show: Callable[[], str]) -> None:
        self._show = show
        super().__init__("ptmap memory", gdb.COMMAND_DATA, gdb.PARAM_STRING_NOESCAPE)
        self.value = "auto"
        self.chosen: tuple[str, str | None] = ("auto", None)
        self.times = 0  # how often it was set

    def get_set_string(self) -> str:
        try:
            given = _given(self, "")
        except gdb.GdbError:
            self.value = printable(" ".join(filter(None, self.chosen)))
            raise
        word, _, path = given.partition(" ")
        path = _path(path.strip())
        wrong = None
        if word not in MEMORY_WORDS:
            wrong = f"{word or 'nothing'} is not one of {', '.join(MEMORY_WORDS)}"
        elif word in ("dump", "file") and not path:
            wrong = f"{word} needs a PATH"
        elif word not in ("dump", "file") and path:
            wrong = f"{word} takes no path"
        if wrong is None:
            self.chosen = (word, path or None)
            self.times += 1
        self.value = printable(" ".join(filter(None, self.chosen)))
        if wrong is not None:
            raise failures.gdb_error("ptmap memory", wrong)
        return ""

    def get_show_string(self, _value: str) -> str:
        return self._show()


def _given(setting: gdb.Parameter, default: str) -> str:
    """The text after `set`. Error: gdb.GdbError if it is not text."""
    try:
        return (setting.value or default).strip()
    except UnicodeError:
        raise gdb.GdbError("ptmap: that is not text in GDB's host-charset") from None


def _path(text: str) -> str:
    """The whole text is the path, spaces too; quotes around it are allowed. "" is no path."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    return os.path.abspath(os.path.expanduser(text)) if text else ""


class _SetPrefix(gdb.Command):
    """Set what ptmap cannot read from the target, and its limits."""

    def __init__(self) -> None:
        super().__init__("set ptmap", gdb.COMMAND_DATA, gdb.COMPLETE_NONE, True)

    def invoke(self, argument: str, from_tty: bool) -> None:
        if argument:  # GDB runs the known subcommands itself
            raise failures.gdb_error("set ptmap", f"unknown setting {argument.split()[0]}")
        gdb.execute("help set ptmap")


class _ShowPrefix(gdb.Command):
    """Show ptmap's settings."""

    def __init__(self) -> None:
        super().__init__("show ptmap", gdb.COMMAND_DATA, gdb.COMPLETE_NONE, True)

    def invoke(self, argument: str, from_tty: bool) -> None:
        if argument:
            raise failures.gdb_error("show ptmap", f"unknown setting {argument.split()[0]}")
        gdb.write(_registered().memory.get_show_string("") + "\n")
        for setting in _registered().others.values():
            gdb.write(setting.get_show_string("") + "\n")


class _Registered:
    """Lives as long as GDB."""

    memory: _MemorySetting
    others: dict[str, _Setting]


def _registered() -> _Registered:
    return lifetimes.session.of(_Registered)


def register(show_memory: Callable[[], str]) -> None:
    """SHOW_MEMORY makes the text of `show ptmap memory`."""
    _SetPrefix()
    _ShowPrefix()
    registered = _registered()
    registered.memory = _MemorySetting(show_memory)
    registered.others = {row.name: _Setting(row) for row in _ROWS}


def get(name: str) -> int | None:
    """A setting's number, None if it is automatic."""
    return _registered().others[name].number


def limit(name: str) -> int:
    """A setting that is never automatic."""
    number = get(name)
    assert number is not None
    return number


def memory() -> tuple[str, str | None]:
    """The source's name or "auto"; the path, if it takes one."""
    return _registered().memory.chosen


def memory_times() -> int:
    """How often it was set: setting it to the same value chooses the source anew too."""
    return _registered().memory.times
