"""The registers that only QEMU's monitor shows: GDTR, IDTR, LDTR, TR.

The monitor has a selected CPU of its own (`cpu N`). `info registers -a` shows all CPUs, so the
selection does not matter.
"""

from __future__ import annotations

import re

import gdb

from ..spaces.registers import Segment, SystemRegisters
from . import qemu_stub, remote


_CPU = re.compile(r"^CPU#(\d+)", re.M)
# "TR =0040 fffffe0000003000 00004087 00008900 DPL=0 TSS64-avl" and "GDT=     ff401000 000000ff"
_SEGMENT = (
    r"^{name} *= *([0-9a-f]{{1,8}}) +([0-9a-f]{{1,16}}) +([0-9a-f]{{1,8}}) +([0-9a-f]{{1,8}})\b"
)
_TABLE = r"^{name} *= *([0-9a-f]{{1,16}}) +([0-9a-f]{{1,8}}) *$"


def system_registers(cpu: int) -> SystemRegisters | None:
    """Those of the CPU with this index; None if the target is not QEMU or does not show them."""
    if qemu_stub.physical_mode(gdb.selected_inferior().connection) is None:
        return None  # `monitor` may reach another program: with kgdb it is KDB
    text = remote.monitor("info registers -a")
    return None if text is None else parse(text.replace("\r", ""), cpu)


def parse(text: str, cpu: int) -> SystemRegisters | None:
    """One CPU's registers in the text of `info registers -a`."""
    pieces = _CPU.split(text)  # the text before the first CPU, then index, text, index, text, ...
    of_cpu = dict(zip(pieces[1::2], pieces[2::2])).get(str(cpu))
    if of_cpu is None:
        return None
    gdtr, idtr = _table(of_cpu, "GDT"), _table(of_cpu, "IDT")
    ldtr, tr = _segment(of_cpu, "LDT"), _segment(of_cpu, "TR")
    if gdtr is None or idtr is None or ldtr is None or tr is None:
        return None
    return SystemRegisters(gdtr, idtr, ldtr, tr)


def _table(text: str, name: str) -> Segment | None:
    found = re.search(_TABLE.format(name=name), text, re.M)
    return Segment(int(found[1], 16), int(found[2], 16)) if found else None


def _segment(text: str, name: str) -> Segment | None:
    found = re.search(_SEGMENT.format(name=name), text, re.M)
    if not found:
        return None
    selector, base, limit, flags = (int(word, 16) for word in found.groups())
    return Segment(base, limit, selector, flags)
