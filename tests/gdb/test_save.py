"""ptmap save: what a file has, that it is whole or not there, that damage is refused."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Iterator

import pytest

from gdbsession import GdbSession, ptmap_script, refused
from machine import BareMachine
from qemu import Qemu
from tables import KIB4, MODES, NX, PCD, P, RW, US, Tables, random_space

ROOT = Path(__file__).resolve().parents[2]
STORED = ROOT / "tests/data/lab32-3g.ptmap"


@pytest.fixture(scope="module")
def machine() -> Iterator[BareMachine]:
    with BareMachine(script=ptmap_script()) as machine:
        yield machine


@pytest.fixture()
def gdb(machine: BareMachine) -> GdbSession:
    return machine.session


@pytest.fixture()
def space(machine: BareMachine) -> Tables:
    space = Tables("pae")
    space.map(0x08048000, 0x1000000, KIB4, P | US)
    space.map(0x08049000, 0x1003000, KIB4, P | US | RW | NX | PCD)
    space.set_entry(0xC0000000, 2, 0x8000000 | P | RW)  # not RAM
    space.write_to(machine)
    machine.set_mode("pae", space.root)
    return space


def reread(gdb: GdbSession, path: Path) -> dict[str, Any]:
    """The map of a file as JSON, and whether saving it again gives the same bytes."""
    gdb.python(
        f"""
import hashlib, json
from ptmap.base import native
from ptmap.context import snapshots
content = open({str(path)!r}, "rb").read()
stored = snapshots.decode(content)
again = stored.bytes()
result = None
same = again + hashlib.sha256(again).digest() == content
open({str(path) + ".json"!r}, "w").write(
    "".join(stored.map.json(stored.labels, ', "same": %s' % json.dumps(same))))
"""
    )
    document: dict[str, Any] = json.loads(Path(f"{path}.json").read_text())
    return document


@pytest.mark.parametrize("mode", MODES)
def test_what_it_has(machine: BareMachine, gdb: GdbSession, mode: str, tmp_path: Path) -> None:
    """Everything that the map has as JSON: frames, rights, what is missing, counts."""
    ranges = 0
    for seed in range(940, 950):
        one = random_space(seed, mode)
        one.tables.write_to(machine)
        machine.set_mode(mode, one.root, pse=one.pse, nxe=one.nxe, pge=one.pge)
        gdb.run(f"set ptmap maxphyaddr {one.maxphyaddr}")
        said = json.loads(gdb.run(f"ptmap save -json - {tmp_path}/{seed}"))
        document = json.loads(gdb.run("ptmap -phys -json -"))
        stored = reread(gdb, tmp_path / str(seed))
        assert stored.pop("same") is True
        for key in (
            "mode",
            "root",
            "complete",
            "truncated",
            "unreadable",
            "malformed",
            "tables",
            "pages",
        ):
            assert stored[key] == document[key]
        assert said["kind"] == "save" and said["ranges"] == len(stored["ranges"])
        assert said["bytes"] == (tmp_path / str(seed)).stat().st_size
        assert [said[key] for key in ("unreadable", "malformed")] == [
            len(stored[key]) for key in ("unreadable", "malformed")
        ]
        merged: list[dict[str, Any]] = []
        for r in stored["ranges"]:  # split by page size too; -phys is not
            last = merged[-1] if merged else None
            if last and joins(last, r):
                last["size"] = hex(int(last["size"], 16) + int(r["size"], 16))
                last["page_sizes"] = sorted(
                    {*last["page_sizes"], *r["page_sizes"]}, key=["4K", "2M", "4M", "1G"].index
                )
            else:
                merged.append(r)
        assert merged == document["ranges"]
        ranges += len(stored["ranges"])
    gdb.run("set ptmap maxphyaddr auto")
    assert ranges > 50


def joins(last: dict[str, Any], r: dict[str, Any]) -> bool:
    place = ("va", "pa")
    same = all(last[key] == r[key] for key in r if key not in (*place, "size", "page_sizes"))
    ends = [int(last[key], 16) + int(last["size"], 16) for key in place]
    return same and ends == [int(r[key], 16) for key in place]


def test_answers(gdb: GdbSession, space: Tables, tmp_path: Path) -> None:
    gdb.run(f"cd {tmp_path}")
    text = gdb.run("ptmap save 'my map'")
    size = (tmp_path / "my map").stat().st_size
    assert text.splitlines()[0] == f"my map: 2 ranges, {size} bytes; INCOMPLETE"
    assert "PT at 0x8000000: not RAM" in text
    assert gdb.run("ptmap save -o shown 'my map'") == ""
    assert (tmp_path / "shown").read_text() == text
    refused(gdb, "ptmap save", "FILE")
    refused(gdb, "ptmap save a b", "FILE")
    gdb.run("set ptmap cr0 0x11")
    refused(gdb, "ptmap save c", "paging is off")
    gdb.run("set ptmap cr0 auto")
    assert sorted(os.listdir(tmp_path)) == ["my map", "shown"]


def test_deterministic(
    machine: BareMachine, gdb: GdbSession, space: Tables, tmp_path: Path
) -> None:
    """By every road to memory, in another session, and of other tables that map the same."""
    for memory in ("process", "packets"):
        gdb.run(f"set ptmap memory {memory}")
        gdb.run(f"ptmap save {tmp_path}/{memory}")
    gdb.run("set ptmap memory auto")
    assert (tmp_path / "process").read_bytes() == (tmp_path / "packets").read_bytes()
    assert str(tmp_path).encode() not in (tmp_path / "process").read_bytes()


def test_whole_or_not_at_all(gdb: GdbSession, space: Tables, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (place / "map").write_text("before")
    (place / "map").chmod(0o640)
    limits = resource.prlimit(gdb.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(gdb.pid, resource.RLIMIT_FSIZE, (50, limits[1]))
    try:
        refused(gdb, f"ptmap save {place}/map", "File too large")
        refused(gdb, f"ptmap save {place}/new", "File too large")
    finally:
        resource.prlimit(gdb.pid, resource.RLIMIT_FSIZE, limits)
    assert os.listdir(place) == ["map"] and (place / "map").read_text() == "before"
    for path, why in (
        (f"{tmp_path}/no/map", "No such file"),
        ("/dev/null", "no regular file"),
        (str(place), "no regular file"),
        ("/proc/1/map", ""),
    ):
        refused(gdb, f"ptmap save {path}", path, why)
    (place / "link").symlink_to("map")
    gdb.run(f"ptmap save {place}/link")
    assert (place / "link").is_symlink()
    assert (place / "map").stat().st_mode & 0o777 == 0o640
    assert gdb.run(f"ptmap diff {place}/map").count("INCOMPLETE") == 2


def test_damage_is_refused(gdb: GdbSession, space: Tables, tmp_path: Path) -> None:
    """Every byte of a file, every length: one sentence, and the file is named."""
    gdb.run(f"ptmap save {tmp_path}/map")
    content = (tmp_path / "map").read_bytes()
    counts = gdb.python(
        f"""
from ptmap.context import snapshots
from ptmap.base.errors import Refusal
content = open({str(tmp_path / "map")!r}, "rb").read()
result = [0, 0, []]
def refuses(data):
    try:
        snapshots.decode(data)
        result[1] += 1
    except Refusal as refusal:
        result[0] += 1
        if str(refusal) not in result[2]:
            result[2].append(str(refusal))
for at in range(len(content)):
    refuses(content[:at])
    for flip in (1, 0x80, 0xff):
        refuses(content[:at] + bytes([content[at] ^ flip]) + content[at + 1:])
refuses(content + bytes(1))
"""
    )
    assert counts[:2] == [4 * len(content) + 1, 0]
    assert set(counts[2]) >= {
        "not a ptmap snapshot",
        "a damaged ptmap snapshot: its checksum does not match its content",
    }
    bad = tmp_path / "bad"
    for data, why in (
        (content[:-1], "checksum"),
        (b"", "not a ptmap snapshot"),
        (b'{"schema": "ptmap/1"}', "not a ptmap snapshot"),
        (content[:8] + b"\2" + content[9:], "version 2"),
    ):
        bad.write_bytes(data)
        refused(gdb, f"ptmap diff {bad}", str(bad), why)
    os.mkfifo(tmp_path / "fifo")
    refused(gdb, f"ptmap diff {tmp_path}/fifo", "not a regular file")


def test_a_file_that_is_far_too_large(gdb: GdbSession, tmp_path: Path) -> None:
    """It is not read: only its first bytes are."""
    path = tmp_path / "large"
    path.write_bytes(STORED.read_bytes())
    os.truncate(path, 40 << 30)  # a hole
    refused(gdb, f"ptmap diff {path} {STORED}", "more than 512 MiB")
    gdb.python("import ptmap")
    said = gdb.python(
        f"""
import ptmap
try:
    ptmap.load({str(path)!r})
except ptmap.Error as error:
    result = str(error)
"""
    )
    assert "more than 512 MiB" in said


@pytest.fixture()
def everybodys() -> Iterator[Path]:
    """A folder that any user may write to; those of pytest are closed."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        yield Path(folder)


def test_a_file_that_may_not_be_written(everybodys: Path) -> None:
    """Neither is it replaced."""
    kept = everybodys / "kept"
    kept.write_bytes(b"mine")
    kept.chmod(0o444)
    loop = everybodys / "loop"
    loop.symlink_to(loop)
    script = """
import os, gdb
if os.getuid() == 0:
    os.setuid(65534)
from ptmap.base.errors import Refusal
from ptmap.debugger import files
said = []
for path in PATHS:
    try:
        files.replace(path, b"")
    except Refusal as refusal:
        said.append(str(refusal))
print(said)
"""
    (everybodys / "script.py").write_text(f"PATHS = {[str(kept), str(loop)]}\n{script}")
    said = subprocess.run(
        ["gdb", "-nx", "-batch", "-x", ptmap_script(), "-x", str(everybodys / "script.py")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "kept: Permission denied" in said and "loop: Too many levels of symbolic links" in said
    assert kept.read_bytes() == b"mine" and loop.is_symlink()


def test_a_file_of_another_machine(gdb: GdbSession, tmp_path: Path) -> None:
    """Written once, on another machine: read, and the same when written again."""
    document = reread(gdb, _copy(tmp_path))
    assert document["same"] is True and document["mode"] == "32-bit" and document["complete"]
    assert document["pages"] == {"4K": 2504, "2M": 0, "4M": 222, "1G": 0}
    assert "no differences" in gdb.run(f"ptmap diff {STORED} {tmp_path}/{STORED.name}")


def _copy(tmp_path: Path) -> Path:
    to = tmp_path / STORED.name
    to.write_bytes(STORED.read_bytes())
    return to


def test_lab32_is_that_file(tmp_path: Path) -> None:
    """The lab as it is now maps what the file has, wherever the compiler put its sections."""
    subprocess.run(
        ["make", "-sC", ROOT / "examples/lab32", "SPLIT=3G", f"OUT={tmp_path}"], check=True
    )
    elf = tmp_path / "lab32-3g.elf"
    with Qemu(["-kernel", str(elf)], binary="qemu-system-i386", paused=False) as lab, GdbSession(
        script=ptmap_script()
    ) as gdb:
        lab.wait_line("lab32: ready")
        lab.qmp("stop")
        gdb.run(f"file {elf}")
        gdb.attach(lab.gdb_target)
        document = json.loads(gdb.run(f"ptmap diff -json - {STORED}"))
        assert document["before"]["ranges"] > 10
        assert document["differences"] == [] and document["complete"]


def test_two_files_need_no_target(tmp_path: Path) -> None:
    with GdbSession(script=ptmap_script()) as gdb:
        text = gdb.run(f"ptmap diff {STORED} {_copy(tmp_path)}")
        assert "32-bit paging, root" in text and text.endswith("no differences\n")
        assert json.loads(gdb.run(f"ptmap diff -json - {STORED} {STORED}"))["shared"] is None
        refused(gdb, f"ptmap diff {STORED}", "no target")
        refused(gdb, "ptmap save x", "no target")


@pytest.mark.parametrize("command", ["save", "diff"])
def test_help(gdb: GdbSession, command: str) -> None:
    text = gdb.run(f"help ptmap {command}")
    assert "Examples:" in text
    assert max(map(len, (text + gdb.run("help ptmap")).splitlines())) <= 80
    for option in gdb.run(f"complete ptmap {command} -").split("\n"):
        if option and not option.endswith(" -o"):
            assert re.search(rf"^ +{option.split()[-1]}\b", text, re.M), option
