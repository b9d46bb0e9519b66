"""What a rule says of an address or a stretch: attributes, mapped or unmapped."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Sequence

from .. import attributes, native
from ..errors import Refusal
from .evidence import Evidence
from .finding import FAILED, OK, UNDECIDED, Finding

MAPPED, UNMAPPED = "mapped", "unmapped"
WORDS = (MAPPED, UNMAPPED, *attributes.WORDS)
_NO_TYPE = "its memory type is not known (set ptmap pat)"


@dataclass(frozen=True)
class Predicate:
    """`text` is mapped, unmapped or attributes."""

    text: str

    @classmethod
    def of(cls, words: Sequence[str]) -> Predicate:
        """Error: Refusal names the word that is none."""
        if not words:
            raise Refusal("what should be there? attributes, mapped or unmapped")
        text = attributes.joined(words)
        if len(words) > 1 and {MAPPED, UNMAPPED} & set(words):
            raise Refusal("mapped and unmapped stand alone")
        if text not in (MAPPED, UNMAPPED):
            attributes.parse(text)
        return cls(text)

    @property
    def _is_attributes(self) -> bool:
        return self.text not in (MAPPED, UNMAPPED)

    def wanted(self, unknown: bool) -> list[Any]:
        """For the core, of what is mapped. `unknown`: what it says of an unknown memory type."""
        if self._is_attributes:
            return attributes.parse(self.text, unknown)
        return [native.core().Wanted()]

    def judge(self, evidence: Evidence, walk: Any) -> Finding:
        """Of one address."""
        if walk.outcome in ("unreadable", "reserved-bit"):
            found = evidence.at(UNDECIDED, "", walk)
            where = evidence.space.hex(walk.va)
            return evidence.at(UNDECIDED, f"{where} leads to {found.found}", walk)
        if walk.outcome != "mapped" or not self._is_attributes:
            holds: bool | None = (walk.outcome == "mapped") == (self.text != UNMAPPED)
        else:
            holds = attributes.holds(self.text, evidence.page(walk))
        if holds:
            return Finding(OK)
        why = f"{evidence.space.hex(walk.va)} is {evidence.found(walk)}"
        if holds is None:
            return evidence.at(UNDECIDED, f"{why}: {_NO_TYPE}", walk)
        found = evidence.at(FAILED, why, walk, self._right(evidence, walk))
        return _noted(evidence, self.text, found)

    def _right(self, evidence: Evidence, walk: Any) -> str | None:
        """The right that the predicate is missing at a page."""
        if walk.outcome != "mapped" or not self._is_attributes:
            return None
        words = attributes.words_at_odds(self.text, evidence.page(walk))
        rights = [right for word in words if (right := attributes.right_of(word))]
        return next((right for right in rights if not getattr(walk, right)), None)

    def judge_stretch(
        self, evidence: Evidence, stretch: tuple[int, int], mapped_only: bool = False
    ) -> Finding:
        """Of every address from the first to the last; with mapped_only of what is mapped there."""
        if self.text == UNMAPPED:
            wrong, count = evidence.matches(stretch, self.wanted(True))
            hole = None
        else:
            wrong, count = evidence.matches(stretch, self.wanted(True), others=True)
            hole = None if mapped_only else evidence.first_hole(stretch)
        if wrong is None and hole is None:
            return self._unless_unknown(evidence, stretch)
        if hole is not None and (wrong is None or hole < wrong.va):
            return self.judge(evidence, evidence.walk(hole))
        return self._failed(evidence, wrong, count)

    def _failed(self, evidence: Evidence, wrong: Any, count: int) -> Finding:
        walk = evidence.walk(wrong.va)
        found = evidence.at(FAILED, _range_text(evidence, wrong, count, walk), walk,
                            self._right(evidence, walk))  # fmt: skip
        return _noted(evidence, self.text, found)

    def _unless_unknown(self, evidence: Evidence, stretch: tuple[int, int]) -> Finding:
        if self._is_attributes:
            doubtful, count = evidence.matches(stretch, self.wanted(False), others=True)
            if doubtful is not None:
                return _no_type(evidence, doubtful, count)
        return evidence.unless_unknown(stretch)


def judge_none(evidence: Evidence, text: str, stretch: tuple[int, int]) -> Finding:
    """That no page of a stretch has these attributes."""
    wrong, count = evidence.matches(stretch, attributes.parse(text, False))
    if wrong is not None:
        walk = evidence.walk(wrong.va)
        lacks = [right for word in text.replace(",", "+").split("+")
                 if (right := attributes.right_of(word)) and not getattr(walk, right)]  # fmt: skip
        found = evidence.at(FAILED, _range_text(evidence, wrong, count, walk), walk,
                            lacks[0] if lacks else None)  # fmt: skip
        return _noted(evidence, text, found)
    doubtful, count = evidence.matches(stretch, attributes.parse(text, True))
    if doubtful is not None:
        return _no_type(evidence, doubtful, count)
    return evidence.unless_unknown(stretch)


def _noted(evidence: Evidence, text: str, finding: Finding) -> Finding:
    """With the reason why all that is mapped is executable, where the rule is about that."""
    no_nx = evidence.space.no_nx
    if no_nx and "exec" in text and finding.entry is not None:
        return replace(finding, notes=(no_nx,))
    return finding


def _no_type(evidence: Evidence, doubtful: Any, count: int) -> Finding:
    walk = evidence.walk(doubtful.va)
    text = _range_text(evidence, doubtful, count, walk)
    return evidence.at(UNDECIDED, f"{text}: {_NO_TYPE}", walk)


def _range_text(evidence: Evidence, wrong: Any, count: int, walk: Any) -> str:
    """"0x08048000 - 0x08054000 is user read exec, 4K, WB (the first of 3 ranges)" """
    page = evidence.page(walk) if walk.outcome == "mapped" else evidence.found(walk)
    text = f"{evidence.shown(wrong.va, wrong.va + wrong.size - 1)} is {page}"
    return text if count == 1 else f"{text} (the first of {count} ranges)"
