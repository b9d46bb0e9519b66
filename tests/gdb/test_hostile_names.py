r"""Names that somebody else chose: nothing of them reaches a terminal or a file but ASCII as \xNN.

The names are an ELF file's sections; a process's and its mappings' are in test_tasks.py.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Iterator

import pytest

from gdbsession import GdbFailure, GdbSession, ptmap_script
from qemu import Qemu

ROOT = Path(__file__).resolve().parents[2]
NAME = b'.a\x1b[2J"\\\xff\t\r{<'  # clears the screen, ends a JSON string, begins another column
SHOWN = r'.a\x1b[2J"\x5c\xff\x09\x0d{<'


@pytest.fixture(scope="module")
def gdb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GdbSession]:
    out = tmp_path_factory.mktemp("lab64")
    subprocess.run(["make", "-sC", ROOT / "examples/lab64", f"OUT={out}"], check=True)
    elf = out / "hostile.elf"
    subprocess.run(
        [b"objcopy", b"--rename-section", b".data=" + NAME, out / "lab64.elf", elf], check=True
    )
    with (
        Qemu(["-kernel", f"{out}/lab64.elf32"], paused=False) as lab,
        GdbSession(script=ptmap_script()) as gdb,
    ):
        lab.wait_line("lab64: ready")
        lab.qmp("stop")
        gdb.run(f"file {elf}")
        gdb.attach(lab.gdb_target)
        yield gdb


def plain(text: str) -> str:
    assert set(text) <= {chr(c) for c in range(0x20, 0x7F)} | {"\n"}
    return text


def test_text(gdb: GdbSession) -> None:
    assert SHOWN in plain(gdb.run("ptmap -ranges"))
    plain(gdb.run("ptmap"))
    data = gdb.python(
        "import ptmap\n" "result = ptmap.space().walk(0xffffffff80200000).pa"
    )  # .data
    assert SHOWN in plain(gdb.run(f"ptmap find {data:#x}"))


def test_checks(gdb: GdbSession, tmp_path: Path) -> None:
    (tmp_path / "rules").write_bytes(
        b"section "
        + NAME.replace(b"\t", b"").replace(b"\r", b"")
        + b" write\nsection .text user\nsections\n"
    )
    for shown in ("-o", "-tap", "-json"):
        with pytest.raises(GdbFailure) as failure:
            gdb.run(f"ptmap check -file {tmp_path}/rules {shown} {tmp_path}/shown")
        plain(str(failure.value))
        plain((tmp_path / "shown").read_text("ascii"))


def test_differences(gdb: GdbSession, tmp_path: Path) -> None:
    gdb.run(f"ptmap save {tmp_path}/a.ptmap")
    tables = "t.pa for t in ptmap.space().tables() if t.name == 'PT'"
    other = gdb.python(f"import ptmap\nresult = min([{tables}])")
    for command in (f"ptmap diff {tmp_path}/a.ptmap root={other:#x}", "ptmap find -aliases"):
        plain(gdb.run(command))
        plain(gdb.run(f"{command} -json -"))


def test_json(gdb: GdbSession, tmp_path: Path) -> None:
    file = tmp_path / "map.json"
    gdb.run(f"ptmap -json {file}")
    for text in (gdb.run("ptmap -json -"), file.read_text("ascii")):
        labels = [r["label"] for r in json.loads(plain(text))["ranges"] if "label" in r]
        assert any(SHOWN in label for label in labels)


ESC = "\x1b[2J"  # clears the screen
TYPED = [f"pte {ESC}", f"pte -root {ESC} 0", f"pte -{ESC}", f"pte -ro{ESC} 0", f"ptmap -mode {ESC}",
         f"ptmap -json /no/{ESC}", "ptmap -json /no/\xe4\x85", f"ptmap -filter {ESC}",
         f"xp/{ESC} 0", f"ptmap find {ESC}", f"ptmap diff {ESC}", f"ptmap save /no/{ESC}",
         f"ptmap check {ESC}",
         f"ptmap check -file {ESC}", f"ptmap kaslr {ESC} {ESC}", f"vdso {ESC}", f"ptmap regs {ESC}",
         f"ptmap {ESC} {ESC}", f"ptmap -at {ESC}", f"set ptmap {ESC} 1", f"set ptmap cr3 {ESC}",
         f"set ptmap memory {ESC}", f"set ptmap max-tables {ESC}", f"show ptmap {ESC}",
         f"ptmap -comm {ESC}", f"ptmap diff half={ESC}", f"pte -expect {ESC} 0"]  # fmt: skip


@pytest.mark.parametrize("command", TYPED)
def test_what_the_user_typed(gdb: GdbSession, command: str) -> None:
    """Nor does it come back raw in an error, GDB's own words among them."""
    with pytest.raises(GdbFailure) as failure:
        gdb.run(command)
    assert "\n" not in plain(str(failure.value))


def test_a_file_of_memory_with_such_a_name(gdb: GdbSession) -> None:
    gdb.run(f"set ptmap memory file /no/{ESC}")
    try:
        plain(gdb.run("show ptmap memory"))
        with pytest.raises(GdbFailure) as failure:
            gdb.run("ptmap")
        assert r"/no/\x1b[2J" in plain(str(failure.value))
    finally:
        gdb.run("set ptmap memory auto")


@pytest.mark.parametrize("name", [r"\udcff", r"\ud800", r"\u20ac", r"\x1b"])
def test_names_that_are_no_text(gdb: GdbSession, name: str) -> None:
    """Bytes that are not UTF-8, as Python carries them, and halves of pairs: no UnicodeError."""
    said = gdb.python(
        f"""
from ptmap.debugger import failures, files
from ptmap.base.errors import Refusal
try:
    with failures.told_by("pte"):
        raise Refusal("no such file: {name}")
except gdb.GdbError as error:
    result = str(error)
"""
    )
    assert plain(said).startswith(r"pte: no such file: \x")


def test_a_setting_that_is_no_text(tmp_path: Path) -> None:
    with GdbSession(script=ptmap_script()) as gdb:
        for setting in (b"memory file /no/", b"cr3 "):
            (tmp_path / "script").write_bytes(b"set ptmap " + setting + b"\xff\n")
            with pytest.raises(GdbFailure) as failure:
                gdb.run(f"source {tmp_path}/script")
            assert "not text in GDB's host-charset" in str(failure.value)
            assert "Python" not in str(failure.value) + gdb.log
        assert "ptmap memory is auto" in gdb.run("show ptmap memory")
        assert "is auto" in gdb.run("show ptmap cr3")
