"""pte -watch: a GDB watchpoint on the entry that maps an address.

A watchpoint is on a linear address; debug registers and QEMU know no others. Several addresses may
map the entry: the watchpoint is on the one through which the kernel writes.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

import gdb

from ..base.errors import Refusal
from ..base.text import printable
from ..context import selection, space_labels
from ..linux import recognition
from ..machine import cpus, target
from ..spaces import kpti, labels, maps, scanned, walks
from ..spaces.address_space import AddressSpace
from ..spaces.virtual_memory import VirtualMemory

if TYPE_CHECKING:
    from .._core import Range, Step, Walk

_COLUMNS = 80
_TYPES = {4: "unsigned int", 8: "unsigned long long"}  # GDB knows these for every architecture
_DIRECT = (labels.Part.DIRECT_MAP, labels.Part.LOWMEM)


@dataclass(frozen=True)
class _Alias:
    """A linear address of an entry."""

    va: int
    what: str  # "the direct map (deduced)", "supervisor, writable"
    others: int | None  # the number of other addresses; None if they were not searched
    complete: bool = True


def set_watch(space: AddressSpace, addresses: list[int]) -> str:
    """Sets the watchpoint, and says what it does. Error: Refusal if it cannot be set."""
    if len(addresses) != 1:
        raise Refusal(f"-watch takes one address, not {len(addresses)}")
    if space.paging_is_off:
        raise Refusal("-watch: paging is off (CR0.PG=0): there is no entry to watch")
    _require_watchpoints(space)
    cpus.require_stop("-watch: no watchpoint can be set")
    walk = walks.walk(space, addresses[0])
    if walk.outcome == "not-canonical":
        raise Refusal(f"-watch: {walk.va:#x} is not canonical: no entry maps it")
    step = walk.steps[-1]
    if walk.outcome == "unreadable":
        raise Refusal(
            f"-watch: the {step.entry_name} at {step.entry_address:#x} "
            f"cannot be read: {walk.why}"
        )
    running = _running(space)
    alias = _alias(kpti.kernel_of(running), step, space.paging.entry_bytes)
    target.require_same()
    said = _set(alias.va, space.paging.entry_bytes)
    return "\n".join([said, *_lines(space, walk, alias, running)]) + "\n"


def _require_watchpoints(space: AddressSpace) -> None:
    """Error: Refusal if the target is not a machine that can run on."""
    connection = gdb.selected_inferior().connection
    if gdb.selected_thread() is None or connection is None:
        raise Refusal("-watch needs a machine that can run on: there is no target")
    if connection.type == "core":
        raise Refusal("-watch needs a machine that can run on: a core file has no watchpoints")
    if not space.memory.source.can_run:
        raise Refusal("-watch needs a machine that can run on, not a dump (set ptmap memory auto)")
    if not gdb.parameter("can-use-hw-watchpoints"):
        raise Refusal(
            "-watch: can-use-hw-watchpoints is 0, and without them GDB would step the "
            "machine instruction by instruction"
        )


def _running(space: AddressSpace) -> AddressSpace:
    """The space that the selected CPU uses; -root or -pid may select another one to show."""
    try:
        current = selection.resolve({})
    except Refusal:
        return space
    if current.paging_is_off:
        raise Refusal("-watch: paging is off (CR0.PG=0): the tables of -root are not in use")
    return current


def _alias(space: AddressSpace, step: Step, size: int) -> _Alias:
    """The best address of an entry: supervisor and writable, in the direct map if that is known.
    Error: Refusal if no address maps the entry."""
    place, pa = space.memory.source.place, step.entry_address
    if place is not None:  # the line is slow, so the whole map is not read for this
        va = place.page_offset + pa
        if VirtualMemory(space).translate(va) != pa:
            raise _unreached(space, step, "")
        return _Alias(va, "the direct map (read)", None)
    made = maps.find(space, scanned.of(space).whole.tables, pa, pa + size - 1)
    if not len(made):
        raise _unreached(space, step, "" if made.complete else " (as far as it could be read)")
    known = space_labels.of(space).all
    direct = [one for one in known if one.part in _DIRECT]

    def rank(r: Range) -> tuple[bool, bool, bool, int]:
        return (r.user or not r.write, not r.write, labels.at(direct, r.va) is None, r.va)

    best = min(made, key=rank)
    label = labels.at(known, best.va)
    what = f"{printable(label.name)} ({label.source})" if label else "an alias"
    what = f"the {what}" if label and label.part is labels.Part.DIRECT_MAP else what
    rights = (
        f"{'user' if best.user else 'supervisor'}, " f"{'writable' if best.write else 'read-only'}"
    )
    return _Alias(best.va, f"{what}, {rights}", len(made) - 1, made.complete)


def _unreached(space: AddressSpace, step: Step, read: str) -> Refusal:
    why = ""
    if not space.paging.canonical and recognition.find(space):
        why = ": 32-bit Linux maps tables in high memory only while it changes them"
    return Refusal(
        f"-watch: no linear address maps the {step.entry_name} at physical "
        f"{step.entry_address:#x} below the root {space.root:#x}{read}{why}"
    )


def _set(va: int, size: int) -> str:
    """Sets the watchpoint; the text is GDB's. Error: Refusal if it is not a hardware watchpoint."""
    before = {one.number for one in gdb.breakpoints()}
    said = gdb.execute(f"with language c -- watch *({_TYPES[size]} *) {va:#x}", to_string=True)
    for one in gdb.breakpoints():
        if one.number not in before and one.type != gdb.BP_HARDWARE_WATCHPOINT:
            one.delete()
            raise Refusal(
                "-watch: this target has no hardware watchpoint for it, and without one "
                "GDB would step the machine instruction by instruction"
            )
    return re.sub(r"\s+$", "", said)


def _lines(space: AddressSpace, walk: Walk, alias: _Alias, running: AddressSpace) -> list[str]:
    step = walk.steps[-1]
    where = f"{step.entry_name} {step.index} at physical {step.entry_address:#x}"
    does = {
        "mapped": "maps",
        "not-present": "is not present: a walk ends there, to",
        "reserved-bit": "has a reserved bit set: a walk ends there, to",
    }[walk.outcome]
    texts = [f"the {where} {does} {space.hex(walk.va)}; watched through {alias.what}"]
    if VirtualMemory(running).translate(alias.va) is None:  # under KPTI's user root
        texts.append(
            f"GDB cannot read it while CR3 is {running.root:#x}, which does not map it: "
            "the first old value that it shows is <unreadable>"
        )
    texts.append(
        f"not seen: the CPU's own accessed and dirty updates; {_others(alias, step)}; "
        "changes of the entries above it"
    )
    return [
        line
        for text in texts
        for line in textwrap.wrap(text, _COLUMNS - 2, initial_indent="  ", subsequent_indent="    ")
    ]


def _others(alias: _Alias, step: Step) -> str:
    text = "writes through other addresses"
    if alias.others is None:
        return f"{text} (ptmap find {step.entry_address:#x} has them all)"
    more = "" if alias.complete else ", as far as the tables could be read"
    if not alias.others:
        return f"{text} (there is none now{more})"
    verb = "is" if alias.others == 1 else "are"
    return f"{text} (there {verb} {alias.others} now{more}: " f"ptmap find {step.entry_address:#x})"
