"""Snapshot files: what native/core/snapshot.h lays out, with a checksum behind it (SHA-256)."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Sequence

from . import native, progress, settings, target
from .address_space import AddressSpace, maxphyaddr
from .errors import Refusal
from .text import printable

if TYPE_CHECKING:
    from ._core import Label, Map, Snapshot

_DIGEST = 32
_HEAD = 32  # bytes that tell what a file is


@dataclass(frozen=True)
class Conditions:
    """The settings that a map was made under."""

    maxphyaddr: int  # bits
    pat: int | None

    @classmethod
    def now(cls) -> Conditions:
        return cls(maxphyaddr(), settings.get("pat"))


def encode(
    space: AddressSpace, made: Map, words: Sequence[str], labels: Sequence[Label],
    conditions: Conditions | None = None,
) -> bytes:  # fmt: skip
    """An exact map as a file's bytes. They depend on nothing but the map and what is given; without
    conditions the map was made under those of now."""
    under = conditions or Conditions.now()
    content: bytes = native.core().write_snapshot(
        made, cr0=space.cr0, cr3=space.cr3, cr4=space.cr4, efer=space.efer,
        maxphyaddr=under.maxphyaddr, pat=under.pat, words=words,
        assumed=list(space.assumed), labels=labels, pulse=progress.writing,
    )  # fmt: skip
    return content + hashlib.sha256(content).digest()


def decode(content: bytes) -> Snapshot:
    """Error: Refusal for bytes that are none, damaged or a newer ptmap's."""
    core = native.core()
    try:
        core.check_is_snapshot(content)
        body, digest = content[:-_DIGEST], content[-_DIGEST:]
        if hashlib.sha256(body).digest() != digest:
            raise Refusal("a damaged ptmap snapshot: its checksum is not that of its content")
        stored: Snapshot = core.read_snapshot(body, progress.flattening)
        return stored
    except ValueError as error:
        raise Refusal(str(error)) from None


def load(path: str) -> Snapshot:
    """The same of a file. Error: Refusal."""
    try:
        with open(os.path.expanduser(path), "rb", opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Refusal(f"{printable(path)}: no regular file")
            native.core().check_is_snapshot(head := file.read(_HEAD))
            return decode(head + file.read())
    except OSError as error:
        raise Refusal(f"{printable(path)}: {error.strerror}") from None
    except (ValueError, Refusal) as error:
        if str(error).startswith(printable(path)):
            raise
        raise Refusal(f"{printable(path)}: {error}") from None


def space_of(stored: Snapshot) -> AddressSpace:
    """The space that its map is of; it has no memory."""
    registers = {name: getattr(stored, name) for name in ("cr0", "cr3", "cr4", "efer")}
    paging = native.core().Paging(**registers, maxphyaddr=stored.maxphyaddr)
    return AddressSpace(
        **registers, ac=False, mode=paging.mode, root=stored.root, paging=paging,
        assumed=tuple(stored.assumed),
    )  # fmt: skip


def _open_at_once(path: str, flags: int) -> int:
    """A FIFO without a writer would wait for ever."""
    return os.open(path, flags | os.O_NONBLOCK)


def store(path: str, content: bytes) -> None:
    """Writes a file whole or not at all: what was there before stays on an error.

    Error: Refusal, also where the machine is no more as it was read.
    """
    target.require_same()
    place = os.path.realpath(os.path.expanduser(path))
    temporary = None
    try:
        if os.path.exists(place) and not os.path.isfile(place):
            raise Refusal(f"{printable(path)}: no regular file")
        descriptor, temporary = tempfile.mkstemp(prefix=".ptmap-", dir=os.path.dirname(place))
        with open(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(descriptor, _mode(place))
        os.replace(temporary, place)
        temporary = None
    except OSError as error:
        raise Refusal(f"{printable(path)}: {error.strerror}") from None
    finally:
        if temporary is not None:
            with suppress(OSError):
                os.unlink(temporary)


def _mode(path: str) -> int:
    """The permissions of what is there, else those that any new file gets."""
    with suppress(OSError):
        return stat.S_IMODE(os.stat(path).st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
