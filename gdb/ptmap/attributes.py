"""The vocabulary of attributes: `write+exec,user` and the like.

`+` is and, `,` is or (and binds tighter), `no-` negates a word. Page sizes are about what a range
contains: `2M` is true of a range with at least one 2 MiB page, `no-2M` of one with none.
"""

from __future__ import annotations

from typing import Any

from . import native
from .errors import Refusal

_USER, _WRITE, _EXEC = 1, 2, 4  # native/core/rights.h
_SIZES = {"4K": 1, "2M": 2, "4M": 4, "1G": 8}  # native/core/map.h
_TYPES = ("UC", "WC", "WT", "WP", "WB", "UC-", "PAT1", "PAT5", "PAT7")

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


def parse(text: str) -> list[Any]:
    """The _core.Wanted terms of which one must hold. Error: Refusal names the wrong word."""
    return [_term(term) for term in text.split(",")]


def _term(text: str) -> Any:
    fields: dict[str, Any] = {"rights_set": 0, "rights_clear": 0, "sizes_any": 0, "sizes_none": 0}
    types = set(_TYPES)
    for word in text.split("+"):
        plain = word[3:] if word.startswith("no-") and word not in _RIGHTS else word
        positive = plain == word
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
        else:
            raise Refusal(f"{word!r} is no attribute; there is {' '.join(WORDS)} (no- negates)")
    if fields["rights_set"] & fields["rights_clear"]:
        raise Refusal(f"{text!r} contradicts itself")
    return native.core().Wanted(types=None if types == set(_TYPES) else sorted(types), **fields)


def _once(fields: dict[str, Any], key: str, value: bool, text: str) -> None:
    if fields.setdefault(key, value) != value:
        raise Refusal(f"{text!r} contradicts itself")
