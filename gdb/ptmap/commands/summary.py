"""The lines above and below a map; native/text/summary_text.h makes their text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base import native
from ..spaces import kpti
from ..spaces.address_space import AddressSpace
from ..spaces.split import shared, split_of

if TYPE_CHECKING:
    from .._core import Map, Text


def head(space: AddressSpace, linux: object) -> str:
    """The first line: mode, root, which of KPTI's roots it is, whether it is Linux."""
    return "".join(
        native.core.head_text(
            space.mode, space.root, kpti.half(space), linux is not None, space.notes
        )
    )


def parts(space: AddressSpace) -> list[Text]:
    """Lines on the split of a 32-bit space, and on what KPTI's user root has of the kernel."""
    core, lines = native.core, []
    if (begins := split_of(space)) is not None:
        lines.append(core.split_text(begins))
    sizes, pair, half = shared(space), kpti.roots(space), kpti.half(space)
    if sizes is not None and pair is not None and half is not None:
        lines.append(core.kpti_text(sizes, pair.kernel, pair.user, half))
    return lines


def missing(made: Map, cut: bool, indent: int = 0) -> Text:
    """Lines on what could not be read or has reserved bits, and on limits that were reached. CUT:
    whether the limit of tables was."""
    return native.core.missing_text(made, cut, indent)
