"""The command pte: explains addresses, level by level."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ..base import native
from ..base.errors import Refusal
from ..base.option import JSON, Option, Options
from ..base.text import printable
from ..check import forms, predicate
from ..check.evidence import Evidence
from ..check.finding import FAILED, OK, Finding, worst
from ..context import hints, selection
from ..debugger import settings
from ..debugger.numbers import evaluate
from ..linux import covering, entries
from ..machine import question
from ..machine.sources.source import NotHere
from ..spaces import address_space, walks
from ..spaces.address_space import AddressSpace
from ..spaces.reader import Plan
from . import watch
from .command import Command, register as register_command, write, write_json

if TYPE_CHECKING:
    from .._core import ExplainedAddress, ExplainedSpace, Walk


# These options read more than the entries of a walk.
_READ_MORE = ("root", "half", "pid", "comm", "expect", "watch")


class PteCommand(Command):
    """Explain an address: each level's entry, the frame, rights, faults.

    pte [-root PA|PGD] [-mode MODE] [-half user|kernel] [-cpu N] [-pid N]
        [-comm NAME] [-expect RULE] [-json FILE|-] VA...
    pte [the same] -watch VA

    For each address (an expression; quote one with spaces) it walks the
    tables as the processor does and prints each entry with its decoded bits.
    Then it prints the result: the physical address, page size, memory type,
    the rights with the entry that takes each away, and what a read, a write
    and a fetch from kernel and from user mode would do now (CR0.WP, SMEP,
    SMAP with EFLAGS.AC, protection keys and NXE counted), with the #PF error
    code if it faults.

      -root PA      walk the tables below this root instead of CR3's; a
                    pointer such as init_mm.pgd is translated
      -mode MODE    read them as 32-bit, pae, 4-level or 5-level
      -half HALF    from KPTI's user or kernel root, whichever CR3 has
      -cpu N        from this CPU's CR3, counted from 0
      -pid N        in this Linux process (needs the kernel's symbols)
      -comm NAME    in the Linux process with this name (the same)
      -expect RULE  end in an error unless this holds at each address: mapped,
                    unmapped, or attributes as in `ptmap check` (quote
                    several: 'user read-only')
      -json FILE|-  the same as JSON (schema ptmap/1) to a file, or to GDB's
                    output
      -o FILE       write to a file what would be shown
      -watch        set a GDB watchpoint on the entry that maps VA or at which
                    the walk ends: it stops the code that changes the entry;
                    pte says through which address it watches, and what it
                    cannot see

    With a Linux's symbols it names the mapping (VMA) that covers a process's
    address that is not present or read-only, or says that none does.

    On Linux it also says what an entry that is not present holds: PROT_NONE
    with its frame, swap, a page that is being migrated; and what Linux means
    by the bits of a process's page that the CPU ignores: soft-dirty, special,
    uffd-wp, saved-dirty, devmap.

    Bits are named as in the Intel SDM: P RW US PWT PCD A D PS PAT G XD.
    AVL[n] are bits that paging ignores. With paging off an address is its
    own physical address.

    Examples:
      pte $pc
      pte 0xc0000000 &jiffies "$sp + 8"
      pte -half user entry_SYSCALL_64
      pte -watch 0x8048000
      pte -expect 'supervisor read-only' &sys_call_table
      pte -root 0x1000 -mode pae 0x8048000"""

    options = (
        *selection.OPTIONS,
        Option(
            "expect", "RULE", "an error unless this holds at each address", words=predicate.words
        ),
        Option("watch", "", "a watchpoint on the entry that maps VA"),
        JSON,
    )

    def plan(self, options: Options, words: list[str]) -> Plan:
        is_brief = not any(option in options for option in _READ_MORE)
        return Plan(whole="watch" in options, counts=False, brief=is_brief)

    def run(self, options: Options, words: list[str]) -> None:
        if not words:
            raise Refusal("which address? For example: pte $pc")
        space = selection.resolve(options)
        addresses = [address_space.in_space(space, evaluate(word)) for word in words]
        if "watch" in options:
            if "json" in options:
                raise Refusal("-watch sets a watchpoint: it cannot go with -json")
            if "expect" in options:
                raise Refusal("-watch sets a watchpoint: it cannot go with -expect")
            write(watch.set_watch(space, addresses))
            return
        if space.paging_is_off and "root" in options:
            raise Refusal("paging is off (CR0.PG=0): -root needs -mode too")
        expected = _expected(space, options) if "expect" in options else None
        if space.paging_is_off:
            explained = [native.core.explain_without_paging(va) for va in addresses]
            findings: list[Finding] = []
        else:
            explained, findings = _explained(space, addresses, expected)
        around = _around(space)
        if "json" in options:
            rule = json.dumps(options["expect"]) if expected is not None else ""
            write_json(options["json"], native.core.explanations_json(around, explained, rule))
        else:
            write(native.core.explanations_text(around, explained))
        _refuse(options, findings)


def _explained(
    space: AddressSpace, addresses: list[int], expected: predicate.Predicate | None
) -> tuple[list[ExplainedAddress], list[Finding]]:
    """The explanations; the findings of -expect, empty without it."""
    try:
        found = _walks(space, addresses)
    except NotHere:  # the quick way to memory cannot be used
        question.widen()
        found = _walks(space, addresses)
    if any(_asks_linux(space, walk) for walk in found):
        question.widen()  # to look for a Linux
    notes = [_notes(space, walk) for walk in found]
    findings: list[Finding] = []
    if expected is not None:
        findings = [expected.judge(Evidence(space), walk) for walk in found]
    results = [json.dumps(finding.json(), indent=1) for finding in findings] or [""] * len(found)
    explained = [
        native.core.explain(
            walk,
            space.paging,
            ac=space.ac,
            pkru=settings.get("pkru"),
            pat=settings.get("pat"),
            notes=note,
            expect_json=result,
        )
        for walk, note, result in zip(found, notes, results)
    ]
    return explained, findings


def _walks(space: AddressSpace, addresses: list[int]) -> list[Walk]:
    with space.memory.reading():
        return [walks.walk(space, va) for va in addresses]


def _asks_linux(space: AddressSpace, walk: Walk) -> bool:
    return walk.outcome == "not-present" or entries.has_more(walk) or covering.asks(space, walk)


def _notes(space: AddressSpace, walk: Walk) -> list[tuple[str, str, str]]:
    """What Linux means by the entry at which a walk ends, and its mapping there; or a hint: name
    and value for the JSON, and text."""
    notes = []
    linux = entries.explain(space, walk)
    if linux is not None:
        notes.append(("linux", json.dumps(linux.json(), indent=1), linux.text(space.mode)))
    vma = covering.explain(space, walk)
    if vma is not None:
        notes.append(("vma", json.dumps(vma.json(), indent=1), vma.text()))
    hint = hints.of(space, walk.va) if not notes and walk.outcome == "not-present" else None
    return notes if hint is None else [("hint", json.dumps(hint), hint)]


def _around(space: AddressSpace) -> ExplainedSpace:
    return native.core.ExplainedSpace(
        mode=space.mode,
        root=space.root,
        notes=space.notes,
        assumed=space.assumed,
        maxphyaddr=selection.maxphyaddr(),
        maxphyaddr_is_assumed=settings.get("maxphyaddr") is None,
        pat_hint="set ptmap pat",
        pkru_hint="set ptmap pkru",
    )


def _expected(space: AddressSpace, options: Options) -> predicate.Predicate:
    """The predicate of -expect. Error: Refusal if it is wrong, or paging is off."""
    if space.paging_is_off:
        raise Refusal("-expect: paging is off (CR0.PG=0), there are no rights")
    try:
        return predicate.Predicate.of(forms.split(options["expect"]))
    except Refusal as refusal:
        raise Refusal(f"-expect: {refusal}") from None


def _refuse(options: Options, findings: list[Finding]) -> None:
    """Error: Refusal if -expect does not hold."""
    wrong = [finding for finding in findings if finding.result != OK]
    if not wrong:
        return
    one = worst(wrong)
    verb = "expected" if one.result == FAILED else "cannot tell whether it is"
    text = f"{verb} {printable(options['expect'])}: {one.why}"
    if one.entry is not None:
        text += f" ({one.entry.text})"
    if len(findings) > 1:
        text += f"; {len(wrong)} of {len(findings)} addresses differ"
    raise Refusal(text)


def register() -> None:
    register_command(PteCommand, "pte")
