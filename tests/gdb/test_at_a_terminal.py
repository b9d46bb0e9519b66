"""What a person meets who types into GDB: TAB, help, apropos. Never a Python exception.

GDB runs on a terminal of its own, since `complete` and GDB without one leave out what TAB does.
"""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import string
import subprocess
import time
from pathlib import Path
from typing import Iterator

import pytest

from gdbsession import GdbSession, ptmap_script

EXCEPTION = re.compile("Python Exception|Error occurred in Python|Traceback")

# Answers at the first TAB, all on the screen, however many they are.
INPUTRC = """\
set show-all-if-ambiguous on
set completion-query-items 0
set page-completions off
set enable-bracketed-paste off
set bell-style none
"""


class Terminal:
    """A context manager: GDB with ptmap at a prompt, and somebody who types."""

    def __init__(self, folder: Path) -> None:
        inputrc = folder / "inputrc"
        inputrc.write_text(INPUTRC)
        ours, theirs = pty.openpty()
        self._terminal = ours
        environment = {
            key: value
            for key, value in os.environ.items()
            if key not in ("PYTHONHOME", "PYTHONPATH")
        }
        environment |= {
            "INPUTRC": str(inputrc),
            "TERM": "dumb",
            "LC_ALL": "C.UTF-8",
            "HOME": str(folder),
            "DEBUGINFOD_URLS": "",
        }
        self._gdb = subprocess.Popen(
            [
                "gdb",
                "-nx",
                "-q",
                "-ex",
                "set width 0",
                "-ex",
                "set height 0",
                "-ex",
                "set max-completions unlimited",
                "-x",
                str(ptmap_script()),
            ],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment,
            cwd=folder,
            start_new_session=True,
        )
        os.close(theirs)
        self._asked = 0

    def __enter__(self) -> Terminal:
        self.answer("")
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._gdb.pid, signal.SIGKILL)
        self._gdb.wait()
        os.close(self._terminal)

    def answer(self, typed: str) -> str:
        """What is on the screen after these keys; the line is wiped out then (Ctrl-U), and the next
        command's output tells that GDB has done with it. Before its next prompt it takes no TAB."""
        self._asked += 1
        end = f"<done {self._asked}>\r\n(gdb) "
        os.write(self._terminal, f'{typed}\x15printf "<done %d>\\n", {self._asked}\n'.encode())
        seen, deadline = "", time.monotonic() + 60
        while not seen.endswith(end):
            ready, _, _ = select.select([self._terminal], [], [], deadline - time.monotonic())
            assert ready, f"GDB does not answer {typed!r}: {seen}"
            seen += os.read(self._terminal, 1 << 16).decode(errors="replace")
        assert not EXCEPTION.search(seen), seen
        return seen


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    with Terminal(tmp_path_factory.mktemp("terminal")) as terminal:
        yield terminal


@pytest.mark.parametrize(
    "typed, found",
    [
        ("ptmap ", r"check .*\bxp\b"),
        ("ptmap -", r"\branges\b"),
        ("ptmap -ra", "ptmap -ranges "),
        ("ptmap -mode ", "5-level"),
        ("ptmap -filter ", "supervisor"),
        ("ptmap -json ", "json"),
        ("ptmap check ", "check"),
        ("ptmap check n", r"no +null"),
        ("ptmap check -", r"\bquit\b"),
        ("ptmap diff ", "diff"),
        ("ptmap diff -", r"\bphys\b"),
        ("ptmap find -", r"\baliases\b"),
        ("ptmap save ", "inputrc"),
        ("ptmap kaslr ", "inputrc"),
        ("ptmap regs -", r"\bjson\b"),
        ("ptmap reg", "ptmap regs "),
        ("pte ", "pte"),
        ("pte $", "pte"),
        ("pte -", r"\bexpect\b"),
        ("pte -expect us", "user"),
        ("ptmap pte -", r"\bexpect\b"),
        ("vdso -", r"\bdump\b"),
        ("vdso -dump ", "dump"),
        ("xp ", "xp"),
        ("xp/4", "xp"),
        ("xp/4gx ", "xp"),
        ("xp -", r"\bjson\b"),
        ("set ptmap ", "maxphyaddr"),
        ("set ptmap memory ", "memory"),
        ("show ptmap ", "maxphyaddr"),
        ("help ptmap ", "check"),
        ("help pt", r"\bpte\b"),
        ("print $ptmap_", "ptmap"),
        ("help function ptmap_", "ptmap_mapped"),
        ("info ptmap", "info"),
    ],
)
def test_tab(terminal: Terminal, typed: str, found: str) -> None:
    assert re.search(found, terminal.answer(typed + "\t\t"))


@pytest.fixture(scope="module")
def gdb() -> Iterator[GdbSession]:
    with GdbSession(script=ptmap_script()) as session:
        yield session
        assert not EXCEPTION.search(session.log), session.log


def commands(gdb: GdbSession) -> list[str]:
    """Every command, setting and function of ptmap, by what GDB completes."""
    prefixes = [
        *(
            f"{first}ptmap {letter}"
            for first in ("", "set ", "show ")
            for letter in string.ascii_lowercase
        ),
        "help function ptmap_",
    ]
    found = [name for line in prefixes for name in gdb.run(f"complete {line}").splitlines()]
    return [
        "ptmap",
        "pte",
        "vdso",
        "xp",
        "set ptmap",
        "show ptmap",
        *(name.removeprefix("help ") for name in found),
    ]


def test_help_of_everything(gdb: GdbSession) -> None:
    names = commands(gdb)
    assert {"ptmap check", "set ptmap memory", "function ptmap_pa"} <= set(names)
    for name in names:
        text = gdb.run(f"help {name}")
        assert text.strip() and not EXCEPTION.search(text), name
        assert "This command is not documented" not in text, name
    assert not EXCEPTION.search(gdb.log), gdb.log


@pytest.mark.parametrize(
    "command",
    [
        "apropos ptmap",
        "apropos -v ptmap",
        "apropos vdso",
        "help user-defined",
        "help data",
        "help all",
        "info set",
    ],
)
def test_apropos_and_lists(gdb: GdbSession, command: str) -> None:
    text = gdb.run(command)
    assert not EXCEPTION.search(text + gdb.log), gdb.log
    if command.startswith("apropos"):
        assert "ptmap" in text


def test_completion_of_every_line_that_gdb_can_end(gdb: GdbSession) -> None:
    """The command `complete` asks as TAB does, in a GDB that calls complete() twice."""
    for name in commands(gdb):
        for end in ("", " ", " -", " -json ", " u", " 'a", ' "', " $", " -- ", " user+"):
            text = gdb.run(f"complete {name.removeprefix('function ')}{end}")
            assert not EXCEPTION.search(text), name + end
    assert not EXCEPTION.search(gdb.log), gdb.log
