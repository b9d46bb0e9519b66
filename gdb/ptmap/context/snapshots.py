"""Snapshot files: the bytes that native/space/snapshot.h describes, then their SHA-256."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Sequence

from ..base import native
from ..base.errors import Refusal
from ..base.text import printable, size_text
from ..debugger import files, progress, settings
from ..machine import target
from ..spaces.address_space import AddressSpace
from .selection import maxphyaddr

if TYPE_CHECKING:
    from .._core import Label, Map, Snapshot

_DIGEST = 32
_HEAD = 32  # the first bytes tell whether a file is a snapshot
_PIECE = 1 << 20
_LARGEST = 512 << 20  # bytes of a file; a range takes about five


@dataclass(frozen=True)
class Conditions:
    """The settings with which a map was made."""

    maxphyaddr: int  # bits
    pat: int | None

    @classmethod
    def now(cls) -> Conditions:
        return cls(maxphyaddr(), settings.get("pat"))


def encode(
    space: AddressSpace,
    made: Map,
    words: Sequence[str],
    labels: Sequence[Label],
    conditions: Conditions | None = None,
) -> bytes:
    """An exact map as a file's bytes, which depend only on the arguments. CONDITIONS default to the
    current settings."""
    under = conditions or Conditions.now()
    content: bytes = native.core.write_snapshot(
        made,
        cr0=space.cr0,
        cr3=space.cr3,
        cr4=space.cr4,
        efer=space.efer,
        maxphyaddr=under.maxphyaddr,
        pat=under.pat,
        words=words,
        assumed=list(space.assumed),
        labels=labels,
        pulse=progress.writing,
    )
    return content + _digest(content)


def decode(content: bytes | bytearray) -> Snapshot:
    """Error: Refusal if the bytes are not a snapshot, are damaged or a newer ptmap's."""
    core = native.core
    try:
        core.check_is_snapshot(content)
        body = memoryview(content)[:-_DIGEST]
        if _digest(body) != content[-_DIGEST:]:
            raise Refusal("a damaged ptmap snapshot: its checksum does not match its content")
        return core.read_snapshot(body, progress.flattening)
    except ValueError as error:
        raise Refusal(str(error)) from None


def _digest(content: bytes | memoryview) -> bytes:
    """Piece by piece, so that Ctrl-C works between two."""
    made = hashlib.sha256()
    for at in range(0, len(content), _PIECE):
        made.update(memoryview(content)[at : at + _PIECE])
    return made.digest()


def load(path: str) -> Snapshot:
    """The snapshot in a file. Error: Refusal."""
    try:
        with files.open_regular(path) as file:
            return _decoded(path, file)
    except OSError as error:
        raise Refusal(f"{printable(path)}: {error.strerror}") from None


def _decoded(path: str, file: BinaryIO) -> Snapshot:
    """The snapshot in an open file. Error: Refusal names PATH."""
    try:
        content = bytearray(file.read(_HEAD))
        native.core.check_is_snapshot(content)
        if os.fstat(file.fileno()).st_size > _LARGEST:
            raise Refusal(f"more than {size_text(_LARGEST)}: too large for a snapshot")
        while piece := file.read(_PIECE):  # Ctrl-C works between two pieces
            content += piece
        return decode(content)
    except (ValueError, Refusal) as error:
        raise Refusal(f"{printable(path)}: {error}") from None


def space_of(stored: Snapshot) -> AddressSpace:
    """The space of the snapshot's map; it has no memory."""
    registers = {name: getattr(stored, name) for name in ("cr0", "cr3", "cr4", "efer")}
    paging = native.core.Paging(**registers, maxphyaddr=stored.maxphyaddr)
    return AddressSpace(
        **registers,
        ac=False,
        mode=paging.mode,
        root=stored.root,
        _paging=paging,
        assumed=tuple(stored.assumed),
    )


def store(path: str, content: bytes) -> None:
    """See files.replace(). Error: Refusal, also if the machine has changed since it was read."""
    target.require_same()
    files.replace(path, content)
