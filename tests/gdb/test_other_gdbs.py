"""GDBs that are run nowhere here (12, 14, 15, 17), played by the one that runs: what they lack is
taken away from it, and what they have is put there, before ptmap is loaded."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gdbsession import REPOSITORY, GdbSession, ptmap_script, refused
from machine import BareMachine
from tables import KIB4, P, RW, US, Tables

# What each release brought to GDB's Python, as its NEWS has it.
BROUGHT = {
    13: ("add_history", "disassembler", "format_address", "history_count", "print_options"),
    14: (
        "ThreadExitedEvent",
        "ValuePrinter",
        "blocked_signals",
        "execute_mi",
        "interrupt",
        "notify_mi",
    ),
    15: ("missing_debug",),
    16: ("missing_files",),
    17: ("Color", "PARAM_COLOR", "ParameterPrefix", "warning"),
    18: ("Style",),
}

PLAY = """\
import sys
gdb.VERSION = f"{release}.1"
for since, names in brought.items():
    for name in names:
        if since > release:
            vars(gdb).pop(name, None)
        elif not hasattr(gdb, name):
            setattr(gdb, name, type(name, (), {}))
if release < 13:
    sys.modules["gdb.disassembler"] = None  # no such module
"""

COMMANDS = (
    "ptmap",
    "ptmap -ranges",
    "ptmap -json -",
    "ptmap regs",
    "pte 0x400000 0 $pc",
    "vdso",
    "xp/4gx 0x1000000",
    "xp/s 0x1000000",
    "ptmap find 0x1000000",
    "ptmap find -aliases",
    "ptmap check no write+exec",
    "pte -expect mapped 0x400000",
    "ptmap diff",
    "print $ptmap_pa(0x400000)",
    "print $ptmap_rights(0x400000)",
    "show ptmap memory",
    "help ptmap",
    "help pte",
    "help function ptmap_pa",
    "apropos ptmap",
    "complete ptmap -",
    "complete pte -expect us",
    "python import ptmap; ptmap.space().map()",
)


def laid_out(machine: BareMachine) -> None:
    space = Tables("4-level")
    space.map(0x400000, 0x1000000, KIB4, P | US)
    space.map(0x401000, 0x1001000, KIB4, P | US | RW)
    space.write_to(machine)
    machine.set_mode("4-level", space.root)


def works(session: GdbSession, commands: tuple[str, ...] = COMMANDS) -> None:
    for command in commands:
        if command.startswith("ptmap check"):  # what is writable can be executed: that is told
            refused(session, command, "the rule failed")
        else:
            session.run(command)
    assert session.eval("$ptmap_pa(0x401000)") == 0x1001000
    assert not re.search("Python Exception|Traceback", session.log), session.log


@pytest.mark.parametrize("release", [12, 14, 15, 17])
def test_names_that_this_release_lacks_or_has(release: int) -> None:
    with BareMachine() as machine:
        laid_out(machine)
        session = machine.session
        session.python(f"brought, release = {BROUGHT}, {release}\n{PLAY}")
        session.run(f"source {ptmap_script()}")
        works(session)
        if release < 13:
            refused(session, "xp/i 0x1000000", "/i needs GDB 13 or later", "12.1")
        else:
            session.run("xp/i 0x1000000")


def test_a_gdb_older_than_all_of_them() -> None:
    with GdbSession() as session:
        session.python("del gdb.RemoteTargetConnection\ngdb.VERSION = '11.2'")
        said = session.run(f"source {ptmap_script()}")
        assert said == "ptmap needs GDB 12 or later; this is 11.2\n"


@pytest.mark.parametrize(
    "version, release",
    [("13.1", 13), ("18.0.50.20260101-git", 18), ("Fedora Linux 18.1-1.fc45", 18), ("unknown", 0)],
)
def test_the_release_is_the_first_number_of_the_version(version: str, release: int) -> None:
    with GdbSession(script=ptmap_script()) as session:
        assert (
            session.python(
                f"""
from ptmap.commands import xp
gdb.VERSION = {version!r}
result = xp._release()
"""
            )
            == release
        )


@pytest.mark.parametrize("suffix", [".so", ".abi3.so"])
def test_the_module_has_another_suffix(suffix: str, tmp_path: Path) -> None:
    """A GDB made for Python's limited API need not run the Python that it was compiled with."""
    shutil.copytree(
        ptmap_script().parent, tmp_path / "gdb", ignore=shutil.ignore_patterns("__pycache__")
    )
    (module,) = (tmp_path / "gdb" / "ptmap").glob("_core.*.so")
    module.rename(module.with_name("_core" + suffix))
    with BareMachine(script=tmp_path / "gdb" / "ptmap-gdb.py") as machine:
        laid_out(machine)
        works(machine.session)


def test_the_module_is_built_with_the_suffix_that_gdb_names(tmp_path: Path) -> None:
    """GDB's Python is asked, not the one on PATH."""
    fake = tmp_path / "gdb"
    fake.write_text(
        f"""\
#!/bin/sh
{shutil.which("gdb")} "$@" | sed 's/^\\.cpython-.*so$/.of-another.so/'
"""
    )
    fake.chmod(0o755)
    subprocess.run(
        [
            "cmake",
            "-S",
            REPOSITORY,
            "-B",
            tmp_path / "build",
            "-G",
            "Ninja",
            f"-DPTMAP_GDB={fake}",
            "-DBUILD_TESTING=OFF",
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    targets = subprocess.run(
        ["ninja", "-C", tmp_path / "build", "-t", "targets", "all"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "gdb/ptmap/_core.of-another.so:" in targets
