"""A script of examples/ as a person runs it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(
    script: str, scratch: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """examples/SCRIPT, whose temporary files go to a folder of its own."""
    return subprocess.run(
        [ROOT / "examples" / script, *arguments],
        env=os.environ | {"TMPDIR": str(scratch)} | environment,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900,
    )  # fmt: skip


def check_nothing_left(scratch: Path) -> None:
    """Neither files nor processes that were given some."""
    assert not list(scratch.iterdir())
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert str(scratch) not in process.read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            pass
