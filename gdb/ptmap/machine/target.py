"""What GDB is attached to: whether it is stopped, its control registers, its memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import gdb

from ..base import lifetimes, native
from ..base.errors import Refusal
from ..debugger import failures, settings
from ..spaces.registers import Registers, SystemRegisters
from . import cpus, qemu_monitor, qemu_stub
from .memory import Memory
from .sources import choose


@dataclass
class _Question:
    """Lives as long as a command."""

    used: dict[int, Registers] = field(default_factory=dict)  # registers read from QEMU, by thread


def _this() -> _Question:
    return lifetimes.command.of(_Question)


def leave_alone() -> None:
    """Call it before an answer that does not use the target."""
    _this().used.clear()


def require_stopped() -> None:
    """Error: Refusal if the target runs, or if there is none and one is needed."""
    word, _ = settings.memory()
    if word == "dump":
        return  # a dump has all that a command needs
    thread = cpus.selected_thread()
    if thread is None or not thread.is_valid():
        if word == "file":
            return
        raise Refusal("no target: attach to one first, for example `target remote :1234`")
    if cpus.in_stop():
        return  # GDB is using its frames and has just read the registers
    if thread.is_running():
        raise Refusal("the target is running: interrupt it first")
    repair()
    look_again()


def require_same() -> None:
    """Call it before an answer is given. Error: Refusal if the machine ran or was reset since its
    registers were read: then the answer mixes two states."""
    told = _this().used
    if not told or cpus.in_stop():
        return
    look_again()
    used = [thread for thread in gdb.selected_inferior().threads() if thread.num in told]
    for thread in used:
        with cpus.thread_selected(thread):
            is_same = _from_thread() == told[thread.num]
        if not is_same:
            raise Refusal("the machine ran or was reset while it was read: ask again")
    if len(used) != len(told):
        raise Refusal("a CPU is gone since it was read: ask again")


def registers() -> Registers:
    """The selected CPU's registers; `set ptmap cr0` and the like replace their values."""
    known = _from_source()
    thread = gdb.selected_thread()
    if known is None:
        known = _from_thread() if thread is not None else Registers()
        if thread is not None and qemu_stub.is_qemu(gdb.selected_inferior().connection):
            _this().used[thread.num] = known
    names = ("cr0", "cr3", "cr4", "efer")
    given = {name: value for name in names if (value := settings.get(name)) is not None}
    assumed = {name: what for name, what in known.assumed.items() if name not in given}
    return replace(known, **given, assumed=assumed)


def _from_source() -> Registers | None:
    """The registers that the memory's source has; None if the target has to be asked."""
    try:
        source = choose.memory().source
        return source.registers(cpus.current()) if source.knows_registers else None
    except Refusal:
        if gdb.selected_thread() is None:
            raise
        return None  # a command that needs the memory reports the refusal


def kernel_registers() -> Registers | None:
    """See Source.kernel."""
    try:
        return choose.memory().source.kernel
    except Refusal:
        return None  # a command that needs the memory reports it


def system_registers() -> SystemRegisters | None:
    """GDTR, IDTR, LDTR and TR of the selected CPU; None if they are not known."""
    cpu = cpus.current()
    try:
        known = choose.memory().source.system_registers(cpu)
    except Refusal:
        known = None
    return known or qemu_monitor.system_registers(cpu)


def architecture() -> gdb.Architecture:
    """The selected frame's; without a target, by the registers; else GDB's own choice."""
    if gdb.selected_thread() is not None:
        return gdb.selected_frame().architecture()
    efer = registers().efer
    if efer is None:
        return gdb.selected_inferior().architecture()
    before = gdb.parameter("architecture")
    name = "i386:x86-64" if efer & native.core.register_mask("EFER", "LMA") else "i386"
    gdb.execute(f"set architecture {name}", to_string=True)
    try:
        return gdb.selected_inferior().architecture()
    finally:
        gdb.execute(f"set architecture {before}", to_string=True)


def _from_thread() -> Registers:
    read = _read_in_stop if cpus.in_stop() else _read_of_frame
    return Registers(
        cr0=read("cr0"),
        cr2=read("cr2"),
        cr3=read("cr3"),
        cr4=read("cr4"),
        efer=read("efer"),
        eflags=read("eflags"),
        cs=read("cs"),
        sp=read("rsp") or read("esp"),
    )


def _read_of_frame(name: str) -> int | None:
    # Not by $cr3: if the target has no such register that is a convenience variable, which the
    # user may have set.
    try:
        value = gdb.newest_frame().read_register(name)
        return int(value) & (1 << 8 * value.type.sizeof) - 1  # GDB's are signed
    except ValueError:
        return None


@dataclass
class _Connection:
    """Lives as long as a connection."""

    has_stopped: bool = False
    register_names: dict[str, frozenset[str]] = field(default_factory=dict)  # by architecture


def _read_in_stop(name: str) -> int | None:
    """Without a gdb.Frame: to make one, GDB reads the stack to find the caller. The newest frame is
    selected here."""
    inferior = gdb.selected_inferior()
    architecture = inferior.architecture()
    number = inferior.connection.num if inferior.connection else 0
    names = lifetimes.connection(number).of(_Connection).register_names
    if architecture.name() not in names:
        names[architecture.name()] = frozenset(one.name for one in architecture.registers())
    if name not in names[architecture.name()]:
        return None  # $cr3 would be a convenience variable
    value = gdb.parse_and_eval(f"${name}")
    return int(value) & (1 << 8 * value.type.sizeof) - 1


def assumed_of_memory() -> tuple[str, ...]:
    """See Source.assumed."""
    try:
        return choose.memory().source.assumed
    except Refusal:
        return ()  # a command that needs the memory reports the refusal


def memory() -> Memory:
    """The target's physical memory, for this command. Error: Refusal if there is none."""
    return choose.memory()


def repair() -> None:
    """Ends the physical mode that an earlier session left on in QEMU, and says so.

    Until then GDB itself reads the wrong memory, so this comes before anything else.
    """
    connection = gdb.selected_inferior().connection
    if not qemu_stub.is_qemu(connection) or not qemu_stub.physical_mode(connection):
        return
    qemu_stub.leave_physical_mode(connection)
    gdb.write(
        "ptmap: QEMU's stub was still in physical-memory mode, from an earlier session; "
        "it is off now.\n",
        gdb.STDERR,
    )
    gdb.execute("maintenance flush register-cache", to_string=True)
    gdb.execute("maintenance flush dcache", to_string=True)


def look_again() -> None:
    """Makes GDB read the registers anew: it keeps them while it sees the target stopped.

    GDB does not notice if QEMU's monitor resets the machine, loads a snapshot or lets it run. Only
    for QEMU: reading anew is slow on a serial line.
    """
    if qemu_stub.is_qemu(gdb.selected_inferior().connection):
        frame = gdb.selected_frame()
        level = frame.level()
        gdb.execute("maintenance flush register-cache", to_string=True)
        if level and frame.is_valid():
            frame.select()


def watch_changes() -> None:
    """Forgets what was read when the target runs or is changed."""
    events = gdb.events
    for event in (
        events.cont,
        events.exited,
        events.memory_changed,
        events.register_changed,
        events.inferior_call,
        events.new_objfile,
        events.clear_objfiles,
    ):
        event.connect(lambda _event: choose.forget())


def watch_attach() -> None:
    """Repairs as soon as GDB attaches: attaching ends in a stop."""

    def on_stop(_event: gdb.Event) -> None:
        connection = gdb.selected_inferior().connection
        if connection is None:
            return
        this = lifetimes.connection(connection.num).of(_Connection)
        if this.has_stopped:
            return
        this.has_stopped = True
        try:
            repair()
        except failures.EXPECTED as error:
            why = failures.sentence(error)
            if why is None:
                raise
            gdb.write(f"ptmap: {why}\n", gdb.STDERR)

    gdb.events.stop.connect(on_stop)
