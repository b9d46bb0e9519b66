"""The command ptmap regs: the registers that select the paging mode."""

from __future__ import annotations

import json
from typing import Any

import gdb

from .. import address_space, native, target
from ..address_space import AddressSpace
from ..command import JSON, Command, write_json
from ..errors import Refusal

# SDM vol. 3A, 2.5 and 2.2.1. Rows of (bit, name).
_BITS = {
    "CR0": ((0, "PE"), (1, "MP"), (2, "EM"), (3, "TS"), (4, "ET"), (5, "NE"), (16, "WP"),
            (18, "AM"), (29, "NW"), (30, "CD"), (31, "PG")),
    "CR4": ((0, "VME"), (1, "PVI"), (2, "TSD"), (3, "DE"), (4, "PSE"), (5, "PAE"), (6, "MCE"),
            (7, "PGE"), (8, "PCE"), (9, "OSFXSR"), (10, "OSXMMEXCPT"), (11, "UMIP"), (12, "LA57"),
            (13, "VMXE"), (14, "SMXE"), (16, "FSGSBASE"), (17, "PCIDE"), (18, "OSXSAVE"),
            (19, "KL"), (20, "SMEP"), (21, "SMAP"), (22, "PKE"), (23, "CET"), (24, "PKS"),
            (25, "UINTR"), (28, "LAM_SUP")),
    "EFER": ((0, "SCE"), (8, "LME"), (10, "LMA"), (11, "NXE")),
}  # fmt: skip


class RegsCommand(Command):
    """Show the control registers and the paging mode that they select.

    ptmap regs [-json FILE|-]

    CR0, CR3, CR4 and IA32_EFER of the selected CPU (GDB's thread), with the
    bits that are set by their SDM names, and the paging mode. A register that
    the target lacks is "not known" and can be given:
    `set ptmap cr0|cr3|cr4|efer VALUE`.

      -json FILE|-  the same as JSON (schema ptmap/1) to a file, or to GDB's
                    output

    Examples:
      ptmap regs
      ptmap regs -json -"""

    options = (JSON,)

    def run(self, options: dict[str, Any], words: list[str]) -> None:
        if words:
            raise Refusal(f"takes no argument, but {words[0]!r} was given")
        native.core()  # where it is missing, that is the reason to give
        values = target.registers()
        known = {
            name: value
            for name, value in (
                ("CR0", values.cr0),
                ("CR3", values.cr3),
                ("CR4", values.cr4),
                ("EFER", values.efer),
            )
        }
        if all(value is None for value in known.values()):
            raise Refusal("this target shows no control registers")
        try:
            space = address_space.resolve({})
        except Refusal:
            space = None  # a register is missing that decides; the others are worth showing
        if "json" in options:
            write_json(options["json"], _json(known, space))
            return
        lines = [f"{name:<4}  {_text(name, value, space)}" for name, value in known.items()]
        lines.append(f"mode  {_mode_text(space)}")
        gdb.write("\n".join(lines) + "\n")


def _set_bits(name: str, value: int) -> list[str]:
    return [bit_name for bit, bit_name in _BITS.get(name, ()) if value >> bit & 1]


def _cr3_words(value: int, space: AddressSpace | None) -> list[str]:
    """The fields of CR3 (SDM vol. 3A, 4.3, 4.4.1, 4.5.2)."""
    if space is None or space.paging is None:
        return []
    words = [f"root={space.paging.root_of(value):#x}"]
    if space.cr4 >> 17 & 1:
        words.append(f"PCID={value & 0xFFF:#x}")
    else:
        words += [bit_name for bit, bit_name in ((3, "PWT"), (4, "PCD")) if value >> bit & 1
                  and space.mode != "pae"]  # fmt: skip
    if space.paging.canonical:
        words += [bit_name for bit, bit_name in ((61, "LAM_U57"), (62, "LAM_U48"))
                  if value >> bit & 1]  # fmt: skip
    return words


def _text(name: str, value: int | None, space: AddressSpace | None) -> str:
    if value is None:
        return "not known"
    words = _cr3_words(value, space) if name == "CR3" else _set_bits(name, value)
    digits = 16 if value >> 32 else 8
    return f"0x{value:0{digits}x}  {' '.join(words)}".rstrip()


def _mode_text(space: AddressSpace | None) -> str:
    if space is None:
        return "not known: a register that decides is missing"
    if space.paging is None:
        return "paging is off (CR0.PG=0): linear addresses are physical"
    levels = ", ".join(level.table_name for level in space.paging.levels)
    return f"{space.mode} paging: {levels}; {space.paging.va_bits}-bit linear addresses"


def _json(known: dict[str, int | None], space: AddressSpace | None) -> str:
    registers = {
        name.lower(): {"value": hex(value), "bits": _set_bits(name, value)}
        if value is not None
        else None
        for name, value in known.items()
    }
    head = {
        "schema": "ptmap/1",
        "kind": "regs",
        "mode": space.mode if space else None,
        "root": hex(space.root) if space else None,
        "registers": registers,
    }
    return json.dumps(head, indent=1) + "\n"


def register() -> None:
    RegsCommand("ptmap regs")
