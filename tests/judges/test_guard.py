"""Nothing stays behind: each of what starts processes is killed in the middle, and what is left is
counted."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Iterator, Sequence

import pytest

import build_kernel
from guests import GUESTS
from kernels import fetch

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120  # seconds
MOMENT = "the name of a file that is made in the middle"


@dataclass(frozen=True)
class Case:
    command: Sequence[str]
    names: set[str]  # of the processes that there are in the middle (comm in proc(5))
    guest: str | None = None
    long: bool = False

    def marks(self) -> list[pytest.MarkDecorator]:
        return (
            [pytest.mark.linux(self.guest)]
            if self.guest
            else [pytest.mark.long]
            if self.long
            else []
        )


def python(program: str) -> list[str]:
    paths = [str(ROOT / "tests" / name) for name in ("harness", "guests")]
    return ["/usr/bin/python3", "-c", f"import sys; sys.path[:0] = {paths}\n{program}"]


# All that the harness has, and a GDB that does not hear when its socket ends.
HARNESS = """
from gdbsession import GdbSession
from impostor import Impostor
from qemu import Qemu
from stub_proxy import StubProxy

with (Qemu(ram_file=True) as qemu, StubProxy(qemu.gdb_target) as proxy,
      Impostor(qemu.dir / "impostor", qemu.gdb_target), GdbSession() as gdb):
    gdb.attach(proxy.gdb_target)
    gdb.run(f"python open({sys.argv[1]!r}, 'w').close(); import time; time.sleep(600)")
"""

# Children in sessions of their own, one that is deaf, and one that is only a fork of the script.
SCRIPT = """
set -e
work=$(tests/harness/guard.py $$)
export PTMAP_GUARDS=${PTMAP_GUARDS-}:$work
exec 9<"$work"
(while true; do setsid sleep 1 || true; done) &
setsid sh -c 'trap "" TERM; while true; do sleep 600; done' &
wait
"""

# A kernel of the archive that takes ten minutes to build.
KERNEL = """
import subprocess
import build_kernel

class Archive:
    def show(self, package, field):
        return "1"

    def download(self, package, folder):
        tree, root = folder / package, folder / "root"
        tree.mkdir()
        (tree / "Makefile").write_text(
            "tinyconfig: one two\\none two:\\n\\tsetsid sleep 600 & sleep 600; true\\n")
        (root / "DEBIAN").mkdir(parents=True)
        (root / "DEBIAN/control").write_text(f"Package: {package}\\nVersion: 1\\n"
            "Architecture: all\\nMaintainer: nobody\\nDescription: nothing\\n")
        subprocess.run(["tar", "-C", folder, "-cJf", root / f"{package}.tar.xz", package],
                       check=True)
        subprocess.run(["dpkg-deb", "-b", root, folder / "made.deb"], check=True)
        return folder / "made.deb"

build_kernel.archive = lambda suite, arch: Archive()
build_kernel.newest("kgdb-64", "x86_64")
"""

PYTEST = ["/usr/bin/python3", "-m", "pytest", "-q", "tests/judges/test_naive_against_qemu.py"]
CASES = {
    "harness": Case([*python(HARNESS), MOMENT], {"qemu-system-x86", "gdb"}),
    "script": Case(["bash", "-c", SCRIPT], {"sh", "sleep"}),
    "pytest": Case(PYTEST, {"qemu-system-x86", "gdb"}),
    "pytest in lanes": Case(
        [*PYTEST, "-n", "2", "--dist", "loadgroup"], {"qemu-system-x86", "gdb"}, long=True
    ),
    "run.sh": Case(["tests/run.sh", "--group", "long"], {"guard.py", "python3"}),
    "kernel build": Case(python(KERNEL), {"make", "sleep"}),
    "mutants in Python": Case(
        ["tests/mutants/run.py", "errors-printed"], {"qemu-system-x86", "gdb"}, long=True
    ),
    "mutants in C++": Case(["tests/mutants/run.py", "wp-ignored"], {"ninja", "cc1plus"}, long=True),
    "quickstart": Case(["examples/quickstart.sh"], {"qemu-system-i38"}),
    "grade": Case(["examples/grade.sh"], {"qemu-system-i38"}),
    "quickstart of Linux": Case(
        ["examples/quickstart.sh", "--linux"], {"boot", "qemu-system-i38"}, "686"
    ),
    "boot": Case(["tests/guests/boot", "686"], {"qemu-system-i38"}, "686"),
    "kgdb": Case(["examples/kgdb.sh"], {"boot", "qemu-system-x86"}, "kgdb-64"),
}


class Run:
    """A command in a process of its own, known by a word in the environment of all below it."""

    def __init__(self, case: Case, folder: Path) -> None:
        self.word, self.case, self.moment = uuid.uuid4().hex, case, folder / "moment"
        self.tmp, self.cache, pytests = (folder / name for name in ("tmp", "cache", "pytest"))
        self.output = folder / "output"
        for made in (self.tmp, self.cache, pytests):
            made.mkdir(parents=True)
        if case.guest:
            kernel = fetch(GUESTS[case.guest].kernel).parent
            (self.cache / "kernels").mkdir()
            (self.cache / "kernels" / kernel.name).symlink_to(kernel)
            (self.cache / "kernels" / GUESTS[case.guest].kernel).symlink_to(kernel.name)
        environment = {
            "PTMAP_TEST": self.word,
            "TMPDIR": str(self.tmp),
            "PTMAP_CACHE": str(self.cache),
            "PYTEST_DEBUG_TEMPROOT": str(pytests),
        }
        with open(self.output, "wb") as output:
            self.process = subprocess.Popen(
                [str(self.moment) if word == MOMENT else word for word in case.command],
                cwd=ROOT,
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def alive(self) -> Iterator[Path]:
        """/proc/PID of each."""
        for process in Path("/proc").glob("[0-9]*"):
            if self.word in read(process / "environ"):
                yield process

    def folders(self) -> set[Path]:
        """Temporary ones that they were told of, or have something open in."""
        said = "".join(
            read(process / "cmdline") + links(process / "fd") for process in self.alive()
        )
        return {Path(name) for name in re.findall(r"/(?:tmp|dev/shm)/ptmap-[\w-]+", said)}

    def wait_for_the_middle(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not (
            self.case.names <= {read(process / "comm").strip() for process in self.alive()}
            and (MOMENT not in self.case.command or self.moment.exists())
        ):
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{self.case.names} do not run: {read(self.output)}")
            time.sleep(0.02)

    def left(self, folders: Iterable[Path]) -> list[str]:
        """Processes and files that are there still, when they have had the time to go."""
        deadline = time.monotonic() + PATIENCE
        while True:
            found = [read(process / "cmdline").replace("\0", " ") for process in self.alive()]
            found += [str(folder) for folder in folders if folder.exists()]
            for place, pattern in ((self.tmp, "*"), (self.cache, "*tmp*"), (self.cache, "ptmap-*")):
                found += map(str, place.glob(pattern))
            if not found or time.monotonic() > deadline:
                return found
            time.sleep(0.02)

    def close(self) -> None:
        for process in self.alive():
            os.kill(int(process.name), signal.SIGKILL)
        self.process.wait()


def read(file: Path) -> str:
    """Nothing if its process has ended, or is another user's."""
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""


def links(folder: Path) -> str:
    try:
        return "\n".join(os.readlink(link) for link in folder.iterdir())
    except OSError:
        return ""


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=name, marks=case.marks()) for name, case in CASES.items()]
)
def test_killed_in_the_middle(case: Case, tmp_path: Path) -> None:
    if case is CASES["kernel build"] and (lacking := build_kernel.lacking()):
        pytest.skip(f"{lacking} is missing: scripts/install-packages.sh kernel")
    run = Run(case, tmp_path)
    try:
        run.wait_for_the_middle()
        folders = run.folders()
        run.process.kill()
        run.process.wait()
        assert run.left(folders) == []
    finally:
        run.close()


HOLDER = """
import guard, time
with guard.Folder(sys.argv[1]) as folder:
    print(folder, flush=True)
    open(sys.argv[2], "w").close()
    time.sleep(600)
"""


@contextmanager
def holder(where: Path, place: str) -> Iterator[tuple[Run, Path]]:
    """A run with a temporary folder there."""
    run = Run(Case([*python(HOLDER), place, MOMENT], set()), where)
    try:
        run.wait_for_the_middle()
        yield run, Path(read(run.output).strip())
    finally:
        run.close()


@pytest.mark.parametrize("place", ["/tmp", "/dev/shm"])
def test_only_what_nobody_holds_is_removed(tmp_path: Path, place: str) -> None:
    """One run lives on, one is killed, and one together with its guard: the next start removes
    what that one has left."""
    with holder(tmp_path / "lives", place) as (lives, kept):
        with holder(tmp_path / "dies", place) as (dies, removed):
            assert kept.parent == removed.parent == Path(place) and removed.is_dir()
            dies.process.kill()
            dies.process.wait()
            assert dies.left([removed]) == []
        with holder(tmp_path / "both", place) as (both, left):
            for process in both.alive():
                os.kill(int(process.name), signal.SIGSTOP)
            both.close()
            assert left.is_dir()
        with holder(tmp_path / "next", place):
            assert not left.exists()
        assert kept.is_dir() and lives.process.poll() is None
