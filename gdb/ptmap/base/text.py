"""Numbers, sizes and other people's names in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterable, Iterator, Union

from . import native

if TYPE_CHECKING:
    from .._core import _Role

# What a command says: lines, and long texts in pieces, one after the other.
Part = Union[str, Iterable[str]]
Text = Union[str, Iterable[Part]]


def flat(text: Text) -> Iterator[str]:
    """Its pieces, each made when its turn comes."""
    if isinstance(text, str):
        yield text
        return
    for part in text:
        if isinstance(part, str):
            yield part
        else:
            yield from part


def spans(text: Text) -> Iterator[tuple[_Role, str]]:
    """The same, each with what it is: of the core's texts that were made with roles. All else is
    plain."""
    for part in (text,) if isinstance(text, str) else text:
        if isinstance(part, native.core.Text):
            for piece in range(len(part)):
                yield from part.spans(piece)
        else:
            for plain in flat(part):
                yield "plain", plain


def printable(name: bytes | str) -> str:
    r"""What a guest, a file or a user may have chosen: ASCII as it is, other bytes and the
    backslash as \xNN. Nothing in it moves a terminal's cursor or ends a line."""
    return "".join(
        chr(byte) if 0x20 <= byte < 0x7F and byte != 0x5C else f"\\x{byte:02x}"
        for byte in (name if isinstance(name, bytes) else _encoded(name))
    )


def _encoded(name: str) -> bytes:
    """As UTF-8, whatever the locale. Surrogates are bytes that were none, or stand alone."""
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogatepass")


def one_line(text: str) -> str:
    r"""A sentence in which names are printable() already: what else is in it becomes so too, and
    backslashes stay."""
    return "\\".join(printable(part) for part in text.split("\\"))


def plural(count: int, noun: str, many: str = "") -> str:
    """As "1 table", "12 tables"."""
    return f"{count} {noun if count == 1 else many or noun + 's'}"


def size_text(size: int) -> str:
    """As "4 KiB", "1 GiB": the largest unit that divides it."""
    return native.core.size_words(size)


def short_size(size: int) -> str:
    """As "4K", "15.9T": five characters at most, rounded."""
    return native.core.short_size(size)
