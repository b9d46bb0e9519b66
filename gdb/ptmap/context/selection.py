"""The address space that the target's registers and the options (-root, -pid ...) select."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import chain
from typing import Any, Mapping

from ..base import native
from ..base.errors import Refusal
from ..base.option import Option
from ..debugger import lookup, progress, settings
from ..debugger.numbers import Number, Unread
from ..linux import kernel, recognition, tasks
from ..linux.symbol_kernel import SymbolKernel, init_mm
from ..machine import cpus, question, target
from ..spaces import kpti
from ..spaces.address_space import MODES, AddressSpace, in_space
from ..spaces.reader import Reader
from ..spaces.registers import Registers
from ..spaces.virtual_memory import Unreadable, VirtualMemory
from . import last_maps, selected_task


def _live_tasks() -> list[tasks.Task]:
    """For completion: the processes, if they are quickly known. It never fails: TAB is no
    question."""
    try:
        with question.of_command():
            target.require_stopped()
            if target.memory().source.keeps:
                return []  # a slow line
            space = resolve({})
            if space.reader.symbols.link_address("init_task") is None:
                return []
            return list(tasks.tasks(tasks.linux(space)))
    except (Exception, KeyboardInterrupt):
        return []


def _pids() -> tuple[str, ...]:
    return tuple(str(task.pid) for task in _live_tasks())


def _comms() -> tuple[str, ...]:
    """Those that need no quotes."""
    names = (task.comm for task in _live_tasks())
    return tuple(dict.fromkeys(name for name in names if re.fullmatch(r"[\w./:+-]+", name)))


OPTIONS = (
    Option("root", "PA", "the tables below this root (physical, or a kernel pointer)"),
    Option("mode", "MODE", "read them in this paging mode", choices=MODES),
    Option("half", "HALF", "KPTI's user or kernel root", choices=("user", "kernel")),
    Option("cpu", "CPU", "of this CPU, counted from 0"),
    Option("pid", "PID", "of this Linux process (needs vmlinux)", words=_pids),
    Option("comm", "NAME", "of the Linux process with this name (needs vmlinux)", words=_comms),
)

_CONTROL = ("cr0", "cr3", "cr4", "efer")
ASSUMED_MAXPHYADDR = 52


def reader() -> Reader:
    """The machine's memory, with the current settings."""
    return Reader(
        memory=target.memory,
        progress=progress,
        symbols=lookup,
        max_tables=settings.limit("max-tables"),
        max_ranges=settings.limit("max-ranges"),
        pat=settings.get("pat"),
        pkru=settings.get("pkru"),
        scans=question.scans(),
        remember_tables=last_maps.remember,
        cpus=cpus.count,
    )


def maxphyaddr() -> int:
    """The setting, or 52 if it is automatic; bits."""
    return settings.get("maxphyaddr") or ASSUMED_MAXPHYADDR


def resolve(options: Mapping[str, Any]) -> AddressSpace:
    """The address space that the options, the settings and the target's registers select.

    Error: Refusal if a register that decides is missing.
    """
    registers = target.registers()
    crashed = missing(registers)
    if crashed is not None:
        registers = _with(registers, crashed)
    assumed = [*chain(*registers.assumed.values()), *target.assumed_of_memory()]
    by_symbols = _kernel_by_symbols() if registers.cr3 is None else None
    if by_symbols is not None:
        registers = selected_task.registers(by_symbols, registers, assumed)
    if options.get("mode"):
        registers = _select(registers, options["mode"], assumed)
    root = options.get("root")
    space = _base(registers, root, tuple(assumed))
    if by_symbols is not None:
        space = space.below(space.root, pair=by_symbols.pair(space.root))
    if space.paging_is_off:
        for option in ("half", "pid", "comm"):
            if option in options:
                raise Refusal(f"-{option}: paging is off (CR0.PG=0)")
        return space
    if len([option for option in ("root", "pid", "comm") if option in options]) > 1:
        raise Refusal("-root, -pid and -comm each select a root: give only one")
    if root is not None:
        root = _as_the_kernel_has_it(space, root)
        space = _with_root(space, root, registers.cr3 is not None)
    if "pid" in options or "comm" in options:
        space = tasks.space_of(space, options.get("pid"), options.get("comm"))
    elif by_symbols is not None and root is None:
        space = selected_task.space_of(by_symbols, space)
    elif crashed is not None and root is None:
        space = space.below(space.root, notes=crashed.notes)
    return _half(space, options["half"]) if "half" in options else space


def missing(known: Registers) -> Registers | None:
    """Values for the control registers that are not known: those of a crashed kernel's own space.
    None if all are known, or if the memory is no crash dump."""
    names = [name for name in _CONTROL if getattr(known, name) is None]
    kernel = target.kernel_registers() if names else None
    if kernel is None:
        return None
    return Registers(
        **{name: getattr(kernel, name) for name in names},
        assumed={name: what for name, what in kernel.assumed.items() if name in names},
        deduced=kernel.deduced,
        notes=kernel.notes if "cr3" in names else (),
    )


def _with(known: Registers, more: Registers) -> Registers:
    """KNOWN, and what of its control registers only MORE has."""
    values = {name: getattr(more, name) for name in _CONTROL if getattr(known, name) is None}
    return replace(known, **values, assumed={**known.assumed, **more.assumed})


def _base(
    registers: Registers, root: Number | Unread | None, assumed: tuple[str, ...]
) -> AddressSpace:
    """CR3's space. Error: Refusal if a register that decides is missing."""
    cr0, cr3, cr4, efer = registers.cr0, registers.cr3, registers.cr4, registers.efer
    if cr0 is None:
        raise _missing("cr0")
    if cr4 is None:
        raise _missing("cr4")
    if cr3 is None and root is None:
        raise _missing("cr3")
    if efer is None and cr4 & native.core.register_mask("CR4", "PAE"):
        raise _missing("efer")
    core = native.core
    control: dict[str, Any] = {"cr0": cr0, "cr3": cr3 or 0, "cr4": cr4, "efer": efer or 0}
    mode = core.paging_mode(cr0, cr4, efer or 0)
    if mode == "off":
        return AddressSpace(
            **control, ac=registers.ac, mode=mode, root=0, _paging=None, _reader=reader()
        )
    paging = core.Paging(**control, maxphyaddr=maxphyaddr())
    where = paging.root_of(control["cr3"])
    return AddressSpace(
        **control,
        ac=registers.ac,
        mode=mode,
        root=where,
        _paging=paging,
        assumed=assumed,
        notes=registers.notes,
        _reader=reader(),
    )


def _kernel_by_symbols() -> SymbolKernel | None:
    """The kernel that the memory source found by its symbols."""
    place = target.memory().source.place
    if place is None:
        return None
    return SymbolKernel(init_mm(place, reader()), place)


def _as_the_kernel_has_it(space: AddressSpace, root: Number | Unread) -> Number:
    """The value of a variable such as init_mm.pgd, read at the kernel's real place: KASLR may have
    moved it away from GDB's symbols, and KPTI's user root does not map it. Other numbers stay as
    they are.

    Error: Refusal if it cannot be read.
    """
    variable = root.variable
    if isinstance(root, Number) and (
        variable is None or not kernel.is_in_image(space.reader.symbols, variable.address)
    ):
        return root
    assert variable is not None
    linux = recognition.find(space)
    offset = linux.offset if linux is not None else None
    if isinstance(root, Number) and not offset:
        return root
    failed = root.why if isinstance(root, Unread) else f"{variable.expression} cannot be read"
    if linux is None or offset is None:
        raise Refusal(failed)
    try:
        pointer = Number(linux.memory.unsigned(linux.moved(variable.address), variable.size))
    except Unreadable:
        raise Refusal(failed) from None
    pointer.is_pointer = root.is_pointer if isinstance(root, Number) else True
    return pointer


def _with_root(space: AddressSpace, root: Number, has_cr3: bool) -> AddressSpace:
    """-root: a physical address, or a pointer that is mapped by CR3's kernel.

    A C pointer is always linear. A plain number is linear if it cannot be physical: it has more
    than 52 bits, or (with 32-bit addresses) it is not RAM but mapped.
    """
    if not -(1 << 63) <= root < 1 << 64:
        raise Refusal(f"-root {root:#x} is wider than 64 bits")
    linear = root.is_pointer or root < 0 or root >= 1 << 52
    if not linear and has_cr3 and not space.paging.canonical and root < 1 << 32:
        linear = not space.memory.is_ram(root, 32) and _pgd(space, root) is not None
    if not linear:
        return space.below(_aligned(space, root, f"{root:#x}"))
    pa = _pgd(space, root) if has_cr3 else None
    if pa is None:
        raise Refusal(f"-root {root:#x} is neither a physical address nor mapped by the kernel")
    return space.below(_aligned(space, pa, f"{root:#x} (physical {pa:#x})"))


def _pgd(space: AddressSpace, pointer: int) -> int | None:
    return VirtualMemory(kpti.kernel_of(space)).translate(in_space(space, pointer))


def _aligned(space: AddressSpace, root: int, shown: str) -> int:
    if space.paging.root_of(root) != root:
        raise Refusal(f"-root {shown} cannot be a {space.mode} root: {_root_rule(space.mode)}")
    return root


def _half(space: AddressSpace, half: str) -> AddressSpace:
    pair = kpti.roots(space)
    if pair is None:
        raise Refusal(f"-half {half}: no KPTI here: the root {space.root:#x} is not one of a pair")
    return space.below(pair.user if half == "user" else pair.kernel, pair=pair)


def _missing(register: str) -> Refusal:
    # If there is no memory its Refusal is the better reason.
    why = target.memory().source.why_no_kernel or f"this target shows no {register.upper()}"
    return Refusal(f"{why}: give -root PA -mode MODE, or `set ptmap {register} VALUE`")


def _root_rule(mode: str) -> str:
    if mode == "pae":
        return "one is 32-byte aligned and below 4 GiB"
    return f"one is 4096-byte aligned and below 2^{32 if mode == '32-bit' else maxphyaddr()}"


def _select(registers: Registers, mode: str, assumed: list[str]) -> Registers:
    """The registers, changed only as far as the mode needs."""
    cr0, cr4, efer = registers.cr0, registers.cr4, registers.efer
    if cr0 is not None and cr4 is not None and efer is not None:
        if mode == native.core.paging_mode(cr0, cr4, efer):
            return registers
    if cr0 is None:
        assumed.append("CR0.WP=1")
    if cr4 is None:
        assumed.append("CR4.PSE=PGE=1, SMEP=SMAP=PKE=0")
    if efer is None and mode != "32-bit":
        assumed.append("EFER.NXE=1")
    cr0, cr4, efer = native.core.registers_for(mode, cr0, cr4, efer)
    return replace(registers, cr0=cr0, cr4=cr4, efer=efer)
