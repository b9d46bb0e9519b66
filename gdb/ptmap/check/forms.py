"""The forms of rules: each row parses a rule's words into a question about the evidence.

The first word selects the row. If it is not the key of a row, it is an expression for an address.
"""

from __future__ import annotations

import operator
import os
from dataclasses import dataclass, replace
from typing import Callable, Sequence

import gdb

from ..base import native
from ..base.errors import Refusal
from ..base.interval import Interval
from ..base.text import plural, printable
from ..debugger.numbers import evaluate, physical
from ..spaces import attributes
from . import grid_file, sections
from .evidence import Evidence
from .finding import FAILED, OK, UNDECIDED, Finding, worst
from .predicate import MAPPED, UNMAPPED, Predicate, judge_none

Question = Callable[[Evidence], Finding]
_LISTED = 3  # how many items a message lists


@dataclass(frozen=True)
class Context:
    """The meaning of a rule's words depends on the space, and on the folder of relative paths."""

    evidence: Evidence
    folder: str


@dataclass(frozen=True)
class Form:
    usage: str
    parse: Callable[[Context, Sequence[str]], Question | None]  # None: the words do not fit


def split(text: str) -> list[str]:
    """A rule's words, as GDB splits arguments. Error: Refusal if a quote is not closed."""
    quote = ""
    escaped = False
    for character in text:
        if escaped or character == "\\":
            escaped = not escaped
        elif quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
    if quote:
        raise Refusal(f"the quote {quote} is not closed")
    words: list[str] = gdb.string_to_argv(text)
    return words


def parse(context: Context, words: Sequence[str]) -> Question:
    """The question that a rule's words ask. Error: Refusal says what is wrong with them."""
    if not words:
        raise Refusal("an empty rule")
    form = FORMS.get(words[0], _ADDRESS)
    question = form.parse(context, words if form is _ADDRESS else words[1:])
    if question is None:
        raise Refusal(f"it does not have the form: {form.usage}")
    return question


# Addresses and stretches


def _address(context: Context, words: Sequence[str]) -> Question | None:
    if len(words) < 2:
        raise Refusal(
            f"{printable(words[0])} is not a rule: a rule begins with one of {' '.join(FORMS)}, or "
            "with an address and what is there"
        )
    va = context.evidence.address(words[0])
    predicate = Predicate.of(words[1:])
    return lambda evidence: predicate.judge(evidence, evidence.walk(va))


def _range(context: Context, words: Sequence[str]) -> Question | None:
    if len(words) < 3:
        return None
    stretch = context.evidence.stretch(words[0], words[1])
    predicate = Predicate.of(words[2:])
    return lambda evidence: predicate.judge_stretch(evidence, stretch)


def _null_page(context: Context, words: Sequence[str]) -> Question | None:
    if len(words) < 2 or words[0] != "page":
        return None
    predicate = Predicate.of(words[1:])
    return lambda evidence: predicate.judge_stretch(evidence, Interval(0, 0xFFF))


def _window(context: Context, words: Sequence[str]) -> tuple[list[str], Interval] | None:
    """The words before `in START END`, and that stretch; without `in`, the whole space."""
    if "in" not in words:
        return list(words), context.evidence.everything
    at = list(words).index("in")
    if len(words) != at + 3:
        return None
    return list(words[:at]), context.evidence.stretch(words[at + 1], words[at + 2])


def _no(context: Context, words: Sequence[str]) -> Question | None:
    window = _window(context, words)
    if window is None or not window[0]:
        return None
    condition, stretch = attributes.parse(attributes.joined(window[0])), window[1]
    return lambda evidence: judge_none(evidence, condition, stretch)


def _only(context: Context, words: Sequence[str]) -> Question | None:
    window = _window(context, words)
    if window is None or not window[0]:
        return None
    predicate, stretch = Predicate.of(window[0]), window[1]
    if predicate.condition is None:
        return None
    return lambda evidence: predicate.judge_stretch(evidence, stretch, mapped_only=True)


# Sections


def _section(context: Context, words: Sequence[str]) -> Question | None:
    if len(words) < 2:
        return None
    found = sections.named(context.evidence.sections, words[0])
    predicate = Predicate.of(words[1:])

    def ask(evidence: Evidence) -> Finding:
        placed = evidence.placed(found)
        if not placed.sections:
            raise Refusal("; ".join(placed.notes))
        return worst(
            [
                _in_sections(predicate.judge_stretch(evidence, one.pages), (one,))
                for one in placed.sections
            ]
        )

    return ask


def _sections(context: Context, words: Sequence[str]) -> Question | None:
    if words:
        return None
    found = context.evidence.sections
    no_nx = context.evidence.space.no_nx

    def ask(evidence: Evidence) -> Finding:
        placed = evidence.placed(found)
        findings = []
        for pages in sections.by_pages(placed.sections):
            asked = ["read-only"] if not pages.write else ["write"] if pages.must_write else []
            if pages.must_exec:
                asked.append("exec")
            elif not pages.exec and not no_nx:
                asked.append("no-exec")
            predicate = Predicate.of(asked or [MAPPED])
            finding = predicate.judge_stretch(evidence, Interval(pages.first, pages.last))
            findings.append(_in_sections(finding, pages.sections, " ".join(asked)))
        one = worst(findings)
        wrong = sum(finding.result == one.result for finding in findings)
        if one.result != OK and wrong > 1:
            one = replace(one, why=f"{one.why}; so are {plural(wrong - 1, 'other part')}")
        notes = (f"{no_nx}: no-exec is not checked",) if no_nx else ()
        return replace(one, notes=notes + placed.notes)

    return ask


def _in_sections(finding: Finding, there: Sequence[sections.Section], asked: str = "") -> Finding:
    if finding.result == OK:
        return finding
    names = ", ".join(printable(section.name) for section in there[:_LISTED])
    more = f" and {len(there) - _LISTED} more" if len(there) > _LISTED else ""
    wants = f" should be {asked}:" if asked else ":"
    return replace(finding, why=f"{names}{more}{wants} {finding.why}")


# Physical memory

_TIMES = {"once": 1, "twice": 2}
_WALKED = 1 << 16  # how many addresses of one byte a rule looks at


def _physical(context: Context, words: Sequence[str]) -> Question | None:
    if len(words) < 2:
        return None
    pa = physical(words[0])
    said = list(words[1:])
    if said == [UNMAPPED]:
        return lambda evidence: _mapped_times(evidence, pa, 0)
    if said == [MAPPED]:
        return lambda evidence: _mapped_times(evidence, pa, None)
    if said[0] != MAPPED:
        predicate = Predicate.of(said)
        return lambda evidence: _each_mapping(evidence, pa, predicate)
    if len(said) == 3 and said[1] == "at":
        va = context.evidence.address(said[2])
        return lambda evidence: _mapped_at(evidence, pa, va)
    if len(said) == 3 and said[2] == "times":
        times = int(evaluate(said[1]))
    elif len(said) == 2 and said[1] in _TIMES:
        times = _TIMES[said[1]]
    else:
        return None
    if times < 0:
        raise Refusal(f"nothing is mapped {times} times")
    return lambda evidence: _mapped_times(evidence, pa, times)


def _places(evidence: Evidence, pa: int) -> tuple[list[int], int]:
    found = native.core.find(evidence.made, pa, pa)
    return [one.va for one in found[:_WALKED]], len(found)


def _mapped_times(evidence: Evidence, pa: int, times: int | None) -> Finding:
    """Whether PA is mapped that many times; None: at least once."""
    places, count = _places(evidence, pa)
    unknown = evidence.unless_unknown(evidence.everything)
    why = _times_text(evidence, pa, places, count, unknown.result == OK)
    enough = count >= 1 if times is None else count == times and unknown.result == OK
    if enough:
        return Finding(OK)
    too_many = times is not None and count > times
    if not too_many and unknown.result != OK:
        return replace(unknown, why=f"{why}, but {unknown.why}")
    if not places:
        return Finding(FAILED, why, found="not mapped")
    # If there are too many, the finding is about the first one that is one too many.
    at = places[min(times or 0, len(places) - 1)] if too_many else places[0]
    return evidence.at(FAILED, why, evidence.walk(at))


def _times_text(evidence: Evidence, pa: int, places: list[int], count: int, all_known: bool) -> str:
    if not count:
        return f"physical {pa:#x} is mapped nowhere"
    listed = ", ".join(evidence.space.hex(va) for va in places[:_LISTED])
    more = f" and {count - _LISTED} more" if count > _LISTED else ""
    least = "" if all_known else "at least "
    return f"physical {pa:#x} is mapped {least}{plural(count, 'time')}: at {listed}{more}"


def _mapped_at(evidence: Evidence, pa: int, va: int) -> Finding:
    walk = evidence.walk(va)
    finding = Predicate().judge(evidence, walk)
    if finding.result != OK or walk.pa == pa:
        return finding
    return evidence.at(FAILED, f"{evidence.space.hex(va)} maps physical {walk.pa:#x}", walk)


def _each_mapping(evidence: Evidence, pa: int, predicate: Predicate) -> Finding:
    places, count = _places(evidence, pa)
    unknown = evidence.unless_unknown(evidence.everything)
    findings = [predicate.judge(evidence, evidence.walk(va)) for va in places]
    if not findings and unknown.result == OK:
        return Finding(FAILED, f"physical {pa:#x} is mapped nowhere", found="not mapped")
    if count > len(places):
        limit = Finding(UNDECIDED, f"physical {pa:#x} is mapped {count} times: not all were seen")
        findings.append(limit)
    return worst([*findings, unknown])


# Numbers

_OPERATORS = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    ">": operator.gt,
    "=": operator.eq,
}
_COUNTED = ("tables", "pages", "ranges")  # and each page size


def _count(context: Context, words: Sequence[str]) -> Question | None:
    if len(words) != 3 or words[1] not in _OPERATORS:
        return None
    if words[0] not in (*_COUNTED, *native.core.page_size_names()):
        return None
    what, sign, limit = words[0], words[1], int(evaluate(words[2]))
    if limit < 0:
        raise Refusal(f"there are never {limit} {what}")
    return lambda evidence: _compare(evidence, what, sign, limit)


def _compare(evidence: Evidence, what: str, sign: str, limit: int) -> Finding:
    made = evidence.merged if what == "ranges" else evidence.made
    value = {"tables": made.tables, "ranges": len(made), "pages": sum(made.pages.values())}.get(
        what, made.pages.get(what, 0)
    )
    holds = _OPERATORS[sign](value, limit)
    noun = what if what in _COUNTED else f"pages of {what}"
    why = f"there are {value} {noun}"
    unknown = evidence.unless_unknown(evidence.everything)
    # The numbers of an incomplete map are lower bounds. That of ranges is not: a missing part may
    # join two of them.
    if unknown.result != OK:
        at_least = what != "ranges" and _decided_from(sign, value, limit)
        if not at_least:
            return replace(unknown, why=f"{why} at least, but {unknown.why}")
        why += " at least"
    return Finding(OK) if holds else Finding(FAILED, why, found=str(value))


def _decided_from(sign: str, value: int, limit: int) -> bool:
    """Whether a comparison has the same result for any larger value."""
    if sign in ("==", "=", "!=", "<="):
        return value > limit
    return value >= limit if sign in ("<", ">=") else value > limit


# The picture, the vDSO


def _grid(context: Context, words: Sequence[str]) -> Question | None:
    if len(words) != 1:
        return None
    space = context.evidence.space
    if space.paging.canonical:
        raise Refusal(f"{space.mode} paging has no classic grid")
    top = space.paging.levels[-2]
    path = os.path.join(context.folder, os.path.expanduser(words[0]))
    count = (space.paging.last_offset + 1) // top.entry_span
    cells = grid_file.read(path, 0, top.entry_span, count)
    return lambda evidence: _same_grid(evidence, cells)


def _same_grid(evidence: Evidence, expected: str) -> Finding:
    grid, position = evidence.grid, len(evidence.space.paging.levels) - 2
    differing = [at for at, (a, b) in enumerate(zip(expected, grid.cells)) if a != b]
    if not differing:
        return Finding(OK)
    known = [at for at in differing if grid.cells[at] != "?"]
    shown = (known or differing)[:_LISTED]
    texts = [
        f"{evidence.space.hex(at * grid.cell_size)} is {grid.cells[at]} and not " f"{expected[at]}"
        for at in shown
    ]
    rest = len(known or differing) - len(shown)
    why = f"{', '.join(texts)}{f', and {rest} more cells differ' if rest else ''}"
    walk = evidence.walk(shown[0] * grid.cell_size)
    found = evidence.at(FAILED if known else UNDECIDED, why, walk)
    # The grid shows the entry of one level, which may point to a table.
    if position + 1 >= len(walk.steps):
        return replace(found, found=grid.cells[shown[0]])
    entry = native.core.table_entry(walk, evidence.space.paging, position)
    return replace(found, found=grid.cells[shown[0]], entry=entry)


def _vdso(context: Context, words: Sequence[str]) -> Question | None:
    if list(words) not in (["present"], ["absent"]):
        return None
    present = words[0] == "present"

    def ask(evidence: Evidence) -> Finding:
        image, found = evidence.vdso.image, evidence.vdso
        if image is not None:
            if present:
                return Finding(OK)
            name = printable(image.elf.soname) or "a vDSO"
            why = f"{name} is at {evidence.space.hex(image.va)}"
            return evidence.at(FAILED, why, evidence.walk(image.va))
        if not found.search.complete or not found.proven_absent:
            return Finding(UNDECIDED, found.why_none)
        return Finding(FAILED if present else OK, found.why_none if present else "")

    return ask


FORMS = {
    "no": Form("no ATTRS [in START END]", _no),
    "only": Form("only ATTRS [in START END]", _only),
    "range": Form("range START END ATTRS|mapped|unmapped", _range),
    "null": Form("null page unmapped", _null_page),
    "section": Form("section NAME ATTRS|mapped|unmapped", _section),
    "sections": Form("sections", _sections),
    "pa": Form("pa PA unmapped|mapped|mapped once|mapped N times|mapped at VA|ATTRS", _physical),
    "count": Form("count tables|pages|ranges|4K|2M|4M|1G <|<=|==|!=|>=|> N", _count),
    "grid": Form("grid FILE", _grid),
    "vdso": Form("vdso present|absent", _vdso),
}
_ADDRESS = Form("ADDR ATTRS|mapped|unmapped", _address)
