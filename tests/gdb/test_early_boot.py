"""A kernel that is still starting: recognised by its symbols before it has a cpu_entry_area, and
one range until mark_rodata_ro() tells its parts apart."""

from __future__ import annotations

import json
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Iterator

import pytest

from gdbsession import GdbFailure, GdbSession, ptmap_script
from guests import GUESTS
from initramfs import initramfs
from kernels import fetch
from qemu import Qemu

# Symbols that are this far away are like those of a kernel that KASLR has moved.
MOVED = 0x1000000
MIB2 = 2 << 20
BOOTS = ["4-level-6.12-dbg", "4-level-sid-dbg"]


def starting(name: str) -> Qemu:
    """A machine that has not begun yet."""
    guest = GUESTS[name]
    archive = initramfs(guest.width)
    return Qemu(
        [
            *("-cpu", guest.cpu),
            *("-kernel", str(fetch(guest.kernel))),
            *("-initrd", str(archive)),
            *("-append", "nokaslr console=ttyS0 cryptomgr.notests"),
        ],
        binary=guest.qemu,
        machine=guest.machine,
        memory=guest.memory,
    )


def vmlinux(name: str) -> Path:
    return fetch(GUESTS[name].kernel).with_name("vmlinux")


@contextmanager
def at(qemu: Qemu, symbols: Path, function: str) -> Iterator[GdbSession]:
    """GDB with the right symbols, at a function's beginning."""
    with GdbSession(script=ptmap_script()) as gdb:
        gdb.run(f"symbol-file {symbols}")
        gdb.attach(qemu.gdb_target)
        where = gdb.eval(f"(unsigned long)&{function}")
        gdb.run(f"hbreak *{where:#x}")
        gdb.run("continue")
        gdb.run("delete")
        assert gdb.eval("$pc") == where
        yield gdb


def labels(gdb: GdbSession, *words: str) -> dict[str, tuple[int, int, str]]:
    regions = json.loads(gdb.run(" ".join(["ptmap -json -", *words])))["regions"]
    return {
        one["label"]: (int(one["va"], 16), int(one["size"], 16), one["label_source"])
        for one in regions
    }


@pytest.mark.linux
@pytest.mark.parametrize(
    "name, function", [(BOOTS[0], "trap_init"), *product(BOOTS, ("start_kernel", "mark_rodata_ro"))]
)
def test_until_rodata_is_read_only(name: str, function: str) -> None:
    file = vmlinux(name)
    with starting(name) as qemu, at(qemu, file, function) as gdb:
        check(gdb, file, is_recognised=function == "mark_rodata_ro")


def check(gdb: GdbSession, file: Path, *, is_recognised: bool) -> None:
    """is_recognised: without symbols, too."""
    text, etext, end = (gdb.eval(f"(unsigned long)&{name}") for name in ("_text", "_etext", "_end"))
    # The symbols are right.
    found = labels(gdb)
    assert found["kernel text"] == (text, -(-etext // 4096) * 4096 - text, "read")
    one = json.loads(gdb.run("ptmap kaslr -json -"))
    assert (one["text"], one["offset"], one["symbols"]) == (hex(text), "0x0", "placed")
    # They are at another place.
    gdb.run(f"symbol-file -o -{MOVED:#x} {file}")
    one = json.loads(gdb.run("ptmap kaslr -json -"))
    assert (one["text"], one["symbols"]) == (hex(text), "misplaced")
    assert labels(gdb)["kernel text"] == found["kernel text"]
    # There are none.
    gdb.run("symbol-file")
    if is_recognised:
        without = labels(gdb)
        assert "kernel text" not in without
        start, size, source = without["kernel image"]
        assert start == text and source == "deduced"
        assert end <= start + size <= -(-end // MIB2) * MIB2
    else:
        with pytest.raises(GdbFailure, match="no Linux kernel that ptmap recognises"):
            gdb.run("ptmap kaslr")
    # The command finds the kernel by its file.
    gdb.run(f"ptmap kaslr {file}")
    assert gdb.eval("(unsigned long)&_text") == text


@pytest.mark.linux(*BOOTS)
def test_another_kernel_s_file_is_refused() -> None:
    with starting(BOOTS[0]) as qemu, at(qemu, vmlinux(BOOTS[0]), "start_kernel") as gdb:
        gdb.run("symbol-file")
        with pytest.raises(GdbFailure, match="is not this kernel's: its linux_banner is not"):
            gdb.run(f"ptmap kaslr {vmlinux(BOOTS[1])}")
        with pytest.raises(GdbFailure):
            gdb.eval("(unsigned long)&_text")
