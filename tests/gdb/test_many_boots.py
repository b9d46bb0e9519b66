"""Labels that are deduced, judged by the kernel's own symbols over many boots: where KASLR puts the
kernel and to whom it gives the memory between its parts differs each time."""

from __future__ import annotations

import json
from collections import Counter

import pytest

import layout
from gdbsession import GdbSession, ptmap_script
from guests import boot

BOOTS = 20
MIB2 = 2 << 20
PARTS = ("kernel text", "kernel rodata", "kernel data")


def is_read_only(gdb: GdbSession, va: int) -> bool:
    one = json.loads(gdb.run(f"pte -json - {va:#x}"))["addresses"][0]
    return one["outcome"] == "mapped" and not one["rights"]["write"]


@pytest.mark.boots
@pytest.mark.linux
@pytest.mark.parametrize("name", ["4-level", "4-level-pti-dbg", "4-level-6.12-dbg"])
def test_parts_of_the_image(name: str) -> None:
    """With modules: they get memory that the kernel freed, and make it read-only."""
    seen: Counter[str] = Counter()
    for _ in range(BOOTS):
        with boot(name, append="modules=1 symbols=1 kcore=1", anew=True) as guest:
            with GdbSession(script=ptmap_script()) as gdb:
                gdb.attach(guest.gdb_target)
                truth = layout.parts(guest.console(), guest.hmp("info registers"))
                found = {
                    region["label"]: (int(region["va"], 16), int(region["size"], 16))
                    for region in json.loads(gdb.run("ptmap -json -"))["regions"]
                }
                for part in PARTS:
                    start, size = found[part]
                    assert start == truth[part].start, (part, found)
                    seen[part] += 1
                start, size = found["kernel rodata"]
                end = -(-truth["kernel rodata"].end // 4096) * 4096
                if start + size != end:
                    # Without symbols nothing tells a freed page from rodata that it follows.
                    assert end < start + size <= -(-end // MIB2) * MIB2
                    assert all(is_read_only(gdb, va) for va in range(end, start + size, 4096))
                    seen["rodata that is too long"] += 1
    print(f"{name}: {dict(seen)}")
    assert seen["rodata that is too long"] <= BOOTS // 10
