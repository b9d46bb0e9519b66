"""The vocabulary of attributes: `write+exec,user` and the like.

`+` is and, `,` is or (and binds tighter), `no-` negates a word. Page sizes are about what a range
contains: `2M` is true of a range with at least one 2 MiB page, `no-2M` of one with none.

Where IA32_PAT is not known neither are the types of three of its slots (PAT1, PAT5, PAT7): a word
such as `WC` is then neither true nor false of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Sequence

from . import native
from .errors import Refusal

_USER, _WRITE, _EXEC = 1, 2, 4  # native/core/rights.h
_SIZES = {"4K": 1, "2M": 2, "4M": 4, "1G": 8}  # native/core/map.h
_TYPES = ("UC", "WC", "WT", "WP", "WB", "UC-", "PAT1", "PAT5", "PAT7")
_SLOTS = {"PAT1", "PAT5", "PAT7"}  # types that are not known

# word: (right, set?)
_RIGHTS = {
    "user": (_USER, True),
    "supervisor": (_USER, False),
    "write": (_WRITE, True),
    "read-only": (_WRITE, False),
    "exec": (_EXEC, True),
    "no-exec": (_EXEC, False),
}
WORDS = (*_RIGHTS, "global", "no-global", "large", "no-large", *_SIZES, *_TYPES)


@dataclass(frozen=True)
class Page:
    """What the words are about, of one page."""

    user: bool
    write: bool
    exec: bool
    global_: bool
    size: str  # 4K 2M 4M 1G
    cache: str

    @property
    def rights(self) -> int:
        return _USER * self.user | _WRITE * self.write | _EXEC * self.exec

    def __str__(self) -> str:
        """"user read exec, 4K, WB": as pte says it."""
        words = ["user" if self.user else "supervisor", "read", *["write"] * self.write,
                 *["exec"] * self.exec, *["global"] * self.global_]  # fmt: skip
        return f"{' '.join(words)}, {self.size}, {self.cache}"


def joined(words: Sequence[str]) -> str:
    """One text of several words: a space between them is `and`, as + is."""
    text = " ".join(words)
    for sign in "+,":
        text = sign.join(part.strip() for part in text.split(sign))
    return "+".join(text.split())


def parse(text: str, unknown: bool | None = None) -> list[Any]:
    """The _core.Wanted terms of which one must hold. `unknown`: what the terms say of a type that
    is not known; None: that it is PAT1 and the like. Error: Refusal names the wrong word."""
    return [_term(term, unknown) for term in text.split(",")]


def holds(text: str, page: Page) -> bool | None:
    """Whether that is true of a page; None where its memory type decides and is not known."""
    truths = [_and(_has(word, page) for word in term.split("+")) for term in text.split(",")]
    return True if True in truths else None if None in truths else False


def right_of(word: str) -> str | None:
    """The right that a word is about: user, write or exec."""
    plain, _ = _plain(word)
    right = _RIGHTS.get(plain, (0, True))[0]
    return {_USER: "user", _WRITE: "write", _EXEC: "exec"}.get(right)


def words_at_odds(text: str, page: Page) -> list[str]:
    """The words that are not true of a page, of the first term."""
    return [word for word in text.split(",")[0].split("+") if _has(word, page) is not True]


def _and(truths: Any) -> bool | None:
    every = list(truths)
    return False if False in every else None if None in every else True


def _plain(word: str) -> tuple[str, bool]:
    """A word without its no-, and whether it had none."""
    negated = word.startswith("no-") and word not in _RIGHTS
    return (word[3:], False) if negated else (word, True)


def _has(word: str, page: Page) -> bool | None:
    plain, positive = _plain(word)
    if plain in _RIGHTS:
        right, is_set = _RIGHTS[plain]
        truth = bool(page.rights & right) == is_set
    elif plain == "global":
        truth = page.global_
    elif plain == "large":
        truth = page.size != "4K"
    elif plain in _SIZES:
        truth = page.size == plain
    elif page.cache in _SLOTS and plain not in _SLOTS:
        return None
    else:
        truth = page.cache == plain
    return truth == positive


def _term(text: str, unknown: bool | None) -> Any:
    fields: dict[str, Any] = {"rights_set": 0, "rights_clear": 0, "sizes_any": 0, "sizes_none": 0}
    types = set(_TYPES)
    named: set[str] = set()
    for word in text.split("+"):
        plain, positive = _plain(word)
        if plain in _RIGHTS:
            right, is_set = _RIGHTS[plain]
            fields["rights_set" if is_set == positive else "rights_clear"] |= right
        elif plain == "global":
            _once(fields, "global_", positive, text)
        elif plain == "large":
            if positive:
                fields["large"] = True
            else:
                fields["sizes_none"] |= sum(_SIZES.values()) - _SIZES["4K"]
        elif plain in _SIZES:
            fields["sizes_any" if positive else "sizes_none"] |= _SIZES[plain]
        elif plain in _TYPES:
            types = types & {plain} if positive else types - {plain}
            named.add(plain)
        else:
            raise Refusal(f"{word!r} is no attribute; there is {' '.join(WORDS)} (no- negates)")
    if fields["rights_set"] & fields["rights_clear"]:
        raise Refusal(f"{text!r} contradicts itself")
    if unknown is not None and named - _SLOTS and not named & _SLOTS:
        types = types | _SLOTS if unknown else types - _SLOTS
    return native.core().Wanted(types=None if types == set(_TYPES) else sorted(types), **fields)


def _once(fields: dict[str, Any], key: str, value: bool, text: str) -> None:
    if fields.setdefault(key, value) != value:
        raise Refusal(f"{text!r} contradicts itself")
