"""Where a kernel and its direct map are, by symbols: kernels that are made up here, without a guest
and without GDB's symbols. linux/place.py gets both handed in."""

from __future__ import annotations

from typing import Any, Iterator

import pytest

from gdbsession import GdbSession, ptmap_script
from tables import MIB2, MIB4, P, RW, Tables

IMAGE_64 = 0xFFFFFFFF80000000
BANNER = b"Linux version 6.1.0-made-up ".ljust(32)

FIND = """
from types import SimpleNamespace
from ptmap.base.errors import Refusal
from ptmap.linux import place

memory, sizes, tried = {memory!r}, {sizes!r}, []
def read(at, length):
    for start, content in memory.items():
        if start <= at and at + length <= start + len(content):
            return content[at - start : at - start + length]
symbols = SimpleNamespace(link_address={linked!r}.get, size_of_type=sizes.get)
progress = SimpleNamespace(placing=lambda done, places: tried.append([done, places]))
stub = place.Stub(read, symbols, progress)
try:
    found = place.find(stub, {pc!r}, {given!r})
    values = {{name: value for name, value in vars(found).items() if name != "banner"}}
    result = [values, list(found.registers), found.is_same(stub), tried]
    memory[{banner_at}] = bytes(32)
    result.append(found.is_same(stub))
except Refusal as refusal:
    result = [type(refusal).__name__, str(refusal)]
"""


class MadeUp:
    """A kernel OFFSET above its link addresses, whose image is at physical 48 MiB."""

    def __init__(self, mode: str, offset: int) -> None:
        self.mode, self.offset = mode, offset
        self.wide = mode in ("4-level", "5-level")
        self.pointer = 8 if self.wide else 4
        base = IMAGE_64 if self.wide else 0xC0000000
        self.link = {"_text": base + 0x1000000, "_end": base + 0x2000000}
        self.page_offset = {"4-level": 0xFFFF9A0000000000, "5-level": 0xFF21000000000000}.get(
            mode, 0xC0000000
        )
        self.image = self.link["_text"] + offset - 0x3000000 if self.wide else self.page_offset
        self.memory: dict[int, bytes] = {}
        self.banner_at = self.put("linux_banner", BANNER, 0x800000)
        self._variables()
        self._tables()

    def put(self, name: str, content: bytes | int, at: int, size: int = 0) -> int:
        """A variable so far behind _text; its address in the running kernel."""
        if isinstance(content, int):
            content = (content & (1 << 64) - 1).to_bytes(8, "little")[: size or self.pointer]
        self.link[name] = self.link["_text"] + at
        running = self.link[name] + self.offset
        self.memory[running] = content
        return running

    def _variables(self) -> None:
        self.put("max_pfn", 0x8000, 0x900000)
        self.put("__supported_pte_mask", 1 << 63 | 0xFFF, 0x900010, 8)
        if self.wide:
            self.put("pgdir_shift", 48 if self.mode == "5-level" else 39, 0x900020, 4)
            self.put("phys_base", IMAGE_64 - self.image, 0x900030)
            self.put("page_offset_base", self.page_offset, 0x900040)
        else:
            self.put("max_low_pfn", 0x8000, 0x900020)
            self.put("high_memory", self.page_offset + 0x8000000, 0x900030)

    def _tables(self) -> None:
        """They map the banner, and are read through the direct map only."""
        tables = Tables(self.mode, 0x100000)
        large = MIB4 if self.mode == "32-bit" else MIB2
        first = self.banner_at & ~(large - 1)
        tables.map(first, first - self.image, large, P | RW, P | RW)
        self.link["swapper_pg_dir"] = tables.root + self.image - self.offset
        self.root = tables.root
        for at, page in tables.pages.items():
            self.memory[self.page_offset + at] = bytes(page)

    def found(
        self, gdb: GdbSession, pc: int | None = None, given: int | None = None, types: bool = True
    ) -> Any:
        sizes = {"unsigned long": self.pointer}
        if types and not self.wide:
            sizes["pte_t"] = 8 if self.mode == "pae" else 4
        return gdb.python(
            FIND.format(
                memory=self.memory,
                sizes=sizes,
                linked=self.link,
                pc=pc,
                given=given,
                banner_at=self.banner_at,
            )
        )


@pytest.fixture(scope="module")
def gdb() -> Iterator[GdbSession]:
    with GdbSession(script=ptmap_script()) as session:
        yield session


# CR0 and EFER as Linux sets them; CR4's bits that select the mode.
REGISTERS = {
    "32-bit": [0x80050033, 0x10, 0],
    "pae": [0x80050033, 0x20, 0x800],
    "4-level": [0x80050033, 0x20, 0xD01],
    "5-level": [0x80050033, 0x1020, 0xD01],
}


@pytest.mark.parametrize("types", [True, False])
@pytest.mark.parametrize("offset", [0, 0x1C000000])
@pytest.mark.parametrize("mode", REGISTERS)
def test_a_kernel_is_found(gdb: GdbSession, mode: str, offset: int, types: bool) -> None:
    made = MadeUp(mode, offset)
    found, registers, same, tried, same_without_banner = made.found(gdb, types=types)
    assert (found["mode"], found["offset"]) == (mode, offset)
    assert (found["page_offset"], found["image"]) == (made.page_offset, made.image)
    assert (found["root"], found["banner_at"]) == (made.root, made.banner_at)
    assert (found["text"], found["image_end"]) == (
        made.link["_text"] + offset,
        made.link["_end"] + offset,
    )
    assert found["end"] == 0x8000000 and found["pti"] is None
    assert registers == REGISTERS[mode]
    assert same and not same_without_banner
    assert tried == [[n + 1, 512] for n in range(1 + offset // MIB2)]


def test_the_program_counter_saves_tries(gdb: GdbSession) -> None:
    made = MadeUp("4-level", 0x1C000000)
    *_, tried, _ = made.found(gdb, pc=made.link["_text"] + made.offset)
    assert len(tried) == 2


@pytest.mark.parametrize("mode", REGISTERS)
def test_another_direct_map_is_disproved(gdb: GdbSession, mode: str) -> None:
    kind, why = MadeUp(mode, 0).found(gdb, given=0xD0000000)
    assert kind == "Disproof"
    assert why.startswith("no direct map at 0xd0000000: the kernel's tables, read there, do not")


def test_a_kernel_needs_its_symbols(gdb: GdbSession) -> None:
    none, half, other = (MadeUp("4-level", 0) for _ in range(3))
    none.link.clear()
    assert "no kernel's symbols are loaded" in none.found(gdb)[1]
    del half.link["_end"]
    assert "no _text and _end" in half.found(gdb)[1]
    other.memory.clear()
    assert "are not this kernel's" in other.found(gdb)[1]


PLACE = """
from types import SimpleNamespace
from ptmap.base.errors import Refusal
from ptmap.linux import place, placement
memory = {memory!r}
def read(at, length):
    for start, content in memory.items():
        if start <= at and at + length <= start + len(content):
            return content[at - start : at - start + length]
progress = SimpleNamespace(placing=lambda done, places: None)
file = SimpleNamespace(text={text}, end={end}, banner_at={banner_at}, banner={banner!r},
                       per_cpu_from_zero={from_zero})
try:
    stub = place.Stub(read, None, progress)
    result = list(placement.by_reading(stub, None, file, None, "vmlinux"))
except Refusal as refusal:
    result = str(refusal)
"""


@pytest.mark.parametrize("from_zero, unmoved", [(True, ".data..percpu"), (False, "")])
def test_a_file_is_placed_by_its_banner(gdb: GdbSession, from_zero: bool, unmoved: str) -> None:
    """No symbol is asked for."""
    made = MadeUp("4-level", 0x1C000000)

    def placed(banner: bytes) -> Any:
        return gdb.python(
            PLACE.format(
                memory=made.memory,
                text=made.link["_text"],
                end=made.link["_end"],
                banner_at=made.link["linux_banner"],
                banner=banner,
                from_zero=from_zero,
            )
        )

    assert placed(BANNER) == [0x1C000000, unmoved, False]
    other = "vmlinux is not this kernel's: its linux_banner is not in memory"
    assert placed(BANNER.replace(b"6", b"7")) == other
