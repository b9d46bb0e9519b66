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
    subprocess.run([b"objcopy", b"--rename-section", b".data=" + NAME, out / "lab64.elf", elf],
                   check=True)  # fmt: skip
    with (Qemu(["-kernel", f"{out}/lab64.elf32"], paused=False) as lab,
          GdbSession(script=ptmap_script()) as gdb):
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
    data = gdb.python("import ptmap\n"
                      "result = ptmap.space().walk(0xffffffff80200000).pa")  # .data
    assert SHOWN in plain(gdb.run(f"ptmap find {data:#x}"))


def test_checks(gdb: GdbSession, tmp_path: Path) -> None:
    (tmp_path / "rules").write_bytes(b"section " + NAME.replace(b"\t", b"").replace(b"\r", b"")
                                     + b" write\nsection .text user\nsections\n")
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
