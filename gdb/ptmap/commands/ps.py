"""The command ptmap ps: a Linux's processes with their roots and what these map."""

from __future__ import annotations

import json
from dataclasses import dataclass

import gdb

from ..base.errors import Refusal
from ..base.option import JSON, Option, Options
from ..base.text import plural
from ..context import selection
from ..linux import tasks
from ..linux.processes import Process, Processes
from ..spaces.address_space import AddressSpace
from ..spaces.reader import Plan
from .command import Command, write, write_json


class PsCommand(Command):
    """List a Linux's processes: their page-table roots and what these map.

    ptmap ps [-all] [-json FILE|-]

    A line for each process (thread group):

      pid, name
      state      of its first thread
      cpu        on which that thread ran last; "*": the CPUs that run its
                 threads now; "?": whether any does is not known
      pages      of 4 KiB, that its part of the address space maps; a larger
                 page counts as many; "+": there may be more
      root       the physical address of its page tables, under KPTI the
                 kernel root; -root PA and -pid N of other commands select it

    The list and its names are the guest's: what is not printable ASCII is
    shown as \\xNN. It needs the kernel's symbols with types (`ptmap kaslr
    VMLINUX` loads them).

      -all          kernel threads and the idle task of CPU 0, too
      -json FILE|-  the same as JSON (schema ptmap/1) to a file, or to GDB's
                    output
      -o FILE       write to a file what would be shown

    Examples:
      ptmap ps
      ptmap ps -all -json ps.json"""

    no_option = ""
    takes = gdb.COMPLETE_NONE
    options = (Option("all", "", "kernel threads, too"), JSON)

    def plan(self, options: Options, words: list[str]) -> Plan:
        return Plan(counts=False)

    def run(self, options: Options, words: list[str]) -> None:
        if words:
            raise Refusal(f"takes options only, but {words[0]!r} was given")
        view = _View.of(selection.resolve({}), "all" in options)
        if "json" in options:
            write_json(options["json"], json.dumps(view.json(), indent=1) + "\n")
        else:
            write(view.text())


@dataclass
class _View:
    space: AddressSpace
    processes: list[Process]
    damage: str | None

    @classmethod
    def of(cls, space: AddressSpace, kernel_threads: bool) -> _View:
        """Error: Refusal if there is no Linux with its symbols, or not even the idle task."""
        if space.paging_is_off:
            raise Refusal("paging is off (CR0.PG=0): there are no processes yet")
        found = Processes(space, tasks.linux(space), kernel_threads)
        return cls(space, list(found), found.damage)

    @property
    def complete(self) -> bool:
        return self.damage is None and not any(one.why for one in self.processes)

    def json(self) -> dict[str, object]:
        head = {"schema": "ptmap/1", "kind": "ps", "mode": self.space.mode}
        damage = {} if self.damage is None else {"why": self.damage}
        return {
            **head,
            "complete": self.complete,
            **damage,
            "processes": [_json(one) for one in self.processes],
        }

    def text(self) -> str:
        lines = [f"{'pid':>7} {'name':<15} {'state':<12} {'cpu':<5} {'pages':>10}  root"]
        lines += [_line(one) for one in self.processes]
        lines += [one.why for one in self.processes if one.why]
        if self.damage is not None:
            lines.append(f"INCOMPLETE: {self.damage}")
        lines.append(plural(len(self.processes), "process", "processes"))
        return "\n".join(lines) + "\n"


def _json(one: Process) -> dict[str, object]:
    return {
        "pid": one.pid,
        "comm": one.comm,
        "kernel_thread": one.is_kernel_thread,
        "state": one.state,
        "cpu": one.cpu,
        "running_on": None if one.running_on is None else list(one.running_on),
        "root": None if one.root is None else hex(one.root),
        "mapped": None if one.mapped is None else hex(one.mapped),
        "pages": one.pages,
        **({} if one.why is None else {"why": one.why}),
    }


def _line(one: Process) -> str:
    running = ",".join(map(str, one.running_on or ()))
    cpus = f"*{running}" if running else f"{' ' if one.running_on is not None else '?'}{one.cpu}"
    pages = f"{_or_dash(one.pages)}{'+' * (one.pages is not None and one.why is not None)}"
    root = "-" if one.root is None else f"{one.root:#x}"
    return f"{one.pid:>7} {one.comm:<15} {one.state:<12} {cpus:<5} {pages:>10}  {root}"


def _or_dash(number: int | None) -> str:
    return "-" if number is None else str(number)


def register() -> None:
    PsCommand("ptmap ps")
