#!/usr/bin/python3
"""Breaks ptmap on purpose, one small patch at a time, and shows which test notices.

    tests/mutants/run.py            every patch below this folder
    tests/mutants/run.py NAME...    only these
    tests/mutants/run.py --sample N every N-th patch
    tests/mutants/run.py --note     writes into the patches which test noticed them

Each patch is one mistake that tools of this kind have made. It is applied to a copy of the tree.
One of native/ is compiled: the native tests run first and, if they pass, the tests in GDB. One of
gdb/ needs no compiler: it gets the module of build/release. A mutant that survives all of it is a
failure. The first lines of a patch say what the mistake is. `tests:` has pytest's
arguments for the tests in GDB; without it these are TESTS_IN_GDB. `noticed by:` names the test that
failed last time: it runs first. In the end every test that noticed a mutant runs again, without any
mutant, and has to pass.
If all tests that could notice a mutant are skipped, as without a kernel, so is the mutant.
The last line is "N passed, N failed, N skipped".
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Callable

TESTS_IN_GDB = [f"tests/gdb/test_{name}.py" for name in ("commands", "lab32", "lab64")]
SLOW = "*Randomly*"  # of the native tests: they run after the others
NATIVE_TESTS = "ptmap_native_tests"  # the program with all of them
NATIVE, COMPILER = "native ", "the compiler: "  # how the names of those that notice begin
NOTED = r"^noticed by: (.*)$"
SKIPPED = "skipped, as are all tests that could notice it"

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests" / "harness"))

import guard


class Tree:
    """A copy of the tree, kept from mutant to mutant. What GDB loads from it is in python/ beside
    the module of build/release, and in build/ beside one of its own."""

    def __init__(self, where: Path) -> None:
        self.source, self.python, self.build = where / "source", where / "python", where / "build"
        files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True)
        for name in files.stdout.decode().split("\0"):
            if name and (ROOT / name).is_file():
                (self.source / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.source / name)
        for file in (self.source / "gdb").rglob("*.py"):
            link = self.python / file.relative_to(self.source)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file)
        for module in (ROOT / "build/release/gdb/ptmap").glob("_core*"):
            shutil.copy2(module, self.python / "gdb/ptmap")

    def run(self, *command: str | Path, loaded: Path | None = None) -> str:
        """A command's output; CalledProcessError if it fails. `loaded`: what GDB loads."""
        environment = os.environ | {
            "PTMAP_BUILD": str(loaded or self.python),
            "CCACHE_BASEDIR": str(self.source.parent),
        }
        return subprocess.run(
            command,
            cwd=self.source,
            env=environment,
            check=True,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=600,
        ).stdout

    def make(self, target: str) -> None:
        if not self.build.exists():
            self.run(
                "cmake",
                "-G",
                "Ninja",
                "-S",
                self.source,
                "-B",
                self.build,
                "-DCMAKE_BUILD_TYPE=Debug",
                "-DCMAKE_CXX_FLAGS_DEBUG=-O0",
            )
        self.run("cmake", "--build", self.build, "--target", target)

    def applies(self, patch: Path) -> bool:
        try:
            self.run("git", "apply", "--check", patch)
        except subprocess.CalledProcessError:
            return False
        return True

    def noticed_by(self, patch: Path) -> str | None:
        """The first test that fails with this patch, None if all pass, SKIPPED if none runs."""
        self.run("git", "apply", patch)
        try:
            if by := self.noticed_again(patch):
                return by
            loaded = self.python
            if _is_native(patch):
                loaded = self.build
                try:
                    self.make(NATIVE_TESTS)
                    if by := self.native_tests(*_library_tests(patch)):
                        return by
                    self.make("all")
                except subprocess.CalledProcessError as error:
                    return COMPILER + _first(error.output, r"error: (.*)")
            return self.tests_in_gdb(loaded, "-x", "-m", "not linux", *_tests_of(patch))
        finally:
            self.run("git", "apply", "-R", patch)

    def noticed_again(self, patch: Path) -> str | None:
        """By the test that did last, if that is still there."""
        name = _noticed_last_by(patch)
        if not name:
            return None
        try:
            if name.startswith(NATIVE):
                test = name.removeprefix(NATIVE)
                program = self.program_of(test)
                self.make(program)
                return self.native_tests(test, program=program)
            if _is_native(patch):
                self.make("ptmap_module")
            by = self.tests_in_gdb(self.build if _is_native(patch) else self.python, name)
            return None if by == SKIPPED else by
        except (subprocess.CalledProcessError, RuntimeError):  # it does not compile; no such test
            return None

    def program_of(self, test: str) -> str:
        """The program with only the tests of that test's file."""
        suite = test.split(".")[0].split("/")[-1]
        for file in (self.source / "tests/native").glob("*_test.cc"):
            if re.search(rf"^TEST(_F|_P)?\({suite}, ", file.read_text(), re.M):
                return file.stem
        return NATIVE_TESTS

    def native_tests(self, *filters: str, program: str = NATIVE_TESTS) -> str | None:
        """The first that fails. `filters` are GoogleTest's, asked one after the other."""
        for names in filters:
            try:
                self.run(
                    self.build / "tests/native" / program,
                    "--gtest_fail_fast",
                    f"--gtest_filter={names}",
                )
            except subprocess.CalledProcessError as error:
                failed = re.findall(r"^\[  FAILED  \] ([^\s,]+)", error.output, re.M)
                began = re.findall(r"^\[ RUN      \] (\S+)", error.output, re.M)
                return NATIVE + (failed[0] if failed else began[-1])  # it died in that one
        return None

    def tests_in_gdb(self, loaded: Path, *arguments: str) -> str | None:
        """The first that fails, SKIPPED if all are. RuntimeError if there is none, or pytest itself
        fails."""
        try:
            said = self.run("/usr/bin/python3", "-m", "pytest", "-q", *arguments, loaded=loaded)
        except subprocess.CalledProcessError as error:
            # A name may have spaces in its brackets; what went wrong follows after " - ".
            name = r"^(?:FAILED|ERROR) ([^\s\[]+(?:\[.*?\](?= - |$))?)"
            failed = re.search(name, error.output, re.M) if error.returncode == 1 else None
            if failed is None:
                raise RuntimeError(f"pytest {' '.join(arguments)}: {error.output}") from None
            return failed[1]
        return None if re.search(r"^\d+ passed", said, re.M) else SKIPPED


def _first(text: str, pattern: str) -> str:
    found = re.search(pattern, text, re.M)
    return found[1] if found else text.strip().splitlines()[-1]


def _tests_of(patch: Path) -> list[str]:
    named = re.search(r"^tests: (.*)$", patch.read_text(), re.M)
    return shlex.split(named[1]) if named else TESTS_IN_GDB


def _noticed_last_by(patch: Path) -> str | None:
    noted = re.search(NOTED, patch.read_text(), re.M)
    return noted[1] if noted else None


def _note(patch: Path, by: str | None) -> None:
    """Write that behind the other lines about a patch."""
    text = re.sub(f"{NOTED}\n", "", patch.read_text(), flags=re.M)
    about, begin, change = text.partition("\n--- a/")
    if by and by != SKIPPED and not by.startswith(COMPILER):
        about = f"{about.rstrip()}\nnoticed by: {by}\n"
    patch.write_text(about + begin + change)


def _file_of(patch: Path) -> str:
    return _first(patch.read_text(), r"^--- a/(.*)$")


def _is_native(patch: Path) -> bool:
    return "--- a/native/" in patch.read_text()


def _library_tests(patch: Path) -> tuple[str, ...]:
    """The native tests of the library that a patch touches."""
    return ("*Elf*",) if "--- a/native/elf/" in patch.read_text() else (f"-*Elf*:{SLOW}", SLOW)


def _take_all(tree: Tree, *takes: Callable[[], Path]) -> dict[Path, str | None]:
    """Runs what each of these takes from a queue until it is empty; returns what noticed each."""
    by: dict[Path, str | None] = {}
    for take in takes:
        while patch := _next(take):
            start = time.monotonic()
            by[patch] = tree.noticed_by(patch)
            said = by[patch] or "SURVIVED"
            print(f"{patch.stem:<34} {said} ({time.monotonic() - start:.1f} s)", flush=True)
    return by


def _next(take: Callable[[], Path]) -> Path | None:
    with suppress(IndexError):  # the queue is empty
        return take()
    return None


def _fails_anyway(tree: Tree, by: dict[Path, str | None]) -> str | None:
    """The first of the tests that noticed something that fails without any mutant, too."""

    def names(*, native: bool) -> set[str]:
        return {
            name
            for patch, name in by.items()
            if name and _is_native(patch) == native and not name.startswith((COMPILER, SKIPPED))
        }

    compiled, in_gdb = names(native=True), names(native=False)
    failed = None
    if in_native := {name for name in compiled if name.startswith(NATIVE)}:
        tree.make(NATIVE_TESTS)
        failed = tree.native_tests(":".join(name.removeprefix(NATIVE) for name in in_native))
    if not failed and (in_module := compiled - in_native):
        tree.make("all")
        failed = tree.tests_in_gdb(tree.build, *sorted(in_module))
    if not failed and in_gdb:
        failed = tree.tests_in_gdb(tree.python, "-n", "2", "--dist", "loadgroup", *sorted(in_gdb))
    return failed


def _wrong(patches: list[Path], where: Path, noting: bool) -> tuple[list[str], int]:
    """Runs these; returns what is wrong, a line each, and how many were skipped."""
    subprocess.run([ROOT / "scripts/build.sh", "release"], check=True)
    trees = Tree(where / "0"), Tree(where / "1")
    stale = [f"{p.stem} fits the code no more" for p in patches if not trees[0].applies(p)]
    if stale:
        return stale, 0
    # By file: what is undone in one is compiled together with the next mutant. One lane begins with
    # what has to be compiled, the other with what boots Linux, which is long; then each helps the
    # other from the far end.
    native = deque(sorted((p for p in patches if _is_native(p)), key=_file_of))
    python = deque(
        sorted(
            (p for p in patches if not _is_native(p)),
            key=lambda patch: "linux" not in _tests_of(patch),
        )
    )
    with ThreadPoolExecutor() as pool:
        lanes = [
            pool.submit(_take_all, trees[0], native.popleft, python.pop),
            pool.submit(_take_all, trees[1], python.popleft, native.pop),
        ]
        by = {patch: name for lane in lanes for patch, name in lane.result().items()}
    if noting:
        for patch, name in by.items():
            _note(patch, name)
    skipped = list(by.values()).count(SKIPPED)
    if failed := _fails_anyway(trees[0], by):
        return [f"without any mutant, too, {failed} fails"], skipped
    return [f"{patch.stem} survived" for patch, name in by.items() if name is None], skipped


def main() -> int:
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--sample", type=int, default=1)
    parser.add_argument("--note", action="store_true")
    options = parser.parse_args()
    patches = sorted(HERE.rglob("*.patch"))
    if options.names:
        patches = [p for p in patches if p.stem in options.names]
    patches = patches[:: options.sample]
    with guard.Folder() as where:
        wrong, skipped = _wrong(patches, Path(where), options.note)
    print(
        "".join(f"== failed: {line}\n" for line in wrong)
        + f"{len(patches) - len(wrong) - skipped} passed, {len(wrong)} failed, {skipped} skipped"
    )
    return 0 if patches and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
