"""ptmap kaslr over ten boots, against the running kernel's own /proc/kallsyms."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import proc_files
from gdbsession import GdbFailure, GdbSession, ptmap_script
from guests import GUESTS, Where, boot
from kernels import fetch
from qemu import Qemu

pytestmark = pytest.mark.linux

LINKED = 0xFFFFFFFF81000000
BOOTS = 10


def vmlinux(name: str) -> Path:
    return fetch(GUESTS[name].kernel).with_name("vmlinux")


def kaslr(gdb: GdbSession, words: str = "") -> dict[str, Any]:
    document: dict[str, Any] = json.loads(gdb.run(f"ptmap kaslr -json - {words}"))
    assert document["kind"] == "kaslr"
    return document


def variable(guest: Qemu, gdb: GdbSession, va: int) -> int:
    """A variable of the kernel, read by QEMU."""
    walk = json.loads(gdb.run(f"pte -half kernel -json - {va:#x}"))["addresses"][0]
    return int(guest.hmp(f"xp /1gx {walk['pa']}").split()[1], 16)


@pytest.mark.linux("kgdb-64", "kgdb-64-5level")
def test_ten_boots() -> None:
    seen = set()
    for turn in range(BOOTS):
        where: Where = "kernel" if turn % 2 else "ready"
        name = "kgdb-64-5level" if turn % 5 == 4 else "kgdb-64"
        with boot(name, paused_at=where, append="symbols=1", anew=True) as guest:
            symbols = proc_files.parse_symbols(guest.console())
            with GdbSession(script=ptmap_script()) as gdb:
                gdb.attach(guest.gdb_target)
                found = kaslr(gdb)
                base = variable(guest, gdb, symbols["page_offset_base"])
                assert int(found["text"], 16) == symbols["_text"]
                assert int(found["offset"], 16) == symbols["_text"] - LINKED
                assert (found["linked_source"], found["symbols"]) == ("assumed", "none")
                assert int(found["direct_map"], 16) == base
                assert found["direct_map_source"] == "deduced"
                seen.add((symbols["_text"], base))

                loaded = kaslr(gdb, str(vmlinux(name)))
                assert loaded["symbols"] == "placed" and loaded["linked_source"] == "read"
                assert loaded["direct_map_source"] == "read"
                same = ("text", "offset", "linked", "direct_map", "text_pa")
                assert [loaded[key] for key in same] == [found[key] for key in same]
                for symbol, address in symbols.items():
                    assert gdb.eval(f"(unsigned long)&{symbol}") == address, symbol
    assert len(seen) == BOOTS  # it is really random


@pytest.mark.parametrize("name, linked", [("kgdb-64-nokaslr", LINKED), ("kgdb-pae", 0x81000000)])
def test_without_kaslr(name: str, linked: int) -> None:
    with boot(name) as guest, GdbSession(script=ptmap_script()) as gdb:
        gdb.attach(guest.gdb_target)
        found = kaslr(gdb)
        assert (int(found["text"], 16), int(found["offset"], 16)) == (linked, 0)
        if name == "kgdb-64-nokaslr":
            assert found["direct_map"] == "0xffff888000000000"
            assert found["direct_map_source"] == "documented"
            gdb.run(f"symbol-file {vmlinux(name)}")
            assert kaslr(gdb)["symbols"] == "placed"
            gdb.run("symbol-file")
        else:
            assert found["direct_map"] == "0x80000000"
        text = gdb.run(f"ptmap kaslr {vmlinux(name)}")
        assert "loaded from vmlinux" in text and max(map(len, text.splitlines())) <= 80


@pytest.mark.linux("kgdb-64", "kgdb-pae")
def test_symbols_at_their_link_addresses_are_found_out(tmp_path: Path) -> None:
    """And what cannot be this kernel's is refused, the symbols as they were."""
    with boot("kgdb-64", append="symbols=1") as guest, GdbSession(script=ptmap_script()) as gdb:
        gdb.attach(guest.gdb_target)
        gdb.run(f"symbol-file {vmlinux('kgdb-64')}")
        assert kaslr(gdb)["symbols"] == "misplaced"
        # ptmap knows where things are all the same.
        assert "[stack]" in gdb.run("ptmap -pid 1")
        (tmp_path / "text").write_text("no ELF")
        for path, words in (
            (vmlinux("kgdb-pae"), "another kernel's"),
            (tmp_path / "text", "not a Linux kernel"),
            (tmp_path / "nosuch", "no such file"),
            ("/bin/true", "not a Linux kernel"),
        ):
            with pytest.raises(GdbFailure, match=words) as failure:
                gdb.run(f"ptmap kaslr {path}")
            assert failure.value.kind == "error" and "\n" not in str(failure.value)
            assert gdb.eval("(unsigned long)&_text") == LINKED
        with pytest.raises(GdbFailure, match="one file"):
            gdb.run("ptmap kaslr a b")
        # Per-CPU variables are offsets, which KASLR does not move.
        before = gdb.eval("(unsigned long)&cpu_number")
        gdb.run(f"ptmap kaslr {vmlinux('kgdb-64')}")
        assert gdb.eval("(unsigned long)&cpu_number") == before < 1 << 32
        symbols = proc_files.parse_symbols(guest.console())
        assert gdb.eval("(unsigned long)&init_task") == symbols["init_task"]


@pytest.mark.linux("686-pae", "4-level")
def test_debian() -> None:
    """Without symbols, and KASLR on: _text is in /proc/kallsyms."""
    for name in ("686-pae", "4-level"):
        with boot(name, append="symbols=1") as guest, GdbSession(script=ptmap_script()) as gdb:
            gdb.attach(guest.gdb_target)
            found = kaslr(gdb)
            symbols = proc_files.parse_symbols(guest.console())
            assert int(found["text"], 16) == symbols["_text"]
            assert re.match(r"Linux version 6\.\d+", found["version"])
