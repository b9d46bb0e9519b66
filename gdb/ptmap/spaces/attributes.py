"""Conditions such as `write+exec,user`, as people type them. native/space/condition.h says what
they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Sequence

from ..base import native
from ..base.errors import Refusal

if TYPE_CHECKING:
    from .._core import Condition


def words() -> tuple[str, ...]:
    """All words of a condition, for completion."""
    return tuple(native.core.condition_words())


def joined(words: Sequence[str]) -> str:
    """The words as one condition: a space between words means "and", as + does."""
    text = " ".join(words)
    for sign in "+,":
        text = sign.join(part.strip() for part in text.split(sign))
    return "+".join(text.split())


def parse(text: str) -> Condition:
    """The condition of a text. Error: Refusal names the wrong word."""
    parsed = native.core.parse_condition(text)
    if isinstance(parsed, native.core.Condition):
        return parsed
    if parsed.is_contradiction:
        raise Refusal(f"{parsed.part!r} contradicts itself")
    raise Refusal(
        f"{parsed.part!r} is not an attribute; the attributes are {' '.join(words())}"
        " (no- negates)"
    )
