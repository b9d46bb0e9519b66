"""vdso without a Linux: lab64's own, and images that tests lay behind tables of theirs; judged by
the files themselves and by readelf."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple, Sequence

import pytest

import judges
from gdbsession import GdbFailure, GdbSession, ptmap_script, refused
from machine import BareMachine
from qemu import Qemu
from stub_proxy import Hold, ProxiedMachine, Rule, only_m_packets
from tables import GIB1, KIB4, MIB2, MIB4, MODES, NX, P, RW, US, Tables

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "examples/lab64"
LAB_VVAR, LAB_VDSO = 0x7FFFF7FC0000, 0x7FFFF7FC1000  # layout[]
TEXT = P | US  # a page that a user reads and executes
FRAMES = 0x1000000  # where tests put images
FRAMES_END = 0x1400000  # all of it is zeros when a test begins
SOON = 20  # seconds


# Images, and what readelf says of them


class Function(NamedTuple):
    va: int
    name: str
    size: int
    version: str | None
    binding: str


class Image(NamedTuple):
    path: Path
    abi: str
    soname: str

    @property
    def bytes(self) -> bytes:
        """Whole pages."""
        file = self.path.read_bytes()
        return file + bytes(-len(file) % KIB4)

    @property
    def pages(self) -> int:
        return len(self.bytes) // KIB4

    @property
    def build_id(self) -> str | None:
        found = re.search("Build ID: ([0-9a-f]+)", readelf("-nW", self.path))
        return found[1] if found else None

    def functions(self, base: int) -> list[Function]:
        found = []
        for line in readelf("--dyn-syms", "-W", self.path).splitlines():
            words = line.split()
            if len(words) < 8 or words[3] != "FUNC" or words[6] == "UND":
                continue
            name, _, version = words[7].replace("@@", "@").partition("@")
            found.append(
                Function(
                    base + int(words[1], 16),
                    name,
                    int(words[2], 0),
                    version or None,
                    words[4].lower(),
                )
            )
        assert found
        return sorted(found)


def readelf(*arguments: str | Path) -> str:
    return subprocess.run(
        ["readelf", *arguments],
        check=True,
        capture_output=True,
        text=True,
        env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
    ).stdout


# Its functions are on the second page: the filler is as long as one.
SOURCE = """
const unsigned char filler[4096] = {[0 ... 4095] = 0x5a};
int __vdso_lab_one(int a) { return a + 1; }
int __vdso_lab_two(int a) { return a + 2; }
int lab_tick(int a) __attribute__((weak, alias("__vdso_lab_two")));
"""
ORDINARY = "int open(int a) { return a; } int read(int a) { return a + 1; }"
PROGRAM = "void _start(void) { for (;;); } int main(void) { return 0; }"
COMMON = ["-O1", "-ffreestanding", "-fno-stack-protector", "-fno-asynchronous-unwind-tables",
          "-fcf-protection=none", "-nostdlib", "-Wl,-z,noseparate-code",
          "-Wl,-z,max-page-size=4096"]  # fmt: skip
SHARED = [*COMMON, "-shared", "-fPIC", "-Wl,--hash-style=both"]


@pytest.fixture(scope="module")
def compile(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    out = tmp_path_factory.mktemp("images")

    def compile(name: str, source: str, *flags: str) -> Path:
        (out / f"{name}.c").write_text(source)
        subprocess.run(["gcc", *flags, out / f"{name}.c", "-o", out / name], check=True)
        return out / name

    return compile


@pytest.fixture(scope="module")
def images(compile: Callable[..., Path]) -> dict[str, Image]:
    """Of two pages, laid out by lab64's own linker script."""
    made = {}
    for abi, flag, soname in (
        ("64-bit", "-m64", "linux-vdso.so.1"),
        ("x32", "-mx32", "linux-vdso.so.1"),
        ("32-bit", "-m32", "linux-gate.so.1"),
    ):
        path = compile(
            f"vdso{flag}.so",
            SOURCE,
            *SHARED,
            flag,
            "-s",
            f"-Wl,-soname,{soname}",
            "-Wl,--build-id=sha1",
            "-T",
            str(LAB / "vdso.ld"),
        )
        made[abi] = Image(path, abi, soname)
        assert made[abi].pages == 2
    return made


@pytest.fixture(scope="module")
def lab_image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    out = tmp_path_factory.mktemp("lab64")
    subprocess.run(["make", "-sC", LAB, f"OUT={out}"], check=True)
    return Image(out / "lab64-vdso.so", "64-bit", "lab64-vdso.so.1")


# Asking


def vdso(gdb: GdbSession, options: str = "") -> dict[str, Any]:
    """Its JSON. Whatever else is asked, an answer comes soon and without a traceback."""
    log, start = len(gdb.log), time.monotonic()
    document: dict[str, Any] = json.loads(gdb.run(f"vdso -json - {options}"))
    assert time.monotonic() - start < SOON
    assert "Traceback" not in gdb.log[log:]
    assert (document["schema"], document["kind"]) == ("ptmap/1", "vdso")
    return document


def none_found(gdb: GdbSession, options: str = "") -> dict[str, Any]:
    document = vdso(gdb, options)
    assert document["vdso"] is None and document["others"] == []
    text = " ".join(gdb.run(f"vdso {options}").split())
    assert "no vDSO" in text
    # What was cut is said.
    assert document["complete"] or re.search(r"\d of \d+ executable|there may be more", text)
    return document


def number(text: str) -> int:
    return int(text, 16)


def check(
    document: dict[str, Any],
    image: Image,
    va: int,
    mode: str,
    frames: Sequence[int] | None = None,
    complete: bool = True,
) -> None:
    """All of this image is there, as readelf sees it; all other pages were looked at, or not."""
    found = document["vdso"]
    assert document["mode"] == mode and document["complete"] == complete and found is not None
    assert (number(found["va"]), number(found["size"])) == (va, len(image.bytes))
    assert (found["abi"], found["soname"]) == (image.abi, image.soname)
    assert found["build_id"] == image.build_id
    assert [number(page["va"]) for page in found["pages"]] == [
        va + n * KIB4 for n in range(image.pages)
    ]
    if frames is not None:
        assert [(number(page["pa"]), page["from"]) for page in found["pages"]] == [
            (frame, "process") for frame in frames
        ]
        assert found["found_by"] == "image"
    got = [
        Function(number(f["va"]), f["name"], number(f["size"]), f["version"], f["binding"])
        for f in found["functions"]
    ]
    assert [f.va for f in got] == sorted(f.va for f in got)
    assert sorted(got) == image.functions(va)


def dumped(gdb: GdbSession, tmp_path: Path, options: str = "") -> bytes:
    gdb.run(f"vdso {options} -dump {tmp_path / 'dump'}")
    return (tmp_path / "dump").read_bytes()


# lab64


@pytest.fixture(scope="module", params=["max", "max,-la57", "qemu64"])
def lab(request: pytest.FixtureRequest, lab_image: Image) -> Iterator[GdbSession]:
    kernel = lab_image.path.with_name("lab64.elf")
    with Qemu(["-kernel", f"{kernel}32", "-cpu", request.param], paused=False) as qemu:
        qemu.wait_line("lab64: ready")
        qemu.qmp("stop")
        with GdbSession(script=ptmap_script()) as gdb:
            gdb.run(f"file {kernel}")
            gdb.attach(qemu.gdb_target)
            yield gdb


def test_lab(lab: GdbSession, lab_image: Image, tmp_path: Path) -> None:
    document = vdso(lab)
    mode = f"{lab.eval('lab_levels')}-level"
    # Some of its tables are not in memory.
    check(document, lab_image, LAB_VDSO, mode, [0x101000], complete=False)
    assert document["searched"]["unreadable_tables"]
    assert document["others"] == []
    assert dumped(lab, tmp_path) == lab_image.bytes
    vvar = document["vvar"]
    assert (number(vvar["va"]), number(vvar["size"]), vvar["clock"]) == (LAB_VVAR, KIB4, None)
    (page,) = vvar["pages"]
    assert (number(page["va"]), number(page["pa"])) == (LAB_VVAR, 0x200000)
    assert (page["user"], page["write"], page["exec"]) == (True, False, False)


def test_lab_text(lab: GdbSession, lab_image: Image) -> None:
    text = lab.run("vdso")
    assert text == lab.run("ptmap vdso")
    assert max(map(len, text.splitlines())) <= 80
    for word in (
        f"{LAB_VDSO:#x}"[2:],
        lab_image.soname,
        lab_image.build_id,
        "__vdso_lab_tick",
        "lab_tick",
        "LAB_1.0",
        f"{LAB_VVAR:x}",
    ):
        assert word and word in text


def test_lab_symbols(lab: GdbSession, lab_image: Image) -> None:
    for _ in range(2):
        lab.run("vdso -load")
        functions = lab_image.functions(LAB_VDSO)
        for function in functions:
            said = lab.run(f"info symbol {function.va:#x}").split()[0]
            assert said in [f.name for f in functions if f.va == function.va]  # one of an alias's
            assert f"{function.va:#x}" in lab.run(f"info address {function.name}")
        add = next(f for f in functions if f.name == "__vdso_lab_add")
        assert "lea" in lab.run("disassemble __vdso_lab_add")
        assert f"physical {add.va - LAB_VDSO + 0x101000:#x}" in lab.run("pte &__vdso_lab_add")
    assert "kernel_main" in lab.run("info symbol kernel_main")  # what was there still is


def test_symbols_by_an_odd_path(
    lab_image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GDB needs a file for them: in a folder with any name, whatever was done to its symbols; gone
    at the end."""
    folder = tmp_path / 'it\'s "my" folder #1'
    folder.mkdir()
    kernel = lab_image.path.with_name("lab64.elf")
    with Qemu(["-kernel", f"{kernel}32", "-cpu", "max"], paused=False) as qemu:
        qemu.wait_line("lab64: ready")
        qemu.qmp("stop")
        monkeypatch.setenv("TMPDIR", str(folder))
        with GdbSession(script=ptmap_script()) as gdb:
            gdb.attach(qemu.gdb_target)
            where = {f.name: f.va for f in lab_image.functions(LAB_VDSO)}
            add = where["__vdso_lab_add"]
            for forget in ("symbol-file", f"remove-symbol-file -a {add:#x}", "help vdso"):
                gdb.run("vdso -load")
                for name, va in where.items():
                    assert f"{va:#x}" in gdb.run(f"info address {name}")
                gdb.run(forget)
    assert list(folder.iterdir()) == []


def test_lab_has_no_halves(lab: GdbSession) -> None:
    for half in ("user", "kernel"):
        refused(lab, f"vdso -half {half}", "KPTI")


def test_lab_options(lab: GdbSession, lab_image: Image, tmp_path: Path) -> None:
    lab.run(f"vdso -json {tmp_path / 'json'}")
    assert json.loads((tmp_path / "json").read_text()) == vdso(lab) == vdso(lab, "-cpu 0")
    root = vdso(lab)["root"]
    assert vdso(lab, f"-root {root}")["vdso"] == vdso(lab)["vdso"]
    nowhere = tmp_path / "nowhere/dump"
    refused(lab, f"vdso -dump {nowhere}", str(nowhere))
    refused(lab, f"vdso -json {nowhere}", str(nowhere))
    refused(lab, f"vdso -dump {tmp_path}", str(tmp_path))
    for words in ("0x7ffff7fc1000", "-dump", "-json", "-frob", "now -load", "-cpu 7"):
        refused(lab, f"vdso {words}", "vdso")
    help = lab.run("help vdso")
    assert "-dump" in help and "-load" in help and help == lab.run("help ptmap vdso")
    (tmp_path / "dump").write_bytes(bytes(1 << 16))  # it is written anew
    assert dumped(lab, tmp_path) == lab_image.bytes


# Tables of our own


@pytest.fixture(scope="module")
def shared() -> Iterator[BareMachine]:
    with BareMachine(script=ptmap_script()) as machine:
        yield machine


@pytest.fixture()
def machine(shared: BareMachine) -> BareMachine:
    shared.write_phys(FRAMES, bytes(FRAMES_END - FRAMES))
    return shared


def user_va(mode: str, abi: str = "32-bit") -> int:
    return LAB_VDSO if mode in ("4-level", "5-level") and abi == "64-bit" else 0xB7FC1000


def lay(
    machine: BareMachine,
    space: Tables,
    va: int,
    data: bytes,
    frames: Sequence[int] | None = None,
    flags: int = TEXT,
    upper_flags: int | dict[int, int] = P | RW | US,
) -> list[int]:
    """Map whole pages with this content; returns their frames."""
    count = len(data) // KIB4
    frames = list(frames or (FRAMES + n * KIB4 for n in range(count)))
    for n, frame in enumerate(frames):
        machine.write_phys(frame, data[n * KIB4 : (n + 1) * KIB4])
        space.map(va + n * KIB4, frame, KIB4, flags, upper_flags)
    return frames


def enter(machine: BareMachine, space: Tables) -> None:
    """With some more of a process and a kernel around: data, a stack, supervisor's text."""
    wide = space.mode in ("4-level", "5-level")
    nx = 0 if space.mode == "32-bit" else NX
    space.map(0x08048000, 0x1300000, KIB4, TEXT)
    space.map(0x08049000, 0x1301000, KIB4, P | RW | US | nx)
    space.map(0x7FFFFFFDE000 if wide else 0xBFFFF000, 0x1302000, KIB4, P | RW | US | nx)
    space.map(0xFFFFFFFF81000000 if wide else 0xC1000000, 0x1303000, KIB4, P)
    space.write_to(machine)
    machine.set_mode(space.mode, space.root)


@pytest.mark.parametrize(
    "mode, abi",
    [
        *((mode, "32-bit") for mode in MODES),
        *((mode, abi) for mode in MODES[2:] for abi in ("64-bit", "x32")),
    ],
)
def test_found(
    machine: BareMachine, images: dict[str, Image], tmp_path: Path, mode: str, abi: str
) -> None:
    space, va, image = Tables(mode), user_va(mode, abi), images[abi]
    frames = lay(machine, space, va, image.bytes)
    enter(machine, space)
    document = vdso(machine.session)
    check(document, image, va, mode, frames)
    assert document["others"] == []
    assert document["vvar"] is None or document["vvar"]["pages"] == []  # no page is before it
    assert dumped(machine.session, tmp_path) == image.bytes


@pytest.mark.parametrize(
    "mode, abi, end",
    [
        ("32-bit", "32-bit", 1 << 32),
        ("pae", "32-bit", 1 << 32),
        ("4-level", "x32", 1 << 32),
        ("4-level", "64-bit", 1 << 47),
        ("5-level", "64-bit", 1 << 56),
    ],
)
def test_at_the_end(
    machine: BareMachine, images: dict[str, Image], tmp_path: Path, mode: str, abi: str, end: int
) -> None:
    """Up to the last address, as Linux had it with vdso=2; one that would go on behind that is
    none."""
    gdb, image = machine.session, images[abi]
    for cut in (0, 1):
        space, va = Tables(mode), end - (2 - cut) * KIB4
        frames = lay(machine, space, va, image.bytes[: KIB4 * (2 - cut)])
        enter(machine, space)
        document = vdso(gdb)
        if cut:
            assert document["vdso"] is None
            assert [number(one["va"]) for one in document["rejected"]] == [va]
            assert "beyond the address space" in gdb.run("vdso").replace("\n          ", " ")
            refused(gdb, f"vdso -dump {tmp_path / 'cut'}")
            continue
        check(document, image, va, mode, frames)
        assert dumped(gdb, tmp_path) == image.bytes
        gdb.run("vdso -load")
        for f in image.functions(va):
            assert f"{f.va:#x}" in gdb.run(f"info address {f.name}")


@pytest.mark.parametrize("mode", MODES[2:])
def test_the_labs_is_found_elsewhere(machine: BareMachine, lab_image: Image, mode: str) -> None:
    space, va = Tables(mode), 0x123456000
    frames = lay(machine, space, va, lab_image.bytes)
    enter(machine, space)
    check(vdso(machine.session), lab_image, va, mode, frames)


@pytest.mark.parametrize("mode", MODES[2:])
def test_nx_above(machine: BareMachine, images: dict[str, Image], mode: str) -> None:
    """KPTI's kernel root denies the user's part all fetches, above pages that are executable."""
    space, va, image = Tables(mode), user_va(mode, "64-bit"), images["64-bit"]
    frames = lay(machine, space, va, image.bytes)
    enter(machine, space)
    top = int(mode[0])
    space.set_entry(va, top, space.entry(va, top) | NX)
    space.write_to(machine)
    machine.flush()
    check(vdso(machine.session), image, va, mode, frames)


@pytest.mark.parametrize(
    "flags, upper",
    [(TEXT | NX, P | RW | US), (P, P | RW | US), (TEXT, P | RW), (TEXT & ~P, P | RW | US)],
    ids=["NX", "supervisor", "supervisor above", "not present"],
)
@pytest.mark.parametrize("mode", ["pae", "4-level"])
def test_not_the_users_to_run(
    machine: BareMachine, images: dict[str, Image], mode: str, flags: int, upper: int
) -> None:
    abi = "64-bit" if mode == "4-level" else "32-bit"
    if mode == "pae" and not upper & US:
        upper_flags: int | dict[int, int] = {3: P, 2: upper}
    else:
        upper_flags = upper
    space = Tables(mode)
    lay(machine, space, user_va(mode, abi), images[abi].bytes, flags=flags, upper_flags=upper_flags)
    enter(machine, space)
    assert none_found(machine.session)["complete"]


@pytest.mark.parametrize("flag", ["-m64", "-m32"])
def test_ordinary_images(machine: BareMachine, compile: Callable[..., Path], flag: str) -> None:
    """A library, a program, a position-independent one: their headers are on executable pages.
    And one that is laid out as a vDSO is: only its name says that it is none."""
    library = compile(f"libc{flag}.so.6", ORDINARY, *SHARED, flag, "-Wl,-soname,libc.so.6")
    nameless = compile(f"plugin{flag}.so", ORDINARY, *SHARED, flag)
    program = compile(f"program{flag}", PROGRAM, *COMMON, flag, "-static", "-no-pie")
    moving = compile(f"moving{flag}", PROGRAM, *COMMON, flag, "-fPIE", "-pie")
    alike = compile(
        f"libvdso{flag}.so",
        SOURCE,
        *SHARED,
        flag,
        "-Wl,-soname,libvdso.so.1",
        "-T",
        str(LAB / "vdso.ld"),
    )
    mode = "4-level" if flag == "-m64" else "32-bit"
    space, frame = Tables(mode), FRAMES
    for va, path in (
        (0xB7C00000, library),
        (0xB7E00000, alike),
        (0xB7D00000, nameless),
        (0x08100000, program),
        (0x56555000, moving),
    ):
        data = Image(path, "", "").bytes
        assert data.startswith(b"\x7fELF")
        frames = range(frame, frame + len(data), KIB4)
        lay(machine, space, va, data, frames)
        frame = frames.stop
    enter(machine, space)
    assert none_found(machine.session)["complete"]


def test_two(machine: BareMachine, images: dict[str, Image]) -> None:
    """A process can have a copy: both are named."""
    space = Tables("4-level")
    narrow, wide = images["32-bit"], images["64-bit"]
    places = {0xF7FC1000: narrow.soname, LAB_VDSO: wide.soname}
    lay(machine, space, 0xF7FC1000, narrow.bytes)
    lay(machine, space, LAB_VDSO, wide.bytes, [FRAMES + 0x100000, FRAMES + 0x101000])
    enter(machine, space)
    document = vdso(machine.session)
    (other,) = document["others"]
    found = {number(one["va"]): one["soname"] for one in (document["vdso"], other)}
    assert found == places
    assert f"{number(other['va']):x}" in machine.session.run("vdso")


@pytest.mark.parametrize("mode", ["pae", "4-level"])
def test_a_page_is_missing(
    machine: BareMachine, images: dict[str, Image], tmp_path: Path, mode: str
) -> None:
    """What is there is told, and what is not; a file of something else is never written."""
    abi = "64-bit" if mode == "4-level" else "32-bit"
    space, va, image, gdb = Tables(mode), user_va(mode, abi), images[abi], machine.session
    lay(machine, space, va, image.bytes[:KIB4])
    enter(machine, space)
    document = vdso(gdb)
    found = document["vdso"]
    assert not document["complete"] and found["notes"]
    assert (number(found["va"]), number(found["size"])) == (va, 2 * KIB4)
    assert [(page["pa"], page["from"]) for page in found["pages"]] == [
        (hex(FRAMES), "process"),
        (None, None),
    ]
    assert found["build_id"] == image.build_id and found["soname"] == image.soname
    assert {f["name"] for f in found["functions"]} <= {f.name for f in image.functions(va)}
    refused(gdb, f"vdso -dump {tmp_path / 'dump'}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", MODES)
def test_pages_in_any_order(
    machine: BareMachine, images: dict[str, Image], tmp_path: Path, mode: str
) -> None:
    space, va, image = Tables(mode), user_va(mode), images["32-bit"]
    frames = lay(machine, space, va, image.bytes, [FRAMES + 0x7000, FRAMES + 0x2000])
    enter(machine, space)
    check(vdso(machine.session), image, va, mode, frames)
    assert dumped(machine.session, tmp_path) == image.bytes


@pytest.mark.parametrize(
    "mode, size",
    [("32-bit", MIB4), ("pae", MIB2), ("4-level", MIB2), ("5-level", MIB2), ("4-level", GIB1)],
)
def test_in_a_large_page(
    machine: BareMachine, images: dict[str, Image], mode: str, size: int
) -> None:
    """Not at its beginning. A page of 1 GiB is too much to look at: that is said."""
    space, image = Tables(mode), images["32-bit"]
    start = 0 if size == GIB1 else FRAMES
    at = FRAMES + 0x123000 - start
    space.map(0x40000000, start, size, TEXT)
    machine.write_phys(start + at, image.bytes)
    enter(machine, space)
    document = vdso(machine.session)
    if size == GIB1:
        assert "there may be more" in machine.session.run("vdso")
    check(
        document,
        image,
        0x40000000 + at,
        mode,
        [start + at, start + at + KIB4],
        complete=size != GIB1,
    )


def test_another_root(machine: BareMachine, images: dict[str, Image]) -> None:
    """Each space has its own, and its symbols replace the other's."""
    gdb, image = machine.session, images["64-bit"]
    here, there = Tables("4-level"), Tables("4-level", 0x200000)
    places = {0x7FFFF7FC1000: here, 0x7FFFF7EE2000: there}
    for va, space in places.items():
        lay(machine, space, va, image.bytes)
    there.write_to(machine)
    enter(machine, here)
    for va, space in reversed(places.items()):
        options = f"-root {space.root:#x}"
        check(vdso(gdb, options), image, va, "4-level")
        gdb.run(f"vdso {options} -load")
        for f in image.functions(va):
            assert f"{f.va:#x}" in gdb.run(f"info address {f.name}")
            assert "No symbol" not in gdb.run(f"info symbol {f.va:#x}")
        for other in places.keys() - {va}:
            assert "No symbol" in gdb.run(f"info symbol {image.functions(other)[0].va:#x}")


def test_none(machine: BareMachine, tmp_path: Path) -> None:
    gdb = machine.session
    for mode in MODES:
        space = Tables(mode)
        enter(machine, space)
        document = none_found(gdb)
        assert document["complete"] and document["mode"] == mode
        assert document["root"] == hex(space.root)
        for option in (f"-dump {tmp_path / 'dump'}", "-load"):
            try:
                assert "no vDSO" in gdb.run(f"vdso {option}")
            except GdbFailure as failure:
                assert failure.kind == "error" and "no vDSO" in str(failure)
        assert list(tmp_path.iterdir()) == []


def test_a_table_cannot_be_read(machine: BareMachine, images: dict[str, Image]) -> None:
    """What may be behind it is not known: none found is no complete answer then."""
    space, image = Tables("4-level"), images["64-bit"]
    space.set_entry(0x7FFFF7E00000, 2, 0x8000000 | P | RW | US)
    enter(machine, space)
    document = vdso(machine.session)
    assert document["vdso"] is None and not document["complete"]
    frames = lay(machine, space, 0x7FFFF7CC1000, image.bytes)
    enter(machine, space)
    check(vdso(machine.session), image, 0x7FFFF7CC1000, "4-level", frames, complete=False)
    assert "1 table could not be read" in machine.session.run("vdso")


def test_the_upper_part(machine: BareMachine, images: dict[str, Image]) -> None:
    """User pages there are no less the user's: Linux had its vsyscall page there."""
    space, image, va = Tables("4-level"), images["64-bit"], 0xFFFFFFFFFF5FE000
    frames = lay(machine, space, va, image.bytes)
    enter(machine, space)
    check(vdso(machine.session), image, va, "4-level", frames)


def test_many(machine: BareMachine, images: dict[str, Image]) -> None:
    """Thousands that look like one: a few are named, the rest counted, and that it was cut."""
    space, image = Tables("4-level"), images["64-bit"]
    for n in range(4096):
        space.map(0x400000 + n * KIB4, FRAMES, KIB4, TEXT)
    lay(machine, space, LAB_VDSO, image.bytes)
    enter(machine, space)
    document, text = vdso(machine.session), machine.session.run("vdso")
    assert not document["complete"] and len(document["others"]) == 100
    assert len(text.splitlines()) < 40 and "more\n" in text and "there may be more" in text


def test_paging_is_off(machine: BareMachine) -> None:
    machine.set_registers(cr0=0x11)
    refused(machine.session, "vdso", "paging")
    refused(machine.session, "vdso -json -", "paging")


# Where there is nothing to read


def reads_outside_ram(machine: ProxiedMachine) -> list[str]:
    regions = judges.parse_mtree(machine.hmp("info mtree -f"))
    ram = [(r.start, r.start + r.size) for r in regions if r.kind in ("ram", "rom", "romd")]
    return [
        f"{length} bytes at {at:#x}"
        for at, length in machine.proxy.reads()
        if not any(start <= at and at + length <= end for start, end in ram)
    ]


DEVICES = (0xA0000, 0xBF000, 0xFEC00000, 0xFED00000, 0xFEE00000)
NOWHERE = (0x4000000, 0x8000000, 0xFFFFF000)


@pytest.mark.parametrize("mode", ["32-bit", "4-level"])
def test_devices_are_not_read(images: dict[str, Image], tmp_path: Path, mode: str) -> None:
    """Frames of devices and of nothing; and an image that goes on in a device."""
    abi = "64-bit" if mode == "4-level" else "32-bit"
    va, image = user_va(mode, abi), images[abi]
    with ProxiedMachine(args=["-device", "VGA"]) as machine:
        gdb, proxy = machine.session, machine.proxy
        space = Tables(mode)
        for n, frame in enumerate((*DEVICES, *NOWHERE)):
            space.map(0x10000000 + n * KIB4, frame, KIB4, TEXT)
            space.map(0x20000000 + n * 2 * KIB4, frame, KIB4, TEXT)
        space.map(0x40000000, 0xFEC00000, MIB2 if mode == "4-level" else MIB4, TEXT)
        enter(machine, space)
        proxy.reset()
        none_found(gdb)
        assert proxy.reads() and reads_outside_ram(machine) == []
        lay(machine, space, va, image.bytes[:KIB4])
        space.map(va + KIB4, 0xFEE00000, KIB4, TEXT)
        enter(machine, space)
        proxy.reset()
        document = vdso(gdb)
        assert number(document["vdso"]["va"]) == va and not document["complete"]
        assert document["vdso"]["pages"][1]["from"] is None
        refused(gdb, f"vdso -dump {tmp_path / 'dump'}")
        assert proxy.reads() and reads_outside_ram(machine) == []
        # Nothing is written, nothing resumed.
        assert not [packet for packet in proxy.sent() if re.match(b"[MXPGcCsSzZkD]|vCont", packet)]
        assert gdb.packet(b"qqemu.PhyMemMode") == b"0"


def test_ctrl_c(images: dict[str, Image]) -> None:
    """In the middle of the search: it ends, and nothing stays behind."""
    image = images["64-bit"]
    with ProxiedMachine() as machine:
        gdb, proxy, space = machine.session, machine.proxy, Tables("4-level")
        for n in range(4096):
            space.map(0x7FFFF7FD0000 + n * KIB4, 0x2000000 + n * KIB4, KIB4, TEXT)
        frames = lay(machine, space, LAB_VDSO, image.bytes)
        enter(machine, space)
        passed = threading.Event()
        proxy.play(Rule("m", Hold(passed), nth=2000, physical=True))

        def press() -> None:
            deadline = time.monotonic() + SOON
            while proxy.fired != [1] and time.monotonic() < deadline:
                time.sleep(0.001)
            gdb.interrupt()
            passed.set()

        thread = threading.Thread(target=press)
        thread.start()
        with pytest.raises(GdbFailure) as failure:
            gdb.run("vdso")
        thread.join()
        assert failure.value.kind == "KeyboardInterrupt" and proxy.fired == [1]
        assert gdb.packet(b"qqemu.PhyMemMode") == b"0" and len(proxy.reads()) < 4000
        proxy.play()
        check(vdso(gdb), image, LAB_VDSO, "4-level", frames)


# Spaces that are made to keep one busy


@pytest.mark.parametrize("mode", MODES)
def test_everything_leads_to_the_root(machine: BareMachine, mode: str) -> None:
    """Each entry of the root is a way to the root: all of the space is the user's to execute."""
    space = Tables(mode)
    flags = P if mode == "pae" else P | RW | US
    if mode == "pae":  # four entries only, to one table that is all ways to itself
        table = space.alloc()
        for index in range(4):
            space.set(space.root, index, table | flags)
        for index in range(512):
            space.set(table, index, table | P | RW | US)
    else:
        for index in range(1024 if mode == "32-bit" else 512):
            space.set(space.root, index, space.root | flags)
    space.write_to(machine)
    machine.set_mode(mode, space.root)
    none_found(machine.session)


@pytest.mark.parametrize("content", ["zeros", "headers"])
def test_millions_of_pages(compile: Callable[..., Path], content: str) -> None:
    """4096 page tables, each entry another page of the user's to execute; each frame is zeros, or
    begins like a library."""
    header = b""
    if content == "headers":
        library = compile("many.so", ORDINARY, *SHARED, "-m64", "-Wl,-soname,libc.so.6")
        header = library.read_bytes()[:KIB4]
    with BareMachine(script=ptmap_script(), memory="256M") as machine:
        only_m_packets(machine.session)  # which are slow
        machine.write_phys(0x4000000, header.ljust(KIB4, b"\0") * ((256 << 20) // KIB4 - 0x4000))
        space = Tables("4-level", 0x100000)
        frames = 0xC000  # of 4 KiB, from 64 MiB on
        for n in range(4096):
            table = 0x1000000 + n * KIB4
            entries = ((0x4000 + (n * 512 + i) % frames) * KIB4 | TEXT for i in range(512))
            machine.write_phys(table, struct.pack("<512Q", *entries))
            space.set_entry(0x100000000 + n * MIB2, 2, table | P | RW | US)
        space.write_to(machine)
        machine.set_mode("4-level", space.root)
        assert not none_found(machine.session)["complete"]


def test_behind_many_others(machine: BareMachine, images: dict[str, Image]) -> None:
    """A large program's text and its libraries' come before: 128 MiB of pages, 16 MiB of frames."""
    space, image = Tables("4-level"), images["64-bit"]
    for n in range(32768):
        space.map(0x400000 + n * KIB4, 0x2000000 + n % 4096 * KIB4, KIB4, TEXT)
    frames = lay(machine, space, LAB_VDSO, image.bytes)
    enter(machine, space)
    check(vdso(machine.session), image, LAB_VDSO, "4-level", frames)


# Damaged headers


HEADER = {  # of an Elf64_Ehdr: offset, size
    "magic": (0, 4), "class": (4, 1), "data": (5, 1), "ident version": (6, 1), "type": (16, 2),
    "machine": (18, 2), "version": (20, 4), "entry": (24, 8), "phoff": (32, 8), "shoff": (40, 8),
    "ehsize": (52, 2), "phentsize": (54, 2), "phnum": (56, 2), "shentsize": (58, 2),
    "shnum": (60, 2), "shstrndx": (62, 2),
}  # fmt: skip
SEGMENT = {  # of an Elf64_Phdr
    "type": (0, 4), "flags": (4, 4), "offset": (8, 8), "vaddr": (16, 8), "filesz": (32, 8),
    "memsz": (40, 8), "align": (48, 8),
}  # fmt: skip
NAMES = ("LOAD", "DYNAMIC", "NOTE")


def fields(data: bytes) -> Iterator[tuple[str, int, int]]:
    """(name, offset, size) of the header's, the segments' and the dynamic section's fields."""
    for name, (offset, size) in HEADER.items():
        yield name, offset, size
    for n, segment in enumerate(NAMES):
        for name, (offset, size) in SEGMENT.items():
            yield f"{segment} {name}", 64 + 56 * n + offset, size
    (start,) = struct.unpack_from("<Q", data, 64 + 56 + 8)
    for n in range(12):
        yield f"dynamic tag {n}", start + 16 * n, 8
        yield f"dynamic value {n}", start + 16 * n + 8, 8


def damages(data: bytes) -> Iterator[tuple[str, bytes]]:
    for name, offset, size in fields(data):
        ones = (1 << 8 * size) - 1
        now = int.from_bytes(data[offset : offset + size], "little")
        for value in {0, 1, ones, ones >> 1, now + 1 & ones, now - 1 & ones, 0x1FFF & ones} - {now}:
            changed = data[:offset] + value.to_bytes(size, "little") + data[offset + size :]
            yield f"{name}: {now:#x} is {value:#x}", changed


def tables_damaged(data: bytes, path: Path) -> Iterator[tuple[str, bytes]]:
    """Every byte of the strings, the hash tables and the versions."""
    for line in readelf("-SW", path).splitlines():
        found = re.match(r" *\[ *\d+\] (\.\S+) +\S+ +\S+ (\S+) (\S+)", line)
        if found and found[1] in (
            ".dynstr",
            ".hash",
            ".gnu.hash",
            ".gnu.version",
            ".gnu.version_d",
        ):
            for at in range(number(found[2]), number(found[2]) + number(found[3])):
                for value in (data[at] ^ 1, data[at] ^ 0x80):
                    changed = data[:at] + bytes([value]) + data[at + 1 :]
                    yield f"{found[1]}: the byte at {at:#x}", changed


@pytest.mark.parametrize("what", ["headers", "tables"])
def test_damaged(machine: BareMachine, images: dict[str, Image], what: str) -> None:
    """A smaller answer, or none; no traceback, and never a wrong symbol."""
    space, image, gdb = Tables("4-level"), images["64-bit"], machine.session
    whole = image.bytes
    lay(machine, space, LAB_VDSO, whole)
    enter(machine, space)
    right = {(f.name, f.va, f.size) for f in image.functions(LAB_VDSO)}
    count = {"none": 0, "less": 0, "all": 0}
    todo = damages(whole) if what == "headers" else tables_damaged(whole, image.path)
    for title, changed in todo:
        machine.write_phys(FRAMES, changed)
        gdb.run("maintenance flush dcache")
        try:
            found = vdso(gdb)["vdso"]
        except GdbFailure as failure:
            raise AssertionError(f"{title}: {failure}") from None
        if found is None:
            count["none"] += 1
            continue
        functions = {(f["name"], number(f["va"]), number(f["size"])) for f in found["functions"]}
        count["all" if functions == right else "less"] += 1
        assert functions <= right, title
        versions = {f["version"] for f in found["functions"]}
        assert all(version in (None, "LAB_1.0") for version in versions), title
        assert number(found["va"]) == LAB_VDSO and number(found["size"]) <= 1 << 20, title
        assert found["soname"].isascii() and found["soname"].isprintable(), title
        assert all(note.isascii() and note.isprintable() for note in found["notes"]), title
    machine.write_phys(FRAMES, whole)
    check(vdso(gdb), image, LAB_VDSO, "4-level", [FRAMES, FRAMES + KIB4])
    assert all(count.values()), count
