"""-json of every command, held against the schema; whatever a test asks for as JSON is too
(tests/harness/gdbsession.py)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Iterator

import jsonschema
import pytest

import json_schema
from gdbsession import GdbSession, ptmap_script
from machine import BareMachine
from tables import KIB4, P, RW, US, Tables

COMMANDS = {
    "map": "ptmap {}", "maps": "ptmap -all-cpus {}", "pte": "pte {} 0 0x400000 0x10000000",
    "vdso": "vdso {}", "regs": "ptmap regs {}", "xp": "xp/4xg {} 0x1000",
    "find": "ptmap find {} 0x200000 0x2000", "diff": "ptmap diff {} current root=$cr3",
    "save": "ptmap save {} FOLDER/s.ptmap", "check": "ptmap check {} count tables == 4",
}  # fmt: skip
NEED_A_KERNEL = {"kaslr", "ps"}  # tests/gdb/test_kaslr.py, test_ps.py


@pytest.fixture(scope="module")
def gdb() -> Iterator[GdbSession]:
    with BareMachine(script=ptmap_script()) as machine:
        tables = Tables("4-level")
        tables.map(0, 0x200000, KIB4, P | RW | US)
        tables.write_to(machine)
        machine.set_mode("4-level", tables.root)
        machine.flush()
        yield machine.session


def test_every_kind_is_asked_for() -> None:
    kinds = {entry["$ref"].rpartition("/")[2] for entry in json_schema.schema()["oneOf"]}
    assert kinds == set(COMMANDS) | NEED_A_KERNEL


@pytest.mark.parametrize("kind", COMMANDS)
def test_a_command(gdb: GdbSession, kind: str, tmp_path: Path) -> None:
    command = COMMANDS[kind].replace("FOLDER", str(tmp_path))
    document = json_schema.check(gdb.run(command.format("-json -")))
    assert document["kind"] == kind
    # To a file, and by -o, the same.
    file, other = tmp_path / "a.json", tmp_path / "b.json"
    assert gdb.run(command.format(f"-json {file}")) == ""
    assert gdb.run(command.format(f"-json - -o {other}")) == ""
    assert json.loads(file.read_text()) == json.loads(other.read_text()) == document


@pytest.mark.parametrize(
    "change",
    [{"more": 1}, {"root": 4096}, {"root": "0x01000"}, {"mode": "6-level"}, {"complete": "yes"}],
)
def test_the_schema_is_no_rubber_stamp(gdb: GdbSession, change: dict[str, Any]) -> None:
    document = json.loads(gdb.run("ptmap -json -")) | change
    with pytest.raises(AssertionError):
        json_schema.check(json.dumps(document))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, json_schema.schema())


def test_output_files(gdb: GdbSession, tmp_path: Path) -> None:
    """-o of text: what is shown, to the letter; - is where it is shown anyway."""
    for command in (
        "ptmap {}",
        "pte {} 0",
        "xp/8gx {} 0x1000",
        "ptmap find {} 0x200000",
        "ptmap check {} count tables > 1",
        "ptmap diff {} current current",
    ):
        shown = gdb.run(command.format(""))
        assert shown and gdb.run(command.format(f"-o {tmp_path}/file")) == ""
        assert (tmp_path / "file").read_text("ascii") == shown
        assert gdb.run(command.format("-o -")) == shown
    assert not Path("-").exists()
