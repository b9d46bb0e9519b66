"""vdso on real kernels: what the process says of its own vDSO, /proc/self/maps, readelf."""

from __future__ import annotations

import json
import os
import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Iterator

import pytest

import elf_judge
import proc_files
from gdbsession import GdbFailure, GdbSession, ptmap_script
from guests import GUESTS, Where, boot, stop
from kernels import KERNELS, fetch
from qemu import Qemu

pytestmark = pytest.mark.linux

PAGE = 0x1000
VSYSCALL = 0xFFFFFFFFFF600000

# Each is looked at as it stops here, then it reads all of its vDSO and is looked at again: so one
# start shows a vDSO of which nothing, or one page, was touched, and one that was used.
# (guest, where, words for init and for the kernel)
# In the first ones a second process was started: since then the page of the stack with what exec
# put there is write-protected. Their vDSO is one page.
BUILT: list[tuple[str, Where, str]] = [
    ("kgdb-64", "ready", "vsyscall=emulate"),
    ("kgdb-64", "kernel", "vdso_touch=all vvar_touch=1 vsyscall=none"),
    ("kgdb-pae", "ready", ""),
    ("kgdb-pae", "kernel", "vdso_touch=all vvar_touch=1 clocksource=acpi_pm"),
    ("x32", "ready", "vdso_touch=all vvar_touch=1"),
    ("x32", "kernel", "vsyscall=xonly clocksource=hpet"),
]
OLDER = BUILT + [  # in this order: pytest then starts each of them once
    ("686", "ready", ""),
    ("686", "kernel", "vdso_touch=last vvar_touch=1 clocksource=acpi_pm"),
    ("686-pae", "kernel", "vdso_touch=first vvar_touch=1"),
    ("686-pae-pti", "ready", "vdso_touch=last"),
    ("686-pae-pti", "kernel", ""),
    ("4-level", "ready", "vsyscall=emulate"),
    ("4-level", "kernel", "vdso_touch=last vvar_touch=1 vsyscall=xonly"),
    ("4-level-pti", "ready", "vdso_touch=first vvar_touch=1 vsyscall=none clocksource=hpet"),
    ("4-level-pti", "kernel", "vsyscall=emulate"),
    ("5-level", "ready", "vdso_touch=last"),
    ("5-level", "kernel", "vdso_touch=all vdso_copy=1 vsyscall=emulate"),
    ("compat", "ready", "vdso_touch=first vvar_touch=1"),
    ("compat", "kernel", ""),
]
# After 6.1 the vDSO's data moved: [vvar] and the clock in it are judged on OLDER ones only.
STARTS = OLDER + [
    ("4-level-6.12", "ready", "vsyscall=emulate"),
    ("4-level-pti-6.12", "kernel", "vdso_touch=first vsyscall=none"),
    ("5-level-6.12", "kernel", "vdso_touch=last vsyscall=xonly"),
    ("4-level-sid", "ready", "vdso_touch=last vsyscall=xonly"),
    ("4-level-pti-sid", "kernel", ""),
    ("5-level-sid", "ready", "vdso_touch=all vsyscall=emulate"),
]
# Here the kernel gives processes the pages that it freed between the parts of its image; whether
# the stack has some is chance.
FORKED = [start for start in STARTS if start[0] in ("4-level", "5-level", "compat")]
# Their memory is compared before and after.
COMPARED = [("686", "kernel"), ("4-level-pti", "ready"), ("kgdb-pae", "ready")]

# For a guest without a vDSO.
NONE = [("686", "ready", "vdso=0"), ("686-pae-pti", "kernel", "vdso32=0"),
        ("4-level-pti", "ready", "vdso=0"), ("compat", "kernel", "vdso32=0"),
        ("x32", "ready", "vdso=0"), ("kgdb-64", "kernel", "vdso=0 vsyscall=xonly")]  # fmt: skip


@dataclass
class Look:
    """All that was asked at one stop."""

    frames: list[str | None]  # that pte tells of its pages
    document: dict[str, Any]
    halves: list[dict[str, Any]]  # under KPTI: the same by either root
    text: str
    dump: Path
    contents: list[bytes]  # of RAM, where each page of it is said to be
    symbols: dict[int, str]  # by `info symbol`, after -load
    breakpoints: dict[str, int]
    unchanged: bool

    @property
    def vdso(self) -> dict[str, Any]:
        found: dict[str, Any] = self.document["vdso"]
        return found


@dataclass
class Looked:
    name: str
    where: Where
    words: str
    guest: Qemu
    gdb: GdbSession
    folder: Path
    looks: list[Look] = field(default_factory=list)

    @property
    def console(self) -> str:
        return self.guest.console()

    def told(self, what: str) -> list[str]:
        """The words of init's line."""
        found = re.search(rf"^init: {what} (.*)$", self.console, re.M)
        assert found, what
        return found[1].split()

    def number(self, what: str) -> int:
        found = re.search(rf"^init: {what} (0x[0-9a-f]+)\b", self.console, re.M)
        assert found, what
        return int(found[1], 16)

    def option(self, name: str) -> str:
        found = re.search(rf"\b{name}=(\S+)", self.words)
        return found[1] if found else ""

    def part(self, name: str) -> tuple[int, int]:
        [one] = [r for r in proc_files.parse_maps(self.console) if r.name == name]
        return one.va, one.size

    def ask(self, options: str = "") -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.gdb.run(f"vdso -json - {options}"))
        assert (document["schema"], document["kind"]) == ("ptmap/1", "vdso")
        return document

    def look(self) -> Look:
        before = self.state()
        document = self.ask()
        halves = [self.ask(f"-half {half}") for half in ("kernel", "user")] if self.kpti else []
        dump = self.folder / f"{self.name}-{self.where}-{len(self.looks)}.so"
        self.gdb.run(f"vdso -dump {dump}")
        text = self.gdb.run("vdso")
        assert document["vdso"], text
        contents = [self.memory(int(page["pa"], 16)) for page in document["vdso"]["pages"]]
        self.gdb.run("vdso -load")
        functions = document["vdso"]["functions"]
        symbols = {int(f["va"], 16): self.gdb.run(f"info symbol {f['va']}") for f in functions}
        breakpoints = {f["name"]: self.breakpoint(f["name"]) for f in functions}
        look = Look(
            self.frames(),
            document,
            halves,
            text,
            dump,
            contents,
            symbols,
            breakpoints,
            before == self.state(),
        )
        self.looks.append(look)
        return look

    def breakpoint(self, function: str) -> int:
        found = re.match(r"Breakpoint \d+ at (0x[0-9a-f]+)$", self.gdb.run(f"break {function}"))
        assert found
        self.gdb.run("delete breakpoints")
        return int(found[1], 16)

    def frames(self) -> list[str | None]:
        """Of the vDSO's pages, those that are mapped now."""
        base, size = self.part("[vdso]")
        words = " ".join(hex(va) for va in range(base, base + size, PAGE))
        found = json.loads(self.gdb.run(f"pte -json - {words}"))["addresses"]
        assert all(one["outcome"] in ("mapped", "not-present") for one in found)
        return [one.get("pa") for one in found]

    def go_on(self) -> None:
        """Until it has read its vDSO."""
        self.gdb.run(f"set {{int}}{self.number('vdso flag')} = 1")
        self.gdb.disconnect()
        self.guest.cont()
        self.guest.wait_line("init: went on")
        stop(self.guest, self.name, self.where)
        self.gdb.attach(self.guest.gdb_target)

    @property
    def kpti(self) -> bool:
        return "pti" in self.name or KERNELS[GUESTS[self.name].kernel].built

    def state(self) -> object:
        if (self.name, self.where) not in COMPARED or self.looks:
            return None
        assert self.guest.ram_path
        checksum = 0
        with self.guest.ram_path.open("rb") as ram:
            for at, page in _filled(ram):
                checksum = zlib.crc32(page, checksum ^ at >> 12)
        return checksum, self.guest.hmp("info registers -a"), self.gdb.run("info registers")

    def memory(self, pa: int) -> bytes:
        assert self.guest.ram_path
        with self.guest.ram_path.open("rb") as ram:
            ram.seek(pa)  # these guests have no RAM above 4 GiB
            return ram.read(PAGE)


def _filled(ram: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The pages of a sparse file, with their places, that are not all zeros: a page that was never
    written to comes into being when QEMU's memory is read there."""
    end, zeros = 0, bytes(PAGE)
    while True:
        try:
            start = os.lseek(ram.fileno(), end, os.SEEK_DATA)
        except OSError:  # none behind it
            return
        end = os.lseek(ram.fileno(), start, os.SEEK_HOLE)
        for at in range(start, end, PAGE):
            page = os.pread(ram.fileno(), PAGE, at)
            if page != zeros:
                yield at, page


def title(start: tuple[str, Where, str]) -> str:
    return "-".join(start[:2])


@pytest.fixture(scope="module", params=STARTS, ids=title)
def looked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Looked]:
    name, where, words = request.param
    child = "child=1 exec=1" if request.param in BUILT + FORKED else ""
    append = f"vdso_sum=later clocks=1 {child} {words}"
    with boot(name, paused_at=where, append=append, ram_file=True) as guest, GdbSession(
        script=ptmap_script()
    ) as gdb:
        gdb.attach(guest.gdb_target)
        looked = Looked(name, where, words, guest, gdb, tmp_path_factory.mktemp("vdso"))
        looked.look()
        looked.go_on()
        looked.look()
        yield looked


def test_base_size_and_bytes(looked: Looked) -> None:
    hash, size = (int(word, 0) for word in looked.told("vdso sum"))
    for look in looked.looks:
        vdso = look.vdso
        assert look.document["complete"]
        copies = re.findall(r"^init: map copy (0x\S+)", looked.console, re.M)
        others = [(int(one["va"], 16), one["soname"]) for one in look.document["others"]]
        assert others == [(int(va, 16), vdso["soname"]) for va in copies]
        assert int(vdso["va"], 16) == looked.number("vdso")
        assert (int(vdso["va"], 16), int(vdso["size"], 16)) == looked.part("[vdso]")
        dump = look.dump.read_bytes()
        assert len(dump) == size == int(vdso["size"], 16)
        assert elf_judge.fnv1a(dump) == hash
        assert b"".join(look.contents) == dump
        assert look.unchanged


def test_where_each_page_came_from(looked: Looked) -> None:
    base, size = looked.part("[vdso]")
    pages = list(range(base, base + size, PAGE))
    touch = looked.option("vdso_touch")
    touched = {"all": pages, "first": pages[:1], "last": pages[-1:], "": []}[touch]
    first, second = looked.looks
    for look, process in ((first, touched), (second, pages)):
        expected = [(va, "process" if va in process else "kernel") for va in pages]
        assert [(int(p["va"], 16), p["from"]) for p in look.vdso["pages"]] == expected
        found_by = "image" if base in process else "frames" if process else "auxv"
        assert look.vdso["found_by"] == found_by
        assert [frame is not None for frame in look.frames] == [va in process for va in pages]
        for frame, page in zip(look.frames, look.vdso["pages"]):
            assert frame in (None, page["pa"])
    # The kernel's frames are those that the process gets.
    assert [p["pa"] for p in first.vdso["pages"]] == [p["pa"] for p in second.vdso["pages"]]


def test_readelf_agrees(looked: Looked) -> None:
    base, _ = looked.part("[vdso]")
    for look in looked.looks:
        elf = elf_judge.read(look.dump)
        vdso = look.vdso
        assert (
            vdso["abi"]
            == elf.abi
            == {32: "32-bit", 64: "64-bit"}.get(GUESTS[looked.name].width, "x32")
        )
        assert vdso["soname"] == elf.soname
        assert elf.soname == ("linux-gate.so.1" if elf.abi == "32-bit" else "linux-vdso.so.1")
        assert vdso["build_id"] == elf.build_id and not vdso["notes"]
        mine = [
            elf_judge.Function(
                int(f["va"], 16) - base, int(f["size"], 16), f["name"], f["version"], f["binding"]
            )
            for f in vdso["functions"]
        ]
        assert sorted(mine) == elf.functions and len(mine) >= 4
        assert [f.offset for f in mine] == sorted(f.offset for f in mine)


def test_the_text_says_the_same(looked: Looked) -> None:
    for look in looked.looks:
        assert all(len(line) <= 80 for line in look.text.splitlines()), look.text
        words = [
            look.vdso["soname"],
            look.vdso["build_id"],
            look.vdso["abi"],
            *(f["name"] for f in look.vdso["functions"]),
        ]
        assert [word for word in words if word not in look.text] == []


def test_both_roots_have_it(looked: Looked) -> None:
    for look in looked.looks:
        assert len(look.halves) == 2 * looked.kpti
        for half in look.halves:
            assert {**half, "root": ""} == {**look.document, "root": ""}
        if looked.kpti:
            assert len({half["root"] for half in look.halves}) == 2


def test_symbols_are_loaded(looked: Looked) -> None:
    for look in looked.looks:
        names: dict[int, set[str]] = {}
        for f in look.vdso["functions"]:
            names.setdefault(int(f["va"], 16), set()).add(f["name"])
            start = int(f["va"], 16)  # GDB goes behind what it takes for a prologue
            assert start <= look.breakpoints[f["name"]] < start + max(1, int(f["size"], 16))
        for va, text in look.symbols.items():
            assert text.split()[0] in names[va], text
    names_of_all = {f["name"] for f in looked.looks[1].vdso["functions"]}
    name = "__kernel_vsyscall" if "__kernel_vsyscall" in names_of_all else "__vdso_clock_gettime"
    [va] = [f["va"] for f in looked.looks[1].vdso["functions"] if f["name"] == name]
    assert f" {va} " in looked.gdb.run(f"info address {name}") + " "


@pytest.mark.parametrize("looked", OLDER, indirect=True, ids=title)
def test_vvar(looked: Looked) -> None:
    """The page that init read is mapped."""
    for look in looked.looks:
        vvar = look.document["vvar"]
        assert (int(vvar["va"], 16), int(vvar["size"], 16)) == looked.part("[vvar]")
        pages = vvar["pages"]
        assert [int(p["va"], 16) for p in pages] == list(
            range(int(vvar["va"], 16), int(vvar["va"], 16) + int(vvar["size"], 16), PAGE)
        )
        is_mapped = [p["pa"] is not None for p in pages]
        assert is_mapped == [bool(looked.option("vvar_touch")), *[False] * (len(pages) - 1)]
        assert [p["name"] for p in pages][0] == "data"
        for p in pages:
            if p["pa"]:
                assert p["user"] and not p["write"]
                # Without NX all that is mapped can be executed; PAE Linux sets none here.
                assert not p["exec"] or look.document["mode"] in ("32-bit", "pae")


def check_clock(looked: Looked, clock: dict[str, Any]) -> None:
    is_tsc = looked.told("clocksource")[0].startswith("tsc")
    assert clock["clock_mode"] == ("TSC" if is_tsc else "NONE")
    assert clock["without_syscall"] == is_tsc
    assert clock["seq"] % 2 == 0
    if is_tsc:
        found = re.search(r"Detected (\S+) MHz processor", looked.console)
        assert found
        assert clock["mult"] / 2 ** clock["shift"] == pytest.approx(1000 / float(found[1]), 0.05)


@pytest.mark.parametrize("looked", OLDER, indirect=True, ids=title)
def test_the_clock(looked: Looked) -> None:
    """TSC by what the process's kernel has time from; how long a tick is by its first guess."""
    for look in looked.looks:
        clock = look.document["vvar"]["clock"]
        assert (clock is not None) == bool(looked.option("vvar_touch"))  # no symbols are loaded
        if clock:
            check_clock(looked, clock)


def test_vsyscall(looked: Looked) -> None:
    mode = looked.option("vsyscall")
    for look in looked.looks:
        vsyscall = look.document["vsyscall"]
        if look.document["mode"] not in ("4-level", "5-level"):
            assert vsyscall is None
            continue
        assert int(vsyscall["va"], 16) == VSYSCALL
        assert vsyscall["mapped"] == (mode == "emulate")
        if mode == "emulate":
            rights = [vsyscall[right] for right in ("user", "write", "exec")]
            assert rights == [True, False, False]
            assert vsyscall["vsyscall_mode"] == "emulate"
        else:
            assert vsyscall["vsyscall_mode"] == "none or xonly"


@pytest.mark.parametrize("looked", BUILT, indirect=True, ids=title)
def test_with_symbols(looked: Looked) -> None:
    """The same, and what only they tell. This kernel's own timekeeper is the clock's judge."""
    before = looked.looks[-1].document
    gdb = looked.gdb
    with_symbols(looked)
    try:
        document = looked.ask()
        assert document["vdso"]["found_by"] in ("image", "mm")
        for key in ("va", "size", "abi", "soname", "build_id", "functions", "pages", "notes"):
            assert document["vdso"][key] == before["vdso"][key], key
        vvar = document["vvar"]
        assert (int(vvar["va"], 16), int(vvar["size"], 16)) == looked.part("[vvar]")
        assert vvar["clock"]["layout"] == "types"
        check_clock(looked, vvar["clock"])
        if looked.where == "kernel" and vvar["clock"]["clock_mode"] == "TSC":
            for key in ("mult", "shift"):
                truth = gdb.eval(f"tk_core.timekeeper.tkr_mono.{key}")
                assert vvar["clock"][key] == truth
        if document["vsyscall"]:
            mode = looked.option("vsyscall") or "xonly"  # the default of its configuration
            assert document["vsyscall"]["vsyscall_mode"] == mode
    finally:
        gdb.run("symbol-file")


def with_symbols(looked: Looked) -> None:
    vmlinux = fetch(GUESTS[looked.name].kernel).with_name("vmlinux")
    looked.gdb.run(f"ptmap kaslr {vmlinux}")


@pytest.mark.parametrize("looked", BUILT, indirect=True, ids=title)
def test_the_sleeping_process(looked: Looked) -> None:
    """-pid: its vDSO is elsewhere, has the same bytes, and -load puts it in the other's place."""
    sum, _ = looked.told("vdso sum")
    base, other = looked.number("vdso"), looked.number("child vdso")
    assert base != other
    with_symbols(looked)
    try:
        pid = looked.told("child PID")[0]
        dump = looked.folder / "child"
        is_touched = looked.option("vdso_touch") == "all"
        for options, at in ((f"-pid {pid}", other), ("-pid 1", base), ("-comm sleeper", other)):
            document = looked.ask(options)
            vdso = document["vdso"]
            assert int(vdso["va"], 16) == at
            looked.gdb.run(f"vdso {options} -dump {dump} -load")
            assert elf_judge.fnv1a(dump.read_bytes()) == int(sum, 0)
            check_loaded(looked.gdb, vdso, base if at == other else other)
            if at == other:
                assert {p["from"] for p in vdso["pages"]} == {"process" if is_touched else "kernel"}
                assert vdso["found_by"] == "mm" or is_touched and vdso["found_by"] == "image"
    finally:
        looked.gdb.run("symbol-file")


def check_loaded(gdb: GdbSession, vdso: dict[str, Any], gone: int) -> None:
    """GDB has the symbols of this one, and none of the one that was at `gone`."""
    for f in vdso["functions"]:
        offset = int(f["va"], 16) - int(vdso["va"], 16)
        if f["name"].startswith("__"):  # the kernel may have another `time`
            assert gdb.eval(f"(unsigned long)&{f['name']}") == int(f["va"], 16)
        assert gdb.run(f"info symbol {gone + offset:#x}").startswith("No symbol matches")


@pytest.mark.linux("smp")
def test_two_cpus(tmp_path: Path) -> None:
    """-cpu: the process that spins on the second one has its own."""
    append = "exec=1 vdso_touch=all vvar_touch=1"
    with boot("smp", append=append, ram_file=True) as guest, GdbSession(
        script=ptmap_script()
    ) as gdb:
        gdb.attach(guest.gdb_target)
        looked = Looked("smp", "ready", append, guest, gdb, tmp_path)
        at = [looked.number("vdso"), looked.number("child vdso")]
        assert at[0] != at[1]
        for cpu in (0, 1, 0):
            vdso = looked.ask(f"-cpu {cpu}")["vdso"]
            assert int(vdso["va"], 16) == at[cpu] and vdso["found_by"] == "image"
            gdb.run(f"vdso -cpu {cpu} -load -dump {tmp_path / 'dump'}")
            hash = int(looked.told("vdso sum")[0], 0)
            assert elf_judge.fnv1a((tmp_path / "dump").read_bytes()) == hash
            check_loaded(gdb, vdso, at[1 - cpu])


@pytest.mark.parametrize("name, where, words", NONE)
def test_none(name: str, where: Where, words: str, tmp_path: Path) -> None:
    with boot(name, paused_at=where, append=words) as guest, GdbSession(
        script=ptmap_script()
    ) as gdb:
        gdb.attach(guest.gdb_target)
        looked = Looked(name, where, words, guest, gdb, tmp_path)
        assert "init: no vdso\n" in looked.console

        def check() -> None:
            document = looked.ask()
            assert document["vdso"] is None and document["vvar"] is None
            assert document["others"] == []
            assert (document["vsyscall"] is not None) == (document["mode"] == "4-level")
            assert "no vDSO" in gdb.run("vdso")
            for options in (f"-dump {tmp_path / 'dump'}", "-load"):
                try:
                    assert "no vDSO" in gdb.run(f"vdso {options}")
                except GdbFailure as refusal:
                    assert "no vDSO" in str(refusal)
            assert not (tmp_path / "dump").exists()

        check()
        if KERNELS[GUESTS[name].kernel].built:
            with_symbols(looked)
            check()


@pytest.mark.linux("4-level-pti")
def test_told_what_cannot_be() -> None:
    """An auxiliary vector that the process (or an accident) changed: no place is believed that no
    vDSO can have."""
    with boot("4-level-pti") as guest, GdbSession(script=ptmap_script()) as gdb:
        gdb.attach(guest.gdb_target)
        at = gdb.python(
            """
from ptmap.context import selection
from ptmap.linux import recognition
from ptmap.vdso import auxv
space = selection.resolve({})
found = auxv.find(space, recognition.find(space))
AT_SYSINFO_EHDR = 33
types = [type for type, _ in found.values]
result = [found.va + 2 * found.word * types.index(AT_SYSINFO_EHDR), found.vdso]
"""
        )
        place, base = at[0] + 8, at[1]
        for wrong in (
            1,
            0x1000,
            base + 0x10,
            1 << 47,
            (1 << 47) - 0x1000,
            0xFFFF888000000000,
            0xFFFFFFFFFF5FF000,
            (1 << 64) - 0x1000,
            int(gdb.eval("$pc")) & ~0xFFF,
        ):
            gdb.run(f"set *(unsigned long *){place:#x} = {wrong:#x}")
            document = json.loads(gdb.run("vdso -json -"))
            assert document["vdso"] is None and "the process's auxiliary" in document["why_none"]
            with pytest.raises(GdbFailure, match="no vDSO"):
                gdb.run("vdso -load")
        # Nothing is mapped there, but where its data would be is the stack's end.
        maps = next(row for row in guest.console().splitlines() if row.endswith("[stack]"))
        end = int(maps.split()[0].split("-")[1], 16)
        gdb.run(f"set *(unsigned long *){place:#x} = {end + 0x1000:#x}")
        document = json.loads(gdb.run("vdso -json -"))
        assert (
            document["vdso"] is None
            or document["vvar"]["clock"] is None
            and any(page["other"] for page in document["vvar"]["pages"])
        )
        gdb.run(f"set *(unsigned long *){place:#x} = {base:#x}")
        assert json.loads(gdb.run("vdso -json -"))["vdso"]["va"] == hex(base)
        gdb.run(f"set *(unsigned long *){at[0]:#x} = 60")  # of no meaning: it is not told at all
        document = json.loads(gdb.run("vdso -json -"))
        assert document["vdso"] is None and "names no vDSO" in document["why_none"]


@pytest.mark.linux("kgdb-64")
def test_damaged_beside_a_copy(tmp_path: Path) -> None:
    """The kernel's image is damaged, and the process has made a copy before: the copy is not taken
    for the vDSO. What its frames and the vector tell of the place is not lost."""
    append = "vdso_copy=1 vdso_touch=all"
    with boot("kgdb-64", append=append) as guest, GdbSession(script=ptmap_script()) as gdb:
        gdb.attach(guest.gdb_target)
        looked = Looked("kgdb-64", "ready", append, guest, gdb, tmp_path)
        base, whole = looked.number("vdso"), looked.ask()
        assert int(whole["vdso"]["va"], 16) == base and len(whole["others"]) == 1
        # ptmap kaslr makes GDB forget all symbols but these.
        gdb.run("vdso -load")
        with_symbols(looked)
        assert gdb.eval("(unsigned long)&__vdso_getcpu") == int(
            next(f["va"] for f in whole["vdso"]["functions"] if f["name"] == "__vdso_getcpu"), 16
        )
        gdb.run("symbol-file")

        soname = looked.gdb.python(
            f"image = gdb.selected_inferior().read_memory({base}, 4096)\n"
            "result = bytes(image).find(b'linux-vdso.so.1')"
        )
        gdb.run(f"set *(char *){base + soname:#x} = 27")
        document, text = looked.ask(), gdb.run("vdso")
        assert document["vdso"]["va"] == hex(base) and document["vdso"]["soname"] == ""
        assert "it is damaged" in text and "never touched" not in text

        gdb.run(f"set *(char *){base:#x} = 0")
        document, text = looked.ask(), gdb.run("vdso")
        assert document["vdso"] is None and document["others"] == whole["others"]
        assert hex(base) in document["why_none"].replace("0x0000", "0x")
        assert "damaged" in document["why_none"] and "also" in text
        with pytest.raises(GdbFailure, match="no vDSO"):
            gdb.run("vdso -load")
