"""The lines above and below a map; native/text/summary_text.h makes their text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..base import native
from ..machine.sources.source import INTERRUPTED
from ..spaces.address_space import AddressSpace
from ..spaces.split import shared, split_of

if TYPE_CHECKING:
    from .._core import Gap, Map, Text


def head(space: AddressSpace, linux: Any) -> str:
    """The first line: mode, root, which of KPTI's roots it is, whether it is Linux."""
    return "".join(
        native.core.head_text(
            space.mode, space.root, space.half or "", linux is not None, space.told
        )
    )


def parts(space: AddressSpace) -> list[Text]:
    """Lines on the split of a 32-bit space, and on what KPTI's user root has of the kernel."""
    core, lines = native.core, []
    if (begins := split_of(space)) is not None:
        lines.append(core.split_text(begins))
    sizes, pair = shared(space), space.kpti_roots
    if sizes is not None and pair is not None:
        lines.append(core.kpti_text(sizes, pair.kernel, pair.user, space.half or ""))
    return lines


def missing_json(made: Map) -> dict[str, Any]:
    """The JSON's members on what is missing; the core writes the same members for a map."""

    def gap_json(gap: Gap) -> dict[str, Any]:
        return {
            "va": hex(gap.va),
            "size": hex(gap.size),
            "table": hex(gap.table),
            "level": gap.level,
            "why": gap.why,
        }

    return {
        "complete": made.complete,
        "truncated": made.truncated,
        "unreadable": [gap_json(gap) for gap in made.unreadable],
        "malformed": [gap_json(gap) for gap in made.malformed],
    }


def missing(made: Map, cut: bool, indent: int = 0) -> Text:
    """Lines on what could not be read or has reserved bits, and on limits that were reached. CUT:
    whether the limit of tables was."""
    return native.core.missing_text(made, cut, INTERRUPTED, indent)
