"""What Linux means by an entry, as a value; its JSON and its words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .entry_bits import WIDE, Version


class What(Enum):
    """The values are the JSON's words."""

    PAGE = "page"  # mapped
    # Not present:
    PROT_NONE = "prot-none"
    INVALIDATED = "invalidated"  # a large page that is being changed
    SWAP = "swap"  # in a swap area
    HWPOISON = "hwpoison"
    MIGRATION = "migration"
    DEVICE_PRIVATE = "device-private"
    DEVICE_EXCLUSIVE = "device-exclusive"
    MARKER = "pte-marker"
    SWAPIN_ERROR = "swapin-error"
    # The configuration is not known:
    SPECIAL = "special"  # one of those from HWPOISON on
    SWAP_OR_SPECIAL = "swap-or-special"
    # ptmap does not know better:
    UNKNOWN = "unknown"  # this version writes no such entry
    UNKNOWN_LAYOUT = "unknown-layout"  # nobody has read this version's headers


@dataclass(frozen=True)
class Meaning:
    """None, "" and () if it has no such thing."""

    what: What
    version: Version  # of the Linux
    pa: int | None = None  # of a frame
    type: int | None = None  # of a swap entry
    offset: int | None = None  # of a swap entry
    access: str = ""  # "read", "read-exclusive" or "write", if each has a swap type of its own
    bits: tuple[str, ...] = ()  # of a page: those that the processor ignores
    markers: tuple[str, ...] = ()  # what a marker says
    flags: tuple[str, ...] = ()  # beside a swap entry's type and offset

    def json(self) -> dict[str, object]:
        one: dict[str, object] = {"what": self.what.value}
        if self.type is not None:
            one["type"] = self.type
        if self.offset is not None:
            one["offset"] = hex(self.offset)
        if self.access:
            one["access"] = self.access
        for name, words in (("bits", self.bits), ("markers", self.markers), ("flags", self.flags)):
            if words:
                one[name] = list(words)
        if self.pa is not None:
            one["pa"] = hex(self.pa)
        return {**one, "version": self._version}

    def text(self, mode: str) -> str:
        """One line."""
        linux = f"Linux {self._version}"
        if self.what is What.UNKNOWN_LAYOUT:
            return f"ptmap does not know the layout of {linux}'s non-present entries"
        return f"{linux}: {self._words(mode)}"

    def _words(self, mode: str) -> str:
        frame = f", frame {self.pa:#x}" if self.pa is not None else ""
        match self.what:
            case What.PAGE:
                return ", ".join(self.bits)
            case What.PROT_NONE:
                # Both look the same: change_pte_range(), mm/mprotect.c. Only x86_64 has NUMA hints.
                return "PROT_NONE" + (" or a NUMA hint" if mode in WIDE else "") + frame
            case What.INVALIDATED:
                return f"a large page being split or changed{frame}"
            case What.UNKNOWN:
                return "not an entry that this version writes"
            case What.SWAP:
                return f"swapped out: {self._place}"
            case What.SPECIAL:
                return f"swap {self._place} (special)"
            case What.SWAP_OR_SPECIAL:
                return f"swap {self._place} (an area, or special)"
        kind = self.what.value + _bracketed(self.markers or self.access)
        return f"{kind}{frame}: swap {self._place}"

    @property
    def _version(self) -> str:
        return "{}.{}".format(*self.version)

    @property
    def _place(self) -> str:
        return f"type {self.type}, offset {self.offset or 0:#x}{_bracketed(self.flags)}"


def _bracketed(words: tuple[str, ...] | str) -> str:
    """ " (a, b)"; "" for none."""
    text = words if isinstance(words, str) else ", ".join(words)
    return f" ({text})" if text else ""
