#!/usr/bin/python3
"""docs/support.md: on which systems the tests ran, and what came of it.

    tests/support.py report PASSED FAILED SKIPPED GROUPS LINUX
                              what tests/run.sh says in the end: a file in the cache for each kind
                              of system
    tests/support.py keep     those files, into docs/support/
    tests/support.py page     docs/support.md, made of docs/support/
    tests/support.py check    is the page what it would be made to?
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "harness"))

import guard

REPORTS = guard.cache() / "support"  # of runs on this machine
KEPT, PAGE = ROOT / "docs" / "support", ROOT / "docs" / "support.md"

# What a report says: a column's title, and the command that prints it.
GDB = "gdb -nx -batch"
COLUMNS = {
    "GDB": (f"{GDB} -ex 'show version'", r"GNU gdb .*?(\d+\.\d+[\d.]*)"),
    "Python": (f"{GDB} -ex 'python import sys; print(sys.version)'", r"([\d.]+)"),
    "QEMU": ("qemu-system-x86_64 --version", r"version ([\d.]+)"),
    "libkdumpfile": ("dpkg-query -W -f '${Version}' libkdumpfile-dev", r"([\d.]+)"),
    "pybind11": ("dpkg-query -W -f '${Version}' pybind11-dev", r"([\d.]+)"),
}
COMPILER = r"^CMAKE_CXX_COMPILER:\w+=(.*)$"
# What people have and no run here had.
NOT_RUN = (
    ("Ubuntu, Fedora, Arch", "only Debian's archive is reached where the tests run"),
    (
        "GDB 12, 14, 15, 17",
        "no release of Debian has them; what differs in them is played by a "
        "fake (tests/gdb/test_other_gdbs.py)",
    ),
    ("a GDB with Python's limited API", "no release of Debian has one"),
    ("clang", "the rows above were built with g++"),
    ("KVM", "the machines that run the tests have none: all guests run under TCG"),
)
HEAD = """\
# Where ptmap was run

Made by `tests/support.py page` from what `tests/run.sh` reported (docs/support/): do not edit it.
A row is the last run on such a system that was kept: its programs, and the tests that ran.

"""


def said(command: str, pattern: str) -> str:
    """The first match in what a command prints, or "-"."""
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=ROOT)
    found = re.search(pattern, done.stdout, re.M)
    return found[1] if found else "-"


def compiler() -> str:
    """As `g++ 12.2.0`: the one that built/release was built with."""
    path = said("cat build/release/CMakeCache.txt", COMPILER)
    text = said(f"{path} --version", r"^(.*)$")
    name = "clang" if "clang" in text else "g++"
    found = re.search(r"(\d+\.\d+\.\d+)", text)
    return f"{name} {found[1] if found else '-'}"


def accelerator() -> str:
    """What QEMU runs guests with as the tests start it."""
    asked = '{"execute": "qmp_capabilities"} {"execute": "query-kvm"} {"execute": "quit"}'
    qemu = "qemu-system-x86_64 -M none -nodefaults -display none -qmp stdio"
    enabled = said(f"echo '{asked}' | {qemu}", r'"enabled": (true|false)')
    return {"true": "KVM", "false": "TCG"}.get(enabled, "-")


def report(passed: str, failed: str, skipped: str, groups: str, linux: str) -> None:
    """`linux`: the versions of the kernels that ran as guests."""
    pretty = said("cat /etc/os-release", r'^PRETTY_NAME="?([^"\n]*)')
    row = {"Distribution": pretty}
    row |= {title: said(*asked) for title, asked in COLUMNS.items()}
    row |= {
        "Compiler": compiler(),
        "Runs guests by": accelerator(),
        "Linux guests": linux,
        "Date": time.strftime("%Y-%m-%d"),
        "Groups": groups,
        "Passed": passed,
        "Failed": failed,
        "Skipped": skipped,
    }
    kind = re.sub(r"\W+", "-", f"{pretty} {row['Compiler'].split()[0]} {groups}".lower())
    REPORTS.mkdir(parents=True, exist_ok=True)
    (REPORTS / f"{kind.strip('-')}.json").write_text(json.dumps(row, indent=4) + "\n")


def keep() -> None:
    KEPT.mkdir(exist_ok=True)
    for path in REPORTS.glob("*.json"):
        groups = json.loads(path.read_text())["Groups"].split()
        if not {"default", "quick"}.isdisjoint(groups):  # one group alone says little
            shutil.copy(path, KEPT)


def page() -> str:
    rows = [json.loads(path.read_text()) for path in sorted(KEPT.glob("*.json"))]
    titles = [
        "Distribution",
        *COLUMNS,
        "Compiler",
        "Runs guests by",
        "Linux guests",
        "Date",
        "Groups",
        "Passed",
        "Failed",
        "Skipped",
    ]
    cells = [[row.get(title, "-") for title in titles] for row in rows]
    lines = [titles, ["---"] * len(titles), *cells]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    not_run = "".join(f"| {what} | {why} |\n" for what, why in NOT_RUN)
    return f"{HEAD}{table}\n## What was not run\n\n| what | why |\n| --- | --- |\n{not_run}"


def main() -> None:
    match sys.argv[1:]:
        case ["report", passed, failed, skipped, groups, linux]:
            report(passed, failed, skipped, groups, linux)
        case ["keep"]:
            keep()
        case ["page"]:
            PAGE.write_text(page())
        case ["check"]:
            if PAGE.read_text() != page():
                sys.exit("docs/support.md is not what docs/support/ makes: tests/support.py page")
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
