"""The command ptmap regs: the registers that select the paging mode, and what they lead to."""

from __future__ import annotations

import json
import textwrap
from typing import Any, Sequence

from .. import address_space, native, settings, target
from ..address_space import AddressSpace
from ..command import JSON, Command, write, write_json
from ..text import plural
from ..descriptors import PAGE, Piece, vectors_text
from ..errors import Refusal
from ..kernel_entry import Entry, Row, Verdict, entry_of, rights_words
from ..qemu_monitor import Segment, SystemRegisters

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

_COLUMNS = 80


class RegsCommand(Command):
    """Show the control registers, and what entering the kernel needs.

    ptmap regs [-cpu CPU] [-json FILE|-]

    CR0, CR2, CR3, CR4 and IA32_EFER of the selected CPU (GDB's thread), with
    the bits that are set by their SDM names, and the paging mode. A register
    that the target lacks is "not known" and can be given:
    `set ptmap cr0|cr3|cr4|efer VALUE`. With CR2 comes what that address is
    now: the fault may be handled since.

    Then what must be mapped while user space runs, and whether it is: the
    GDT, the IDT and the pages that its handlers begin in, the TSS, its stacks
    for entries from user mode, and Linux's entry by SYSCALL where symbols
    tell it. Rights are those of the root in CR3. With KPTI in the kernel
    root, the last column says of each whether the user root has it too.
    GDTR, IDTR, LDTR and TR come from QEMU's monitor.

      -cpu CPU      of this CPU, counted from 0, instead of GDB's thread
      -json FILE|-  the same as JSON (schema ptmap/1) to a file, or to GDB's
                    output
      -o FILE       write to a file what would be shown

    Examples:
      ptmap regs
      ptmap regs -cpu 1
      ptmap regs -json -"""

    options = (*(o for o in address_space.OPTIONS if o.name == "cpu"), JSON)

    def run(self, options: dict[str, Any], words: list[str]) -> None:
        if words:
            raise Refusal(f"takes no argument, but {words[0]!r} was given")
        native.core()  # where it is missing, that is the reason to give
        values = target.registers()
        known = {
            name: value
            for name, value in (
                ("CR0", values.cr0),
                ("CR2", values.cr2),
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
        tables = target.system_registers()
        no_memory = _no_memory(space)
        cr2 = "" if no_memory else _outcome(space, values.cr2)
        entry = Entry(why_not=no_memory) if no_memory else entry_of(space, tables)
        tables = entry.registers or tables
        if "json" in options:
            write_json(options["json"], _json(known, space, cr2, tables, entry, values.assumed))
            return
        lines = [
            f"{name:<4}  {_text(name, value, space, cr2, values.assumed)}"
            for name, value in known.items()
        ]
        lines += _tables_text(tables)
        lines.append(f"mode  {_mode_text(space)}")
        lines += _entry_text(space, entry)
        write("\n".join(lines) + "\n")


# Control registers


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


def _of(name: str, assumed: Sequence[str]) -> list[str]:
    """What is assumed of this register."""
    return [what for what in assumed if what.startswith(f"{name}.")]


def _is_set(name: str) -> bool:
    """Whether the user gave this register instead of the target."""
    return name != "CR2" and settings.get(name.lower()) is not None


def _text(
    name: str,
    value: int | None,
    space: AddressSpace | None,
    cr2: str,
    assumed: Sequence[str],
) -> str:
    if value is None:
        return "not known"
    words = _cr3_words(value, space) if name == "CR3" else _set_bits(name, value)
    if name == "CR2" and cr2:
        words = [f"now {cr2}"]
    digits = 16 if value >> 32 else 8
    first = f"0x{value:0{digits}x}"
    if _is_set(name):
        words.append(f"(set by `set ptmap {name.lower()}`)")
    words += [f"(assuming {what})" for what in _of(name, assumed)]
    margin = " " * len(f"NAME  {first}  ")
    return textwrap.fill(
        " ".join(words), _COLUMNS, initial_indent=margin, subsequent_indent=margin
    ).replace(margin, f"{first}  ", 1) if words else first


def _mode_text(space: AddressSpace | None) -> str:
    if space is None:
        return "not known: a register that decides is missing"
    if space.paging is None:
        return "paging is off (CR0.PG=0): linear addresses are physical"
    levels = ", ".join(level.table_name for level in space.paging.levels)
    return f"{space.mode} paging: {levels}; {space.paging.va_bits}-bit linear addresses"


def _no_memory(space: AddressSpace | None) -> str:
    """Why the tables cannot be read; "" where they can."""
    try:
        if space is not None and space.paging is not None:
            space.memory.is_ram(space.root, 1)
            _ = space.kpti_roots  # which reads the roots whole, before an entry of theirs
    except Refusal as refusal:
        return str(refusal)
    return ""


def _outcome(space: AddressSpace | None, va: int | None) -> str:
    """In words, what an address is under this root; "" where that is not known."""
    if space is None or space.paging is None or va is None:
        return ""
    va &= (1 << (64 if space.paging.canonical else 32)) - 1
    walk = space.walk(va)
    if walk.outcome != "mapped":
        return _why(walk)
    return f"{rights_words(walk)} at physical {walk.pa:#x}"


def _why(walk: Any) -> str:
    """Why an address is not mapped."""
    last = walk.steps[-1].entry_name if walk.steps else ""
    texts = {
        "not-canonical": "not canonical",
        "not-present": f"not present: the walk ends at the {last}",
        "reserved-bit": f"not usable: the {last} has a reserved bit set",
        "unreadable": f"not known: the {last} cannot be read ({walk.why})",
    }
    return texts[walk.outcome]


# The text


def _tables_text(registers: SystemRegisters | None) -> list[str]:
    if registers is None:
        return ["GDTR, IDTR, LDTR, TR  not known"]
    rows = {"GDTR": registers.gdtr, "IDTR": registers.idtr, "LDTR": registers.ldtr,
            "TR": registers.tr}  # fmt: skip
    return [f"{name:<4}  {_segment_text(segment)}" for name, segment in rows.items()]


def _segment_text(segment: Segment) -> str:
    if segment.is_null:
        return "null"
    where = f"base 0x{segment.base:0{16 if segment.base >> 32 else 8}x} limit {segment.limit:#x}"
    return where if segment.selector is None else f"{where} selector {segment.selector:#x}"


def _entry_text(space: AddressSpace | None, entry: Entry) -> list[str]:
    if space is None or space.paging is None:
        return []
    if entry.why_not:
        return textwrap.wrap(f"What entering the kernel needs: {entry.why_not}", _COLUMNS)
    cells = _rows_text(space, entry.rows)
    width = [max(len(row[i]) for row in cells) for i in range(4)]
    room = _COLUMNS - (4 if any(row[6] for row in cells) else 0)
    lines = []
    for *fixed, verdict, vectors, user in cells:
        line = "  " + " ".join(cell.ljust(w) for cell, w in zip(fixed, width)) + " " + verdict
        if vectors and len(line) + len(vectors) + 3 <= room:
            line += f" ({vectors})"
        lines.append(f"{line:<{room}}{user:>4}" if user else line.rstrip())
    notes = [f"  {note}" for note in entry.notes]
    answer = textwrap.wrap(_answer(space, entry), _COLUMNS, break_long_words=False)
    return [*_heading(space), *lines, *notes, *answer]


def _heading(space: AddressSpace) -> list[str]:
    pair = space.kpti_roots
    half = f", KPTI's {space.half} root" if space.half else ""
    lines = [f"Entering the kernel needs, under the root {space.root:#x}{half}"]
    if pair and space.half == "kernel":
        lines.append(f"(and in the last column, whether under the user root {pair.user:#x} too)")
    lines[-1] += ":"
    return lines


def _rows_text(space: AddressSpace, rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Cells: neighbouring pages of handlers with the same verdict share a row."""
    other = any(row.user is not None for row in rows)
    cells: list[tuple[str, ...]] = [
        ("", "address", "size", "physical", "rights", "", "user" if other else "")
    ]
    for run in _runs(rows):
        piece, here, user = run[0].piece, run[0].here, run[0].user
        elsewhere = not piece.before_switch and space.half == "user"
        cells.append((
            piece.short,
            # Of a stack the page below its pointer.
            space.hex(piece.pages[0] if piece.access == "write" else piece.address),
            f"{sum(len(row.piece.pages) for row in run) * PAGE >> 10}K",
            "-" if here.frame is None else f"{here.frame:#x}",
            here.text + (" (kernel's)" if elsewhere else ""),
            "" if here.ok else vectors_text(v for row in run for v in row.piece.vectors),
            user.word if user else "-" if other else "",
        ))  # fmt: skip
    return cells


def _runs(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows, those together that share a line."""
    runs: list[list[Row]] = []
    for row in rows:
        if runs and _continues(runs[-1][-1], row):
            runs[-1].append(row)
        else:
            runs.append([row])
    return runs


def _continues(before: Row, row: Row) -> bool:
    if before.piece.name != row.piece.name or before.piece.name != "handlers":
        return False
    verdicts = ((before.here, row.here), (before.user, row.user))
    alike = all((a and a.text) == (b and b.text) for a, b in verdicts)
    return alike and before.piece.address + PAGE == row.piece.address


def _answer(space: AddressSpace, entry: Entry) -> str:
    """What must be mapped while user space runs, and is it?"""
    pair = space.kpti_roots
    verdicts = [(row.piece, row.user or row.here) for row in entry.rows if row.piece.before_switch]
    unread = [(piece, verdict.unread) for piece, verdict in verdicts if verdict.unread]
    if unread:
        names = _names([piece for piece, _ in unread])
        return f"Not known, as tables cannot be read ({unread[0][1]}): {names}."
    there = _names([piece for piece, verdict in verdicts if verdict.ok])
    missing = _names([p for p, verdict in verdicts if not verdict.ok and not p.rare])
    rare = [piece for piece, verdict in verdicts if not verdict.ok and piece.rare]
    if pair is None:
        answer = "No KPTI here: the kernel stays mapped while user space runs"
        answer += f", but NOT as needed: {missing}." if missing else f": {there}."
    else:
        answer = f"While user space runs (user root {pair.user:#x}), "
        if missing:
            answer += f"NOT mapped as needed: {missing}. Mapped: {there or 'nothing'}."
        else:
            answer += f"all that it needs is mapped: {there}."
    if rare:
        vectors = vectors_text(vector for piece in rare for vector in piece.vectors)
        only = f"for vectors that an ordinary machine never raises ({vectors})"
        answer += f" The rest is {only if vectors else 'used by no gate'}: {_names(rare)}."
    return answer


def _names(pieces: list[Piece]) -> str:
    """"GDT, IDT, 3 handler pages, TSS, RSP0/IST1 stacks"."""
    names = list(dict.fromkeys(piece.name for piece in pieces))
    handlers = sum(piece.name == "handlers" for piece in pieces)
    stacks = [name.removesuffix(" stack") for name in names if name.endswith(" stack")]
    texts = {"handlers": plural(handlers, "handler page")}
    texts |= {name: "" for name in names if name.endswith(" stack")}
    if stacks:
        texts[f"{stacks[0]} stack"] = "/".join(stacks) + (" stacks" if stacks[1:] else " stack")
    return ", ".join(filter(None, (texts.get(name, name) for name in names)))


# JSON


def _json(
    known: dict[str, int | None],
    space: AddressSpace | None,
    cr2: str,
    tables: SystemRegisters | None,
    entry: Entry,
    assumed: Sequence[str],
) -> str:
    """"descriptors" is null where GDTR and the others are not known. Of "pieces" each has "va",
    "pages" and "mapped" (how many of them), "frame" of the first, "access" (what the processor does
    there), "ok" (whether it may, on all of its pages); "user" says the same of the KPTI user root
    where that is another root. "before_switch": needed while CR3 is still user space's (else the
    verdict is the kernel root's). "rare": only for "vectors" that are never raised ordinarily.
    With paging off there are no pieces. "assumed" of a register: what of it nobody tells."""
    registers = {
        name.lower(): {"value": hex(value), "bits": _set_bits(name, value)}
        | ({"set": True} if _is_set(name) else {})
        | ({"now": cr2} if name == "CR2" and cr2 else {})
        | ({"assumed": of_it} if (of_it := _of(name, assumed)) else {})
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
        "descriptors": _descriptors_json(space, tables, entry) if tables else None,
    }
    return json.dumps(head, indent=1) + "\n"


def _descriptors_json(
    space: AddressSpace | None, tables: SystemRegisters, entry: Entry
) -> dict[str, Any]:
    pair = space.kpti_roots if space and space.paging is not None else None
    return {
        "gdtr": _segment_json(tables.gdtr),
        "idtr": _segment_json(tables.idtr),
        "ldtr": _segment_json(tables.ldtr),
        "tr": _segment_json(tables.tr),
        "kernel_root": hex(pair.kernel) if pair else None,
        "user_root": hex(pair.user) if pair else None,
        "pieces": [_row_json(row) for row in entry.rows],
        "notes": list(entry.notes),
        "answer": _answer(space, entry) if space and space.paging is not None else None,
    }


def _segment_json(segment: Segment) -> dict[str, Any]:
    where: dict[str, Any] = {"base": hex(segment.base), "limit": segment.limit}
    return where if segment.selector is None else {"selector": segment.selector, **where}


def _row_json(row: Row) -> dict[str, Any]:
    return {
        "name": row.piece.name,
        "va": hex(row.piece.address),
        "access": row.piece.access,
        "vectors": list(row.piece.vectors),
        "before_switch": row.piece.before_switch,
        "rare": row.piece.rare,
        **_verdict_json(row.here),
        "user": _verdict_json(row.user) if row.user else None,
    }


def _verdict_json(verdict: Verdict) -> dict[str, Any]:
    return {
        "pages": len(verdict.walks),
        "mapped": verdict.mapped,
        "frame": None if verdict.frame is None else hex(verdict.frame),
        "verdict": verdict.text,
        "ok": verdict.ok,
    }


def register() -> None:
    RegsCommand("ptmap regs")
