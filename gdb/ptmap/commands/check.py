"""The command ptmap check: assertions about an address space."""

from __future__ import annotations

import os
import textwrap
import traceback
from collections import Counter
from dataclasses import dataclass
from typing import NoReturn

import gdb

from ..base import native
from ..base.errors import Refusal
from ..base.option import JSON, Option, Options
from ..base.text import Part, Text, one_line, plural, printable
from ..check import forms, predicate, rule_file, tap
from ..check.evidence import Evidence
from ..check.finding import FAILED, MALFORMED, OK, UNDECIDED, Finding
from ..check.results import Results
from ..check.rule_file import Line
from ..context import selection
from ..debugger import expressions, progress
from ..spaces.address_space import AddressSpace
from ..spaces.reader import Plan
from . import summary
from .command import Command, Completions, beginning, json_members, write, write_file, write_json

_COLUMNS = 80
_WORDS = {OK: "ok", FAILED: "FAILED", UNDECIDED: "UNDECIDED", MALFORMED: "MALFORMED"}
_SUMS = {
    FAILED: ("failed", "failed"),
    UNDECIDED: ("is undecided", "are undecided"),
    MALFORMED: ("is malformed", "are malformed"),
}
_INTERRUPTED, _BUG = "interrupted: not all rules were checked", "a bug of ptmap's"
_LISTED = 8  # lines in an error


@dataclass(frozen=True)
class Judged:
    """A rule and its result."""

    line: Line
    finding: Finding


class CheckCommand(Command):
    """Check rules about the address space: ok, or what breaks them.

    ptmap check [-quit] [-tap FILE|-] [-json FILE|-] [-root PA|PGD]
          [-mode MODE] [-half user|kernel] [-cpu N] [-pid N] [-comm NAME]
          RULE | -file F

    RULE is one rule. A file has one rule a line; blank lines and comments
    (# ...) are skipped. A rule is one of

      no ATTRS [in START END]         no page has these attributes
      only ATTRS [in START END]       every mapped page has them
      ADDR ATTRS|mapped|unmapped      one address
      range START END ATTRS|mapped|unmapped    each address there
      null page unmapped              the first 4 KiB
      section NAME ATTRS|mapped|unmapped       a loaded ELF file's pages
      sections                        each has the rights that its flags ask
                                      for, and no more; a page that several
                                      share has what any of them asks for
      pa PA unmapped|mapped|mapped once|mapped N times|mapped at VA|ATTRS
      count tables|pages|ranges|4K|2M|4M|1G <|<=|==|!=|>=|> N
      grid FILE                       the classic grid is that of a file
      vdso present|absent

    ATTRS are the words of `ptmap -filter`, and apply to each page: user
    supervisor write read-only exec no-exec global large 4K 2M 4M 1G WB WC WT
    WP UC UC-; a space or + between them is and, "," is or, no- negates.
    Addresses are expressions (quote one with spaces); END is exclusive, 0
    for the top. A grid's FILE has rows as `ptmap` prints them; its path is
    relative to the folder of the file of rules. If a symbol has the name of
    a form's first word, put it in parentheses.

    A rule is ok; or FAILED, with what was found and the responsible entry;
    or UNDECIDED, if tables that would decide it cannot be read or have
    reserved bits, or a limit cut the map short; or MALFORMED. All rules are
    checked; if any is not ok the command ends in an error.

      -file F       rules from a file
      -tap FILE|-   the results as TAP 13, for graders and prove
      -json FILE|-  the results as JSON (schema ptmap/1)
      -o FILE       write to a file what would be shown
      -quit         leave the target paused (disconnect) and end GDB with
                    status 0 if all rules are ok, 1 if one failed, 2 if one
                    is malformed or undecided or nothing could be checked
      -root PA and the other options select the space as for `ptmap`

    Examples:
      ptmap check no write+exec
      ptmap check 0xc0000000 large supervisor write
      ptmap check -file lab.check -tap - -quit"""

    options = (
        *selection.OPTIONS,
        Option("file", "FILE", "rules from a file"),
        Option("tap", "FILE|-", "the results as TAP"),
        JSON,
        Option("quit", "", "disconnect and end GDB with the status"),
    )

    def invoke(self, argument: str, from_tty: bool) -> None:
        self._status = 2  # until something was checked
        self._is_written = False
        given = self._given(argument)
        quits = "quit" in given
        self._results = Results(given)
        self._results.empty()
        try:
            super().invoke(argument, from_tty)
        except gdb.GdbError as error:
            self._bail_out(str(error))
            if not quits:
                raise
            gdb.write(f"{error}\n", gdb.STDERR)
        except KeyboardInterrupt:
            self._status = 2
            self._bail_out(_INTERRUPTED)
            if not quits:
                raise
            gdb.write(f"{self.name}: {_INTERRUPTED}\n", gdb.STDERR)
        except BaseException:  # our bug
            self._status = 2
            self._bail_out(_BUG)
            if not quits:
                raise
            gdb.write(f"{self.name}: {_BUG}\n{traceback.format_exc()}", gdb.STDERR)
        if quits:
            _quit(self._status)

    def completions(self, before: list[str], current: str) -> Completions:
        """The forms' first words, then attributes, else expressions."""
        found = super().completions(before, current)
        if found != gdb.COMPLETE_EXPRESSION or not current:
            return found
        is_first = not before or before[-1].startswith("-")
        return beginning(forms.FORMS if is_first else predicate.words(), current) or found

    def _given(self, argument: str) -> dict[str, str]:
        """The options, even if other words of the command are wrong."""
        given: dict[str, str] = {}
        argv = gdb.string_to_argv(argument)
        while argv and argv[0] != "--":
            word = argv.pop(0)
            if not _is_option(word):
                continue
            try:
                option = self._option(word)
            except Refusal:
                continue
            if not option.value:
                given[option.name] = ""
            elif argv and not _is_option(argv[0]):
                given[option.name] = argv.pop(0)
        return given

    def _bail_out(self, why: str) -> None:
        """Writes to the files of results, whose reader must not find old or partial results."""
        if not self._is_written:
            self._results.bail_out(why)

    def parse(self, argument: str) -> tuple[Options, list[str]]:
        options, words = super().parse(argument)
        if options.get("tap") == options.get("json") == "-":
            raise Refusal("-tap - and -json - cannot both be GDB's output")
        if "o" in options and options.get("tap", "-") != "-":
            raise Refusal("-tap FILE leaves nothing to show: it cannot go with -o FILE")
        return options, words

    def plan(self, options: Options, words: list[str]) -> Plan:
        return Plan(whole=True, exact=True)

    def run(self, options: Options, words: list[str]) -> None:
        lines, folder = _rules(options, words)
        space = selection.resolve(options)
        if space.paging_is_off:
            raise Refusal("paging is off (CR0.PG=0): there is no map to check")
        evidence = Evidence(space)
        # Expressions come first: reading tables may need a mode of QEMU's stub in which GDB itself
        # reads the wrong memory.
        with expressions.without_effects():  # once, for all of them
            asked = [(line, _parsed(forms.Context(evidence, folder), line)) for line in lines]
        judged: list[Judged] = []
        for line, question in asked:
            progress.show(f"rule {len(judged) + 1} of {len(lines)}")
            judged.append(Judged(line, _judge(evidence, question)))
        self._show(evidence, options, judged)
        results = Counter(one.finding.result for one in judged)
        self._is_written = True
        self._status = 2 if results[MALFORMED] or results[UNDECIDED] else min(1, results[FAILED])
        if results[OK] != len(judged):
            raise Refusal(_sum(judged))

    def _show(self, evidence: Evidence, options: Options, judged: list[Judged]) -> None:
        stream = tap.text(_tap_test(evidence.space, one) for one in judged)
        if "json" in options:
            write_json(options["json"], _json(evidence, options, judged))
        if "tap" in options and options["tap"] != "-":
            write_file(options["tap"], stream)
        elif "tap" in options:
            write(stream)
        elif "json" not in options:
            write(_text(evidence, judged))


def _is_option(word: str) -> bool:
    return len(word) > 1 and word[0] == "-" and word[1].isalpha()


def _quit(status: int) -> NoReturn:
    """Ends GDB; whatever it is attached to stays paused."""
    for inferior in gdb.inferiors():
        if inferior.connection is None:
            continue
        try:
            if inferior != gdb.selected_inferior():
                gdb.execute(f"inferior {inferior.num}", to_string=True)
            gdb.execute("disconnect", to_string=True)
        except gdb.error:
            pass  # a core file, or a connection that has ended
    gdb.flush()
    gdb.execute(f"quit {status}")
    raise AssertionError("GDB goes on after quit")


# The rules


def _rules(options: Options, words: list[str]) -> tuple[list[Line], str]:
    """The rules, and the folder of their relative paths. Error: Refusal if there are none."""
    if "file" in options:
        if words:
            raise Refusal(f"-file F has the rules: {printable(words[0])!r} cannot go with it")
        path = os.path.expanduser(options["file"])
        return rule_file.read(path), os.path.dirname(path)
    if not words:
        raise Refusal("which rule? For example: ptmap check no write+exec")
    if len(words) > 1:  # words with spaces were quoted
        words = [_quoted(word) for word in words]
    return [Line(0, " ".join(words))], ""


def _quoted(word: str) -> str:
    """The word quoted as GDB's argv reads it."""
    if word and not set(word) & set(" \t\n\"'\\"):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _parsed(context: forms.Context, line: Line) -> forms.Question | Finding:
    """A rule's question, or a finding that it is malformed."""
    try:
        line.text.encode()
    except UnicodeError:
        return Finding(MALFORMED, "this line is not UTF-8 text")
    try:
        return forms.parse(context, forms.split(line.text))
    except Refusal as refusal:
        return Finding(MALFORMED, str(refusal))


def _judge(evidence: Evidence, question: forms.Question | Finding) -> Finding:
    if isinstance(question, Finding):
        return question
    try:
        return question(evidence)
    except Refusal as refusal:
        return Finding(UNDECIDED, str(refusal))


# The output


def _sum(judged: list[Judged]) -> str:
    """For example "2 of 12 rules failed: lines 3, 9; 1 is malformed: line 5"."""
    parts: list[str] = []
    for result, verbs in _SUMS.items():
        wrong = [one for one in judged if one.finding.result == result]
        if not wrong:
            continue
        if not wrong[0].line.number:
            return f"the rule {verbs[0]}: {one_line(wrong[0].finding.why)}"
        numbers = [str(one.line.number) for one in wrong]
        more = f" and {len(numbers) - _LISTED} more" if len(numbers) > _LISTED else ""
        count = f"{len(wrong)} of {plural(len(judged), 'rule')}" if not parts else f"{len(wrong)}"
        parts.append(
            f"{count} {verbs[len(wrong) > 1]}: line{'s' * (len(wrong) > 1)} "
            f"{', '.join(numbers[:_LISTED])}{more}"
        )
    return "; ".join(parts)


def _text(evidence: Evidence, judged: list[Judged]) -> str:
    space = evidence.space
    lines = [summary.head(space, None).rstrip()]
    lines += [f"assuming {what}" for what in space.assumed]
    digits = max(len(str(one.line.number)) for one in judged)
    for one in judged:
        number = f"{one.line.number:>{digits}}  " if one.line.number else ""
        lines += _wrapped(f"{_WORDS[one.finding.result]:<9}  {number}", printable(one.line.text))
        lines += [
            row
            for text in _details(one.finding)
            for row in _wrapped(" " * (11 + len(number)), one_line(text))
        ]
    lines.append(_counts(evidence, judged))
    return "\n".join(lines) + "\n"


def _details(finding: Finding) -> list[str]:
    lines = [finding.why] if finding.why else []
    if finding.entry is not None:
        lines.append(finding.entry.text)
    return lines + [f"note: {note}" for note in finding.notes]


def _wrapped(start: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        _COLUMNS,
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_on_hyphens=False,
        drop_whitespace=True,
    ) or [start.rstrip()]


def _counts(evidence: Evidence, judged: list[Judged]) -> str:
    results = Counter(one.finding.result for one in judged)
    counts = ", ".join(f"{results[one]} {one.value}" for one in _WORDS if results[one])
    text = f"{plural(len(judged), 'rule')}: {counts}"
    if evidence.has_map:
        text += f"; the map is {'complete' if evidence.made.complete else 'INCOMPLETE'}"
    return text


def _json(evidence: Evidence, options: Options, judged: list[Judged]) -> Text:
    space = evidence.space
    results = Counter(one.finding.result for one in judged)
    head = {"kind": "check", "mode": space.mode, "root": hex(space.root)}
    said = {
        "file": options.get("file"),
        "ok": results[OK] == len(judged),
        "counts": {one.value: results[one] for one in _WORDS},
        "rules": [
            {"rule": one.line.text, "line": one.line.number or None} | one.finding.json()
            for one in judged
        ],
    }
    return [
        '{\n "schema": "ptmap/1"',
        json_members(head, indented=True),
        _map_json(evidence),
        json_members(said, indented=True),
        "\n}\n",
    ]


def _map_json(evidence: Evidence) -> Part:
    """What the map lacks, as in its own JSON; null if no rule needed a map."""
    if not evidence.has_map:
        members = dict.fromkeys(("complete", "truncated", "unreadable", "malformed"))
        return json_members(members, indented=True)
    return native.core.missing_json(evidence.made, indented=True)


def _tap_test(space: AddressSpace, one: Judged) -> tuple[bool, str, dict[str, object]]:
    finding = one.finding
    passed = finding.result == OK
    more: dict[str, object] = (
        {} if passed else {"result": finding.result.value, "message": finding.why}
    )
    if not passed and one.line.number:
        more["line"] = one.line.number
    if not passed and finding.va is not None:
        more["address"] = space.hex(finding.va)
    if not passed and finding.found:
        more["found"] = finding.found
    if not passed and finding.entry is not None:
        more["entry"] = finding.entry.text
    if finding.notes:
        more["notes"] = "; ".join(finding.notes)
    return passed, one.line.text, more


def register() -> None:
    CheckCommand("ptmap check")
