"""A guest that goes on where it was saved is the machine that was saved."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from pathlib import Path

import pytest

import saved
from gdbsession import REPOSITORY
from qemu import Qemu
from store import cache

READY = "lab32: ready"


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PTMAP_CACHE", str(tmp_path))


class Lab:
    """Starts lab32, and counts how often it booted."""

    def __init__(self, ram_file: bool = False) -> None:
        subprocess.run(["make", "-s", "-C", REPOSITORY / "examples/lab32"], check=True)
        self.ram_file, self.booted, self.was = ram_file, 0, ""

    def start(self, folder: Path | None) -> Qemu:
        elf = REPOSITORY / "build/lab32/lab32-3g.elf"
        qemu = Qemu(["-kernel", str(elf)], paused=False, ram_file=self.ram_file, saved=folder)
        if folder is None:
            self.booted += 1
            qemu.wait_line(READY)
            qemu.stop_cpus()
            self.was = contents(qemu)
        return qemu


def contents(qemu: Qemu) -> str:
    """The registers, the map, all of RAM and the console."""
    ram = qemu.dir / "contents"
    qemu.hmp(f'pmemsave 0 0x4000000 "{ram}"')
    hashed = hashlib.sha256(ram.read_bytes()).hexdigest()
    return qemu.hmp("info registers") + qemu.hmp("info mem") + hashed + qemu.console()


@pytest.mark.parametrize("ram_file", [False, True])
def test_goes_on_there(ram_file: bool) -> None:
    lab = Lab(ram_file)
    for _ in range(2):
        with saved.begun("lab32", ["3g"], lab.start) as qemu:
            assert qemu.qmp("query-status")["status"] == "paused"
            assert contents(qemu) == lab.was
            qemu.cont()
            assert qemu.qmp("query-status")["running"]
            assert READY in qemu.console()
    assert lab.booted == 1


def test_another_machine_boots() -> None:
    lab = Lab()
    for words in (["-m", "64M"], ["-m", "32M"], ["-m 64M"]):
        saved.begun("lab32", words, lab.start).close()
    assert lab.booted == 3


def test_one_that_qemu_does_not_read_boots() -> None:
    lab = Lab()
    saved.begun("lab32", [], lab.start).close()
    (state,) = (cache() / "booted").glob("*/state.zst")
    state.write_bytes(subprocess.run(["zstd", "-qc"], input=b"Q" * 1000, stdout=-1).stdout)
    with saved.begun("lab32", [], lab.start) as qemu:
        assert contents(qemu) == lab.was
    assert lab.booted == 2


def test_one_that_nobody_used_goes() -> None:
    lab = Lab()
    for name in ("old", "used", "new"):
        saved.begun(name, [], lab.start).close()
        (folder,) = (cache() / "booted").glob(f"{name}-*")
        week_ago = time.time() - 7 * 24 * 3600 - 60
        os.utime(folder, (week_ago, week_ago))
        if name == "used":
            saved.begun(name, [], lab.start).close()
    kept = {folder.name.split("-")[0] for folder in (cache() / "booted").iterdir()}
    assert kept == {"used", "new"}
