"""What helps when a kernel's address is not mapped: the other root, or the symbols' real place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Iterator

import pytest

from gdbsession import GdbFailure, GdbSession, ptmap_script, refused
from guests import GUESTS, boot
from kernels import fetch
from qemu import Qemu

pytestmark = pytest.mark.linux("kgdb-64")

NAME = "kgdb-64"  # KPTI and KASLR
READ = "vdso_touch=all"


def vmlinux() -> Path:
    return fetch(GUESTS[NAME].kernel).with_name("vmlinux")


@pytest.fixture(scope="module")
def guest() -> Iterator[Qemu]:
    with boot(NAME, append=READ) as qemu:  # in user mode, with the user's root
        yield qemu


@pytest.fixture(scope="module")
def gdb(guest: Qemu) -> Iterator[GdbSession]:
    with GdbSession(script=ptmap_script()) as session:
        session.attach(guest.gdb_target)
        session.run(f"ptmap kaslr {vmlinux()}")
        yield session


def test_the_other_root_is_named(gdb: GdbSession) -> None:
    text = gdb.run("pte &jiffies_64")
    assert "this is KPTI's user root; the kernel root maps the address (-half kernel)" in text
    assert max(map(len, text.splitlines())) <= 80
    (one,) = json.loads(gdb.run("pte -json - &jiffies_64"))["addresses"]
    assert one["outcome"] == "not-present" and one["hint"].startswith("this is KPTI's user root")
    assert "hint" not in json.loads(gdb.run("pte -json - 0x1000"))["addresses"][0]
    assert "KPTI" not in gdb.run("pte -half kernel &jiffies_64").split("\n", 1)[1]
    # The guard hole of Documentation/arch/x86/x86_64/mm.rst: neither root maps it.
    assert "hint" not in json.loads(gdb.run("pte -json - 0xffff800000001000"))["addresses"][0]
    with pytest.raises(GdbFailure) as failure:
        gdb.run("ptmap check &jiffies_64 mapped")
    assert "failed" in str(failure.value)


def test_a_kernel_variable_is_read_through_the_other_root(gdb: GdbSession, guest: Qemu) -> None:
    (one,) = json.loads(gdb.run("pte -half kernel -json - &jiffies_64"))["addresses"]
    assert gdb.eval('$ptmap_pa(&jiffies_64, "kernel")') == int(one["pa"], 16)
    refused(gdb, 'print $ptmap_pa(&jiffies_64, "user")', "not mapped")
    refused(gdb, 'print $ptmap_pa(&jiffies_64, "other")', 'HALF is "kernel" or "user"')
    refused(gdb, "print $ptmap_pa(&jiffies_64, 1)", 'HALF is "kernel" or "user"')
    truth = int(guest.hmp(f"xp /1gx {one['pa']}").split()[1], 16)
    for command in ("xp/gx -va -half kernel &jiffies_64", "xp/gx -va &jiffies_64 -half kernel"):
        address, value = gdb.run(command).split()
        assert int(value, 16) == truth and int(address[:-1], 16) == gdb.eval(
            "(long)&jiffies_64"
        ) % (1 << 64)
    document = json.loads(gdb.run("xp/gx -va -half kernel -json - &jiffies_64"))
    assert document["lines"][0]["pa"] == one["pa"]
    assert document["lines"][0]["va"] == hex(gdb.eval("(unsigned long)&jiffies_64"))
    assert "Linux version" in gdb.run("xp/s -va -half kernel linux_banner")
    refused(gdb, "xp/gx -va &jiffies_64", "not mapped")
    refused(gdb, "xp/gx -half kernel 0x1000", "-half needs -va")
    refused(gdb, "xp", "which physical address?")


def test_across_pages(gdb: GdbSession, guest: Qemu) -> None:
    """Pages that are neighbours by address, and how far they go."""
    maps = [line for line in guest.console().splitlines() if line.startswith("init: map rw ")]
    start = int(maps[0].split()[3], 16)
    size = int(maps[0].split()[4], 16)
    shown = gdb.run(f"xp/4gx -va {start + 0x1000 - 16:#x}").split()
    # init writes its own address into each page's first word.
    assert [word for word in shown if not word.endswith(":")][2] == f"{start + 0x1000:#018x}"
    refused(gdb, f"xp/4gx -va {start + size - 16:#x}", f"{start + size:#x} is not mapped"[-12:])


def test_symbols_that_have_not_moved(tmp_path: Path) -> None:
    with boot(NAME) as guest, GdbSession(script=ptmap_script()) as gdb:
        gdb.attach(guest.gdb_target)
        gdb.run(f"symbol-file {vmlinux()}")
        text = gdb.run("pte -half kernel &init_task").replace("\n  ", " ")
        where = json.loads(gdb.run("ptmap kaslr -json -"))
        there = gdb.eval("(unsigned long)&init_task") + int(where["offset"], 16)
        assert f"is at {there:#x}" in text and "`ptmap kaslr VMLINUX`" in text
        with pytest.raises(GdbFailure, match="failed"):
            gdb.run(f"ptmap check -half kernel -json {tmp_path}/json range _text _etext mapped")
        (rule,) = json.loads((tmp_path / "json").read_text())["rules"]
        assert rule["notes"][0].startswith("KASLR has moved the kernel")


@pytest.mark.parametrize(
    "command, besides",
    [
        ("ptmap pid", "; a window that begins at a symbol of that name is (pid) END"),
        ("pte pid 1", "; a symbol of that name is (pid)"),
        ("ptmap find pid 1", "; a symbol of that name is (pid)"),
        ("ptmap diff mode", "; a file of that name is ./mode"),
        ("ptmap regs cpu", ""),
        ("vdso load", ""),
    ],
)
def test_an_option_without_its_dash(gdb: GdbSession, command: str, besides: str) -> None:
    """It says only what works: `ptmap (pid)` would be half a window."""
    name = command.replace(" 1", "").split()[-1]
    said = refused(gdb, command, "the option is")
    assert said.endswith(f": {name}: the option is -{name}{besides}")
