"""What GDB is attached to: whether it can be asked, its control registers, its memory."""

from __future__ import annotations

from dataclasses import dataclass

import gdb

from . import cpus, qemu_stub, settings
from .errors import Refusal
from .memory import Memory
from .sources import choose


@dataclass(frozen=True)
class Registers:
    """Of the selected thread, which is a vCPU with QEMU. None where the target lacks it."""

    cr0: int | None
    cr2: int | None
    cr3: int | None
    cr4: int | None
    efer: int | None
    eflags: int | None
    cs: int | None
    sp: int | None

    @property
    def ac(self) -> bool:
        """EFLAGS.AC, which lets the kernel past SMAP."""
        return bool((self.eflags or 0) >> 18 & 1)


def require_stopped() -> None:
    """Error: Refusal where there is no target, or one that runs."""
    thread = cpus.selected_thread()
    if thread is None or not thread.is_valid():
        raise Refusal("no target: attach to one first, for example `target remote :1234`")
    if thread.is_running():
        raise Refusal("the target is running: interrupt it first")
    repair()
    look_again()


def registers() -> Registers:
    """The selected thread's registers, with `set ptmap cr0` and the like put over them."""

    def read(name: str) -> int | None:
        # Not $cr3: where the target has no such register that is a convenience variable, and
        # somebody may have set it.
        try:
            value = gdb.newest_frame().read_register(name)
            return int(value) & (1 << 8 * value.type.sizeof) - 1  # GDB's are signed
        except ValueError:
            return None

    def read_or_set(name: str) -> int | None:
        given = settings.get(name)
        return given if given is not None else read(name)

    return Registers(
        cr0=read_or_set("cr0"),
        cr2=read("cr2"),
        cr3=read_or_set("cr3"),
        cr4=read_or_set("cr4"),
        efer=read_or_set("efer"),
        eflags=read("eflags"),
        cs=read("cs"),
        sp=read("rsp") or read("esp"),
    )


def memory() -> Memory:
    """The target's physical memory, for this command. Error: Refusal where there is none."""
    return choose.memory()


def repair() -> None:
    """Ends the physical mode that an earlier session left on in QEMU, and says so.

    Until then every address that GDB itself reads is wrong, so this comes before anything else.
    """
    connection = gdb.selected_inferior().connection
    if not qemu_stub.is_qemu(connection) or not qemu_stub.physical_mode(connection):
        return
    qemu_stub.leave_physical_mode(connection)
    gdb.write(
        "ptmap: QEMU's stub was still in physical-memory mode, from an earlier session; "
        "put back.\n",
        gdb.STDERR,
    )
    gdb.execute("maintenance flush register-cache", to_string=True)
    gdb.execute("maintenance flush dcache", to_string=True)


def look_again() -> None:
    """Makes GDB forget the registers that it keeps for as long as it sees the target stopped.

    Behind its back QEMU's monitor resets the machine, loads a snapshot, lets it run. Only QEMU's:
    asking anew is slow on a serial line.
    """
    if qemu_stub.is_qemu(gdb.selected_inferior().connection):
        frame = gdb.selected_frame()
        level = frame.level()
        gdb.execute("maintenance flush register-cache", to_string=True)
        if level and frame.is_valid():
            frame.select()


_seen: set[int] = set()  # connections that have stopped once


def watch_changes() -> None:
    """What was read is forgotten where the target runs or somebody changes it."""
    events = gdb.events
    for event in (events.cont, events.exited, events.memory_changed, events.register_changed,
                  events.inferior_call, events.new_objfile, events.clear_objfiles):  # fmt: skip
        event.connect(lambda _event: choose.forget())


def watch_attach() -> None:
    """Repairs as soon as GDB attaches: attaching ends in a stop."""

    def on_stop(_event: gdb.Event) -> None:
        connection = gdb.selected_inferior().connection
        if connection is None or connection.num in _seen:
            return
        _seen.add(connection.num)
        try:
            repair()
        except (Refusal, gdb.error) as error:
            gdb.write(f"ptmap: {error}\n", gdb.STDERR)

    gdb.events.stop.connect(on_stop)
