"""The command pte: one address, level by level."""

from __future__ import annotations

import json
from typing import Any, Sequence

from .. import address_space, native, settings, watch
from ..address_space import AddressSpace
from ..command import (JSON, Command, Option, evaluate, register as register_command, write,
                       write_json)  # fmt: skip
from ..text import printable, size_text
from ..errors import Refusal
from ..linux import not_present
from ..rules import forms, predicate
from ..rules.evidence import Evidence
from ..rules.finding import FAILED, OK, Finding, entry_text, worst

_COLUMNS = 80
_ACCESSES = ("read", "write", "fetch")
_PRIVILEGES = ("kernel", "user")
# The error code of a page fault, SDM vol. 3A, 4.7, and the words of its Figure 4-12.
_ERROR_BITS = ((1, "P"), (2, "W"), (4, "U"), (8, "RSVD"), (16, "I"), (32, "PK"))
# Which entry takes a right away: the attribute of a step, and the bit that does it.
_DENIALS = (("user", "US=0"), ("write", "RW=0"), ("exec", "XD=1"))
_SIZES = {1 << 12: "4K", 1 << 21: "2M", 1 << 22: "4M", 1 << 30: "1G"}


class PteCommand(Command):
    """Explain an address: each level's entry, the frame, rights, faults.

    pte [-root PA|PGD] [-mode MODE] [-half user|kernel] [-cpu N] [-pid N]
        [-comm NAME] [-expect RULE] [-json FILE|-] VA...
    pte [the same] -watch VA

    For each address (an expression; quote one with spaces) it walks the
    tables as the processor does and prints each entry with its decoded bits,
    then where the walk ended: the physical address, page size, memory type,
    the rights with the entry that takes each away, and what a read, a write
    and a fetch from kernel and from user mode would do now (CR0.WP, SMEP,
    SMAP with EFLAGS.AC, protection keys and NXE counted), with the #PF error
    code where it faults.

      -root PA      walk the tables below this root instead of CR3's; a
                    pointer such as init_mm.pgd is translated
      -mode MODE    read them as 32-bit, pae, 4-level or 5-level
      -half HALF    from KPTI's user or kernel root, whichever CR3 has
      -cpu N        from this CPU's CR3, counted from 0
      -pid N        in this Linux process (needs the kernel's symbols)
      -comm NAME    in the Linux process with this name (the same)
      -expect RULE  an error, after the explanation, unless this is so at each
                    address: mapped, unmapped, or attributes as in `ptmap
                    check` (quote several: 'user read-only')
      -json FILE|-  the same as JSON (schema ptmap/1) to a file, or to GDB's
                    output
      -o FILE       write to a file what would be shown
      -watch        set a GDB watchpoint on the entry that maps VA, or at
                    which the walk ends, so that the code that changes it is
                    caught; it says through which address it watches, and
                    what it misses

    Where Linux is recognised it says what Linux keeps in an entry that is
    not present: PROT_NONE with its frame, swap, a page on the move.

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
        *address_space.OPTIONS,
        Option("expect", "RULE", "an error unless this is so at each address",
               words=predicate.WORDS),
        Option("watch", "", "a watchpoint on the entry that maps VA"),
        JSON,
    )  # fmt: skip

    def run(self, options: dict[str, Any], words: list[str]) -> None:
        if not words:
            raise Refusal("which address? For example: pte $pc")
        space = address_space.resolve(options)
        addresses = [address_space.in_space(space, evaluate(word)) for word in words]
        if "watch" in options:
            if "json" in options:
                raise Refusal("-watch sets a watchpoint: it goes with no -json")
            if "expect" in options:
                raise Refusal("-watch sets a watchpoint: -expect is asked without it")
            write(watch.set_watch(space, addresses))
            return
        if space.paging is None and "root" in options:
            raise Refusal("paging is off (CR0.PG=0): -root needs -mode too")
        expected = _expected(space, options) if "expect" in options else None
        findings: list[Finding] = []
        if space.paging is None:
            explained = [_paging_off(va) for va in addresses]
        else:
            with space.memory.reading():
                walks = [space.walk(va) for va in addresses]
            explained = [_explain(native.core(), space, walk) for walk in walks]
            if expected is not None:
                findings = [expected.judge(Evidence(space), walk) for walk in walks]
        if "json" in options:
            head: dict[str, Any] = {
                "schema": "ptmap/1",
                "kind": "pte",
                "mode": space.mode,
                "root": hex(space.root),
                "maxphyaddr": address_space.maxphyaddr(),
                "maxphyaddr_assumed": settings.get("maxphyaddr") is None,
                "addresses": explained,
            }
            if expected is not None:
                head["expect"] = options["expect"]
                for one, finding in zip(explained, findings):
                    one["expect"] = finding.json()
            write_json(options["json"], json.dumps(head, indent=1) + "\n")
        else:
            write("\n".join(_text(space, one) for one in explained))
        _refuse(space, options, findings)


def _expected(space: AddressSpace, options: dict[str, Any]) -> predicate.Predicate:
    """Error: Refusal where -expect cannot be asked."""
    if space.paging is None:
        raise Refusal("-expect: paging is off (CR0.PG=0), there are no rights")
    try:
        return predicate.Predicate.of(forms.split(options["expect"]))
    except Refusal as refusal:
        raise Refusal(f"-expect: {refusal}") from None


def _refuse(space: AddressSpace, options: dict[str, Any], findings: list[Finding]) -> None:
    """Error: Refusal where -expect does not hold."""
    wrong = [finding for finding in findings if finding.result != OK]
    if not wrong:
        return
    one = worst(wrong)
    verb = "expected" if one.result == FAILED else "cannot tell whether it is"
    text = f"{verb} {printable(options['expect'])}: {one.why}"
    if one.entry is not None:
        text += f" ({entry_text(space, one.entry)})"
    if len(findings) > 1:
        text += f"; {len(wrong)} of {len(findings)} addresses differ"
    raise Refusal(text)


# One address explained is a dict in the shape of the JSON; the text is made from it.


def _paging_off(va: int) -> dict[str, Any]:
    return {"va": hex(va), "outcome": "paging-off", "pa": hex(va), "steps": []}


def _explain(core: Any, space: AddressSpace, walk: Any) -> dict[str, Any]:
    one: dict[str, Any] = {
        "va": hex(walk.va),
        "outcome": walk.outcome,
        "steps": [_step(space, walk, step) for step in walk.steps],
    }
    if walk.steps:
        one["level"] = walk.steps[-1].level
    if walk.outcome == "unreadable":
        one["why"] = walk.why
    if walk.outcome == "not-present":
        last = walk.steps[-1]
        linux = not_present.explain(space, walk.va, last.level, last.raw)
        if linux is not None:
            one["linux"] = linux
    if walk.outcome == "mapped":
        one["pa"] = hex(walk.pa)
        one["page_size"] = _SIZES[walk.page_size]
        one["cache"] = core.memory_types(settings.get("pat"))[walk.cache_slot]
        one["cache_slot"] = walk.cache_slot
        if space.has_keys:
            one["key"] = walk.key
        one["rights"] = {
            "user": walk.user,
            "write": walk.write,
            "exec": walk.exec,
            "global": walk.global_,
        }
        one["denied_by"] = {
            right: {"entry": step.entry_name, "index": step.index, "bit": bit}
            for right, bit in _DENIALS
            for step in walk.steps
            if not getattr(step, right) and step is _first_without(walk.steps, right)
        }
    one["access"] = {
        privilege: {access: _verdict(core, space, walk, access, privilege) for access in _ACCESSES}
        for privilege in _PRIVILEGES
    }
    return one


def _first_without(steps: list[Any], right: str) -> Any:
    """The step at which a path loses a right; a step's rights are those of the path so far."""
    return next(step for step in steps if not getattr(step, right))


def _step(space: AddressSpace, walk: Any, step: Any) -> dict[str, Any]:
    described: dict[str, Any] = {
        "level": step.level,
        "name": step.entry_name,
        "table": hex(step.table),
        "index": step.index,
        "entry_pa": hex(step.entry_address),
    }
    if walk.outcome == "unreadable" and step is walk.steps[-1]:
        return described
    described["raw"] = hex(step.raw)
    if step.kind == "not-present":
        return described
    described["bits"], ignored = [], []
    for name, meaning, value in space.paging.decode(step.level, step.raw):
        if meaning == "ignored":
            ignored.append(name)
        elif meaning in ("reserved", "load"):
            described.setdefault(meaning, []).append(name)
        else:
            described["bits"].append(f"key={value}" if name == "key" else name)
    if ignored:
        described["ignored"] = ignored
    if step.kind in ("table", "page"):
        described["target"] = hex(step.target)
    return described


def _verdict(
    core: Any, space: AddressSpace, walk: Any, access: str, privilege: str
) -> dict[str, Any]:
    result, reason, code, pk_unknown = core.verdict(
        walk, space.paging, access, privilege, space.ac, settings.get("pkru")
    )
    if result == "allowed":
        return {"ok": True}
    if result == "unknown":
        return {"ok": None, "why": reason}
    verdict: dict[str, Any] = {"ok": False, "fault": result, "why": reason}
    if result == "#PF":
        verdict["error_code"] = hex(code)
        if pk_unknown:
            verdict["unknown_bits"] = ["PK"]
    elif access != "fetch":
        verdict["stack_fault"] = "#SS"  # instead, where the access goes through SS
    return verdict


def _text(space: AddressSpace, one: dict[str, Any]) -> str:
    va = space.hex(int(one["va"], 16))
    if one["outcome"] == "paging-off":
        return f"{va}: paging is off (CR0.PG=0), physical {one['pa']}\n"
    lines = _filled(f"{va}: {space.mode} paging, root {space.root:#x}", space.told)
    lines += [f"  assuming {what}" for what in space.assumed]
    lines += _steps_text(space, one)
    lines += _outcome_text(space, one)
    lines += _access_text(one)
    return "\n".join(lines) + "\n"


def _steps_text(space: AddressSpace, one: dict[str, Any]) -> list[str]:
    raw_digits = 2 * space.paging.entry_bytes
    at_width = max((len(s["entry_pa"]) for s in one["steps"]), default=0)
    lines = []
    for step in one["steps"]:
        place = f"  {step['name']:<5} {step['index']:>4}  {step['entry_pa']:>{at_width}}"
        if "raw" not in step:
            lines.append(f"{place}  could not be read")
            continue
        words = list(step.get("bits", ("not present",)))
        words += [f"{n} (ignored)" if n[:3] != "bit" else f"AVL{_brackets(n)}"
                  for n in step.get("ignored", ())]  # fmt: skip
        words += [f"{_brackets(n)} RESERVED" for n in step.get("reserved", ())]
        words += [f"{_brackets(n)} (reserved for MOV CR3)" for n in step.get("load", ())]
        lines += _wrapped(f"{place}  0x{int(step['raw'], 16):0{raw_digits}x}  ", words)
    return lines


def _filled(first: str, more: Sequence[str]) -> list[str]:
    """All on one line, or each on its own where that is too long."""
    one = ", ".join([first, *more])
    return [one] if len(one) <= _COLUMNS else [first, *(f"  {phrase}" for phrase in more)]


def _wrapped(start: str, words: list[str]) -> list[str]:
    """`start` and the words, on as many lines as 80 columns need."""
    lines, line = [], start
    for word in words:
        if len(line) + len(word) > _COLUMNS and line.strip() and line != start:
            lines.append(line.rstrip())
            line = " " * len(start)
        line += f"{word} "
    return [*lines, line.rstrip()]


def _brackets(name: str) -> str:
    """"bits 9,10" as "[9,10]", three or more in a row as the SDM writes them: "[62:52]"."""
    if not name.startswith("bit"):
        return name
    bits = [int(bit) for bit in name.split(" ")[1].split(",")]
    runs: list[list[int]] = []
    for bit in bits:
        if runs and bit == runs[-1][-1] + 1:
            runs[-1].append(bit)
        else:
            runs.append([bit])
    texts = [f"{run[-1]}:{run[0]}" if len(run) > 2 else ",".join(map(str, run)) for run in runs]
    return f"[{','.join(texts)}]"


def _outcome_text(space: AddressSpace, one: dict[str, Any]) -> list[str]:
    outcome = one["outcome"]
    last = one["steps"][-1] if one["steps"] else None
    if outcome == "not-canonical":
        return [f"  not canonical: bits 63:{space.paging.va_bits - 1} are not all the same"]
    if outcome == "not-present":
        lines = [f"  not present: the walk ends at the {last['name']} (P=0)"]
        if "linux" in one:
            lines.append(f"  {not_present.text(one['linux'], space.mode)}")
        return lines
    if outcome == "unreadable":
        return [f"  unreadable: the {last['name']} at {last['entry_pa']}: {one['why']}"]
    if outcome == "reserved-bit":
        names = ", ".join(_brackets(name) for name in last["reserved"])
        lines = [f"  reserved bit: the {last['name']} has {names} set"]
        return lines + _maxphyaddr_text(space)
    size = next(size for size, name in _SIZES.items() if name == one["page_size"])
    rights = one["rights"]
    words = ["user" if rights["user"] else "supervisor", "read"]
    words += ["write"] * rights["write"] + ["exec"] * rights["exec"] + ["global"] * rights["global"]
    if "key" in one:
        words.append(f"key {one['key']}")
    denied = [
        f"no {right}: {by['entry']} {by['index']} {by['bit']}"
        for right, by in one["denied_by"].items()
    ]
    lines = [
        f"  physical {one['pa']}, {size_text(size)} page",
        f"  type     {_type_text(one)}; MTRRs not considered",
        f"  rights   {' '.join(words)}",
    ]
    lines += [f"           {reason}" for reason in denied]
    return lines + _maxphyaddr_text(space)


def _type_text(one: dict[str, Any]) -> str:
    if one["cache"].startswith("PAT"):
        return f"not known: PAT slot {one['cache_slot']} (set ptmap pat)"
    return f"{one['cache']} (PAT slot {one['cache_slot']})"


def _maxphyaddr_text(space: AddressSpace) -> list[str]:
    if settings.get("maxphyaddr") is None and space.mode != "32-bit":
        return [f"  MAXPHYADDR is not known: assuming {address_space.ASSUMED_MAXPHYADDR}"]
    return []


def _access_text(one: dict[str, Any]) -> list[str]:
    lines = []
    for privilege in _PRIVILEGES:
        verdicts = one["access"][privilege]
        if all(v == verdicts["read"] for v in verdicts.values()):
            lines.append(f"  {privilege:<7} read, write, fetch: {_verdict_text(verdicts['read'])}")
            continue
        for access in _ACCESSES:
            lines.append(f"  {privilege:<7} {access:<5} {_verdict_text(verdicts[access])}")
    return lines


def _verdict_text(verdict: dict[str, Any]) -> str:
    if verdict["ok"]:
        return "ok"
    if verdict["ok"] is None:
        hint = " (set ptmap pkru)" if verdict["why"].startswith("PKRU") else ""
        return f"not known: {verdict['why']}{hint}"
    if verdict["fault"] == "#GP":
        stack = " (#SS(0) through the stack segment)" if "stack_fault" in verdict else ""
        return f"#GP(0){stack}: {verdict['why']}"
    code = int(verdict["error_code"], 16)
    bits = " ".join(name for bit, name in _ERROR_BITS if code & bit)
    text = f"#PF {verdict['error_code']} ({bits or 'no bit'}): {verdict['why']}"
    return text + ("; PK not known (set ptmap pkru)" if "unknown_bits" in verdict else "")


def register() -> None:
    register_command(PteCommand, "pte")
