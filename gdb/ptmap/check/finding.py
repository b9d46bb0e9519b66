"""The result of a rule."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._core import ResponsibleEntry


class Result(Enum):
    """The words of the JSON."""

    OK = "ok"
    FAILED = "failed"
    UNDECIDED = "undecided"
    MALFORMED = "malformed"


OK, FAILED = Result.OK, Result.FAILED
UNDECIDED, MALFORMED = Result.UNDECIDED, Result.MALFORMED


@dataclass(frozen=True)
class Finding:
    """A rule's result. `why` is one sentence; va, found and entry are set if it is about an
    address."""

    result: Result
    why: str = ""
    va: int | None = None
    found: str = ""  # what is at the address
    entry: ResponsibleEntry | None = None
    notes: tuple[str, ...] = ()  # what was not checked, and why

    def json(self) -> dict[str, object]:
        """The finding's members of the JSON."""
        return {
            "result": self.result.value,
            "why": self.why or None,
            "va": None if self.va is None else hex(self.va),
            "found": self.found or None,
            "entry": None if self.entry is None else _entry_json(self.entry),
            "notes": list(self.notes),
        }


def worst(findings: list[Finding]) -> Finding:
    """The worst of several: failed, then malformed, undecided, ok; the first one of these."""
    order = (FAILED, MALFORMED, UNDECIDED, OK)
    return min(findings, key=lambda one: order.index(one.result))


def _entry_json(entry: ResponsibleEntry) -> dict[str, object]:
    """With the names of pte's JSON."""
    raw = {} if entry.raw is None else {"raw": hex(entry.raw)}
    return {
        "level": entry.level,
        "name": entry.entry_name,
        "table": hex(entry.table),
        "index": entry.index,
        "entry_pa": hex(entry.entry_address),
        **raw,
        "says": entry.says,
    }
