#!/usr/bin/python3
"""Breaks ptmap on purpose, one small patch at a time, and shows which test notices.

    tests/mutants/run.py            every patch beside this file
    tests/mutants/run.py NAME...    only these
    tests/mutants/run.py --sample N every N-th patch

Each patch is one mistake that tools of this kind have made. It is applied to a copy of the tree;
the native tests run first (where it touches native/), then, where they are content, the tests in
GDB. A mutant that survives both is a failure. The first lines of a patch say what the mistake is,
and after `tests:` which tests in GDB to ask, as pytest's arguments (without that, TESTS_IN_GDB).
The last line is "N passed, N failed".
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TESTS_IN_GDB = [f"tests/gdb/test_{name}.py" for name in ("commands", "lab32", "lab64")]

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


class Tree:
    """A copy of the tree with a build of its own, kept from mutant to mutant."""

    def __init__(self, where: Path) -> None:
        self.source = where / "source"
        self.build = where / "build"
        files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True)
        for name in files.stdout.decode().split("\0"):
            if name and (ROOT / name).is_file():
                (self.source / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.source / name)
        self.run("cmake", "-G", "Ninja", "-S", self.source, "-B", self.build,
                 "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS_DEBUG=-O0")  # fmt: skip

    def run(self, *command: str | Path) -> str:
        """A command's output; CalledProcessError where it fails."""
        environment = os.environ | {"PTMAP_BUILD": str(self.build)}
        return subprocess.run(
            command, cwd=self.source, env=environment, check=True, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600,
        ).stdout  # fmt: skip

    def applies(self, patch: Path) -> bool:
        try:
            self.run("git", "apply", "--check", patch)
        except subprocess.CalledProcessError:
            return False
        return True

    def noticed_by_native_tests(self, *which: str) -> str | None:
        """The first test that fails, None where all pass; `which` is for ctest."""
        try:
            self.run("cmake", "--build", self.build)
        except subprocess.CalledProcessError as error:
            return f"the compiler: {_first(error.output, r'error: (.*)')}"
        try:
            self.run("ctest", "--test-dir", self.build, "--stop-on-failure", "-j", "2", "-Q",
                     *which)
        except subprocess.CalledProcessError:
            log = (self.build / "Testing/Temporary/LastTestsFailed.log").read_text()
            return "native " + log.splitlines()[0].partition(":")[2].partition("  #")[0]
        return None

    def noticed_by_tests_in_gdb(self, arguments: list[str]) -> str | None:
        try:
            self.run("/usr/bin/python3", "-m", "pytest", "-q", "-x", "-m", "not linux", *arguments)
        except subprocess.CalledProcessError as error:
            return _first(error.output, r"^(?:FAILED|ERROR) (\S+)")
        return None


def _first(text: str, pattern: str) -> str:
    found = re.search(pattern, text, re.M)
    return found[1] if found else text.strip().splitlines()[-1]


def _tests_of(patch: Path) -> list[str]:
    named = re.search(r"^tests: (.*)$", patch.read_text(), re.M)
    return named[1].split() if named else TESTS_IN_GDB


def _is_native(patch: Path) -> bool:
    return "--- a/native/" in patch.read_text()


def _library_tests(patch: Path) -> tuple[str, str]:
    """The native tests of the library that a patch touches, for ctest."""
    return ("-R" if "--- a/native/elf/" in patch.read_text() else "-E", "Elf")


def _survivors(patches: list[Path], where: Path) -> list[str]:
    """Runs these, in a tree of their own; returns what is wrong, a line each."""
    tree = Tree(where)
    stale = [f"{patch.stem} fits the code no more" for patch in patches if not tree.applies(patch)]
    if stale:
        return stale
    asked = {patch: _tests_of(patch) for patch in patches}
    broken = tree.noticed_by_native_tests()
    for tests in sorted({tuple(tests) for tests in asked.values()}):
        broken = broken or tree.noticed_by_tests_in_gdb([*tests])
    if broken:
        return [f"the tests fail without any mutant: {broken}"]
    survivors = []
    for patch, tests in asked.items():
        start = time.monotonic()
        tree.run("git", "apply", patch)
        by = tree.noticed_by_native_tests(*_library_tests(patch)) if _is_native(patch) else None
        by = by or tree.noticed_by_tests_in_gdb(tests)
        tree.run("git", "apply", "-R", patch)
        print(f"{patch.stem:<34} {by or 'SURVIVED'} ({time.monotonic() - start:.1f} s)", flush=True)
        if by is None:
            survivors.append(f"{patch.stem} survived")
    return survivors


def main() -> int:
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--sample", type=int, default=1)
    options = parser.parse_args()
    patches = sorted(HERE.glob("*.patch"))
    if options.names:
        patches = [p for p in patches if p.stem in options.names]
    patches = patches[:: options.sample]
    # Side by side: what is compiled anew for each, and what only runs GDB.
    lanes = [[p for p in patches if _is_native(p) == native] for native in (True, False)]
    with tempfile.TemporaryDirectory(prefix="ptmap-mutants-") as where:
        with ThreadPoolExecutor() as pool:
            work = [pool.submit(_survivors, lane, Path(where) / str(at))
                    for at, lane in enumerate(lanes) if lane]  # fmt: skip
            wrong = [line for done in work for line in done.result()]
    print("".join(f"{line}\n" for line in wrong) + f"{len(patches) - len(wrong)} passed, "
          f"{len(wrong)} failed")  # fmt: skip
    return 0 if patches and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
