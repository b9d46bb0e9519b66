"""What a rule says of an address or a stretch: attributes, mapped or unmapped."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Sequence

from ..base.errors import Refusal
from ..base.interval import Interval
from ..spaces import attributes
from .evidence import Evidence
from .finding import FAILED, OK, UNDECIDED, Finding

if TYPE_CHECKING:
    from .._core import Condition, Range, Walk, _Right

MAPPED, UNMAPPED = "mapped", "unmapped"
_NO_TYPE = "its memory type is not known (set ptmap pat)"


def words() -> tuple[str, ...]:
    """All words of a predicate, for completion."""
    return (MAPPED, UNMAPPED, *attributes.words())


@dataclass(frozen=True)
class Predicate:
    """Either: it is mapped, and `condition`, if not None, holds. Or: it is not mapped."""

    mapped: bool = True
    condition: Condition | None = None

    @classmethod
    def of(cls, words: Sequence[str]) -> Predicate:
        """The predicate of a rule's words. Error: Refusal names the wrong word."""
        if not words:
            raise Refusal("what should be there? attributes, mapped or unmapped")
        if len(words) > 1 and {MAPPED, UNMAPPED} & set(words):
            raise Refusal("mapped and unmapped go with no other word")
        text = attributes.joined(words)
        if text in (MAPPED, UNMAPPED):
            return cls(text == MAPPED)
        return cls(condition=attributes.parse(text))

    def judge(self, evidence: Evidence, walk: Walk) -> Finding:
        """Judges the address of a walk."""
        if walk.outcome in ("unreadable", "reserved-bit"):
            found = evidence.at(UNDECIDED, "", walk)
            where = evidence.space.hex(walk.va)
            return evidence.at(UNDECIDED, f"{where} leads to {found.found}", walk)
        holds: bool | None = (walk.outcome == "mapped") == self.mapped
        if walk.outcome == "mapped" and self.condition is not None:
            holds = self.condition.holds(evidence.page(walk))
        if holds:
            return Finding(OK)
        why = f"{evidence.space.hex(walk.va)} is {evidence.found(walk)}"
        if holds is None:
            return evidence.at(UNDECIDED, f"{why}: {_NO_TYPE}", walk)
        found = evidence.at(FAILED, why, walk, self._missing_right(walk))
        return _noted(evidence, self.condition, found)

    def _missing_right(self, walk: Walk) -> _Right | None:
        """The first right that the condition asks for and the page does not have."""
        if walk.outcome != "mapped" or self.condition is None:
            return None
        return _first_missing(self.condition.rights_asked, walk)

    def judge_stretch(
        self, evidence: Evidence, stretch: Interval, mapped_only: bool = False
    ) -> Finding:
        """Judges every address from first to last; with MAPPED_ONLY only those that are mapped."""
        wrong, count = evidence.matches(stretch, self.condition, truth=not self.mapped)
        hole = evidence.first_hole(stretch) if self.mapped and not mapped_only else None
        if hole is not None and (wrong is None or hole < wrong.va):
            return self.judge(evidence, evidence.walk(hole))
        if wrong is not None:
            return self._failed(evidence, wrong, count)
        return self._unless_unknown(evidence, stretch)

    def _failed(self, evidence: Evidence, wrong: Range, count: int) -> Finding:
        walk = evidence.walk(wrong.va)
        text = _range_text(evidence, wrong, count, walk)
        found = evidence.at(FAILED, text, walk, self._missing_right(walk))
        return _noted(evidence, self.condition, found)

    def _unless_unknown(self, evidence: Evidence, stretch: Interval) -> Finding:
        if self.condition is not None:
            doubtful, count = evidence.matches(stretch, self.condition, truth=None)
            if doubtful is not None:
                return _no_type(evidence, doubtful, count)
        return evidence.unless_unknown(stretch)


def judge_none(evidence: Evidence, condition: Condition, stretch: Interval) -> Finding:
    """Judges that no page of a stretch has these attributes."""
    wrong, count = evidence.matches(stretch, condition, truth=True)
    if wrong is not None:
        walk = evidence.walk(wrong.va)
        text = _range_text(evidence, wrong, count, walk)
        found = evidence.at(FAILED, text, walk, _first_missing(condition.rights_named, walk))
        return _noted(evidence, condition, found)
    doubtful, count = evidence.matches(stretch, condition, truth=None)
    if doubtful is not None:
        return _no_type(evidence, doubtful, count)
    return evidence.unless_unknown(stretch)


def _first_missing(rights: Sequence[_Right], walk: Walk) -> _Right | None:
    return next((right for right in rights if not getattr(walk, right)), None)


def _noted(evidence: Evidence, condition: Condition | None, finding: Finding) -> Finding:
    """Adds the reason why every mapped page is executable, if the rule is about exec."""
    no_nx = evidence.space.no_nx
    about_exec = condition is not None and "exec" in condition.rights_named
    if no_nx and about_exec and finding.entry is not None:
        return replace(finding, notes=(no_nx,))
    return finding


def _no_type(evidence: Evidence, doubtful: Range, count: int) -> Finding:
    walk = evidence.walk(doubtful.va)
    text = _range_text(evidence, doubtful, count, walk)
    return evidence.at(UNDECIDED, f"{text}: {_NO_TYPE}", walk)


def _range_text(evidence: Evidence, wrong: Range, count: int, walk: Walk) -> str:
    """For example "0x08048000 - 0x08054000 is user read exec, 4K, WB (the first of 3 ranges)"."""
    page = evidence.page(walk) if walk.outcome == "mapped" else evidence.found(walk)
    text = f"{evidence.shown(wrong.va, wrong.va + wrong.size - 1)} is {page}"
    return text if count == 1 else f"{text} (the first of {count} ranges)"
