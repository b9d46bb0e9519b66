"""A script of examples/ as a person runs it."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Iterator

ROOT = Path(__file__).resolve().parents[2]


def run(
    script: str, scratch: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """examples/SCRIPT, whose temporary files go to a folder of its own."""
    return subprocess.run(
        [ROOT / "examples" / script, *arguments],
        env=os.environ | {"TMPDIR": str(scratch)} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
    )


def check_nothing_left(scratch: Path) -> None:
    """Neither files nor processes that were given some: a guard has its last work still to do when
    its owner has ended (guard.py)."""
    deadline = time.monotonic() + 60
    while left := [*scratch.iterdir(), *_given(scratch)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def _given(scratch: Path) -> Iterator[str]:
    """The command lines with a name in this folder."""
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if str(scratch) in words:
            yield words
