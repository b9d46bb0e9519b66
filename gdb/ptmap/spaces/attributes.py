"""The vocabulary of attributes, `write+exec,user` and the like, in the words of people; what it
means is in native/space/condition.h."""

from __future__ import annotations

from typing import TYPE_CHECKING, Sequence

from ..base import native
from ..base.errors import Refusal

if TYPE_CHECKING:
    from .._core import Condition


def words() -> tuple[str, ...]:
    """That a condition may consist of, for completion."""
    return tuple(native.core.condition_words())


def joined(words: Sequence[str]) -> str:
    """One text of several words: a space between them is `and`, as + is."""
    text = " ".join(words)
    for sign in "+,":
        text = sign.join(part.strip() for part in text.split(sign))
    return "+".join(text.split())


def parse(text: str) -> Condition:
    """Error: Refusal names the wrong word."""
    parsed = native.core.parse_condition(text)
    if isinstance(parsed, native.core.Condition):
        return parsed
    if parsed.is_contradiction:
        raise Refusal(f"{parsed.part!r} contradicts itself")
    raise Refusal(f"{parsed.part!r} is no attribute; there is {' '.join(words())} (no- negates)")
