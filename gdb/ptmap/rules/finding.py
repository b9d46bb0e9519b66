"""What came of a rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..address_space import AddressSpace

OK, FAILED, UNDECIDED, MALFORMED = "ok", "failed", "undecided", "malformed"

# Which bit of an entry takes a right away (SDM vol. 3A, 4.6).
_DENIALS = {"user": "US=0", "write": "RW=0", "exec": "XD=1"}


@dataclass(frozen=True)
class Finding:
    """A rule's result. `why` is one sentence; the rest is there where it failed at an address."""

    result: str
    why: str = ""
    va: int | None = None
    found: str = ""  # what is there
    entry: dict[str, Any] | None = None  # the one responsible, see entry()
    notes: tuple[str, ...] = ()  # what was not asked, and why

    def json(self) -> dict[str, Any]:
        """The members of the JSON that say it."""
        return {
            "result": self.result,
            "why": self.why or None,
            "va": None if self.va is None else hex(self.va),
            "found": self.found or None,
            "entry": self.entry,
            "notes": list(self.notes),
        }


def worst(findings: list[Finding]) -> Finding:
    """One finding for several: a failure, else what cannot be decided. Notes are kept."""
    order = (FAILED, MALFORMED, UNDECIDED, OK)
    return min(findings, key=lambda one: order.index(one.result))


def entry(walk: Any, right: str | None = None) -> dict[str, Any] | None:
    """The entry responsible for what a walk found, in the words of pte's JSON: the one that takes
    a right away where the path lacks it, else the last one, which maps the page or does not.
    None for an address that is not canonical."""
    if not walk.steps:
        return None
    step, says = walk.steps[-1], _LAST[walk.outcome]
    if walk.outcome == "mapped" and right is not None and not getattr(walk, right):
        step = next(one for one in walk.steps if not getattr(one, right))
        says = _DENIALS[right]
    described = {
        "level": step.level, "name": step.entry_name, "table": hex(step.table),
        "index": step.index, "entry_pa": hex(step.entry_address),
    }  # fmt: skip
    if walk.outcome != "unreadable":
        described["raw"] = hex(step.raw)
    return described | {"says": says}


_LAST = {
    "mapped": "maps the page", "not-present": "not present (P=0)",
    "reserved-bit": "a reserved bit is set", "unreadable": "could not be read",
}  # fmt: skip


def entry_text(space: AddressSpace, one: dict[str, Any]) -> str:
    """"PTE 72 at 0x206120 = 0x01000025: RW=0" """
    text = f"{one['name']} {one['index']} at {one['entry_pa']}"
    if "raw" in one:
        text += f" = 0x{int(one['raw'], 16):0{2 * space.paging.entry_bytes}x}"
    return f"{text}: {one['says']}"
