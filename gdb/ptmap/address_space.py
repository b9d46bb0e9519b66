"""Which tables to read, and how: registers, -root and -mode put together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, Mapping


from . import native, settings, target
from .command import Option
from .errors import Refusal

MODES = ("32-bit", "pae", "4-level", "5-level")

OPTIONS = (
    Option("root", "PA", "read the tables below this physical address instead of CR3's"),
    Option("mode", "MODE", "read them in this paging mode", choices=MODES),
)

# The bits that select a mode (SDM vol. 3A, 4.1.1), and those assumed where the target shows none.
_CR0_PG, _CR0_USUAL = 1 << 31, 1 << 31 | 1 << 16 | 1  # PG, WP, PE
_CR4_PSE, _CR4_PAE, _CR4_PGE, _CR4_LA57 = 1 << 4, 1 << 5, 1 << 7, 1 << 12
_CR4_PKE, _CR4_PKS = 1 << 22, 1 << 24
_EFER_LMA, _EFER_NXE = 1 << 10, 1 << 11
_MODE_CR4 = {"32-bit": 0, "pae": _CR4_PAE, "4-level": _CR4_PAE, "5-level": _CR4_PAE | _CR4_LA57}

ASSUMED_MAXPHYADDR = 52


@dataclass(frozen=True)
class AddressSpace:
    """Everything that decides what an address means, but for the memory itself."""

    cr0: int
    cr3: int
    cr4: int
    efer: int
    ac: bool  # EFLAGS.AC
    mode: str  # "off" too
    root: int
    paging: Any  # _core.Paging; None with paging off
    assumed: tuple[str, ...]  # what was assumed, in words

    @property
    def has_keys(self) -> bool:
        """Protection keys, of user or supervisor pages (CR4.PKE, CR4.PKS)."""
        return bool(self.cr4 & (_CR4_PKE | _CR4_PKS))

    @property
    def digits(self) -> int:
        """Of an address on show."""
        return 16 if self.mode in ("4-level", "5-level") else 8

    def hex(self, address: int) -> str:
        return f"0x{address:0{self.digits}x}"


def resolve(options: Mapping[str, Any]) -> AddressSpace:
    """The address space that the options, the settings and the target's registers select.

    Error: Refusal where a register is missing that decides.
    """
    core = native.core()
    registers = target.registers()
    root = options.get("root")
    if root is not None and not 0 <= root < 1 << 64:
        raise Refusal(f"-root {root:#x} is no physical address")
    assumed: list[str] = []
    if options.get("mode"):
        registers = _select(core, registers, options["mode"], assumed)
    cr0, cr3, cr4, efer = registers.cr0, registers.cr3, registers.cr4, registers.efer
    if cr0 is None:
        raise _missing("cr0")
    if cr4 is None:
        raise _missing("cr4")
    if cr3 is None and root is None:
        raise _missing("cr3")
    if efer is None and cr4 & _CR4_PAE:
        raise _missing("efer")
    control = {"cr0": cr0, "cr3": cr3 or 0, "cr4": cr4, "efer": efer or 0}

    mode = core.paging_mode(cr0, cr4, efer or 0)
    if mode == "off":
        return AddressSpace(**control, ac=registers.ac, mode=mode, root=0, paging=None, assumed=())
    paging = core.Paging(**control, maxphyaddr=maxphyaddr())
    where = paging.root_of(control["cr3"] if root is None else root)
    if root is not None and where != root:
        raise Refusal(f"-root {root:#x} cannot be a {mode} root: {_root_rule(mode)}")
    return AddressSpace(
        **control, ac=registers.ac, mode=mode, root=where, paging=paging, assumed=tuple(assumed)
    )


def maxphyaddr() -> int:
    """The setting, or what is assumed."""
    return settings.get("maxphyaddr") or ASSUMED_MAXPHYADDR


def _missing(register: str) -> Refusal:
    return Refusal(
        f"this target shows no {register.upper()}: give -root PA -mode MODE, "
        f"or `set ptmap {register} VALUE`"
    )


def _root_rule(mode: str) -> str:
    if mode == "pae":
        return "it is 32-byte aligned and below 4 GiB"
    return f"it is 4096-byte aligned and below 2^{32 if mode == '32-bit' else maxphyaddr()}"


def _select(
    core: ModuleType, registers: target.Registers, mode: str, assumed: list[str]
) -> target.Registers:
    """Registers changed as little as selects the mode."""
    cr0, cr4, efer = registers.cr0, registers.cr4, registers.efer
    if cr0 is None:
        cr0 = _CR0_USUAL
        assumed.append("CR0.WP=1")
    if cr4 is None:
        cr4 = _CR4_PSE | _CR4_PGE
        assumed.append("CR4.PSE=PGE=1, SMEP=SMAP=PKE=0")
    if efer is None:
        efer = _EFER_NXE
        if mode != "32-bit":
            assumed.append("EFER.NXE=1")
    elif mode == core.paging_mode(cr0, cr4, efer):
        return registers
    long_mode = _EFER_LMA if mode in ("4-level", "5-level") else 0
    return replace(
        registers,
        cr0=cr0 | _CR0_USUAL & (_CR0_PG | 1),
        cr4=cr4 & ~(_CR4_PAE | _CR4_LA57) | _MODE_CR4[mode] | (_CR4_PSE if mode == "32-bit" else 0),
        efer=efer & ~_EFER_LMA | long_mode,
    )


def in_space(space: AddressSpace, value: int) -> int:
    """An evaluated number as a linear address of this space: 0 .. 2^64-1, canonical or not.

    Without 4- or 5-level paging a negative one (or one that GDB sign-extended) means its low 32
    bits. Error: Refusal where it is wider than the space's addresses.
    """
    if not -(1 << 63) <= value < 1 << 64:
        raise Refusal(f"{value:#x} is wider than 64 bits")
    if space.mode not in ("4-level", "5-level"):
        if value >= (1 << 64) - (1 << 31):
            value -= 1 << 64
        if not -(1 << 31) <= value < 1 << 32:
            raise Refusal(
                f"{value:#x} is no address here: "
                "without 4- or 5-level paging linear addresses are 32-bit"
            )
        return value & 0xFFFFFFFF
    return value & (1 << 64) - 1
