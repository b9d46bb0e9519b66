"""Numbers and sizes as words; names from elsewhere, made safe to print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterable, Iterator, Union

from . import native

if TYPE_CHECKING:
    from .._core import _Role

# What a command says. A long text comes in pieces, so that it never is in memory as a whole.
Part = Union[str, Iterable[str]]
Text = Union[str, Iterable[Part]]


def flat(text: Text) -> Iterator[str]:
    """The text's pieces, each made only when it is asked for."""
    if isinstance(text, str):
        yield text
        return
    for part in text:
        if isinstance(part, str):
            yield part
        else:
            yield from part


def spans(text: Text) -> Iterator[tuple[_Role, str]]:
    """The text's pieces with their roles. Only the core's texts have roles; all else is "plain"."""
    for part in (text,) if isinstance(text, str) else text:
        if isinstance(part, native.core.Text):
            for piece in range(len(part)):
                yield from part.spans(piece)
        else:
            for plain in flat(part):
                yield "plain", plain


def printable(name: bytes | str) -> str:
    r"""A name that a guest, a file or a user chose: ASCII as it is, other bytes and the backslash
    as \xNN. Nothing in the result moves a terminal's cursor or ends a line."""
    return "".join(
        chr(byte) if 0x20 <= byte < 0x7F and byte != 0x5C else f"\\x{byte:02x}"
        for byte in (name if isinstance(name, bytes) else _encoded(name))
    )


def _encoded(name: str) -> bytes:
    """As UTF-8, whatever the locale. A surrogate stands for a byte that is not UTF-8, or for
    itself."""
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogatepass")


def one_line(text: str) -> str:
    r"""A sentence made printable() whose names already are: backslashes stay as they are."""
    return "\\".join(printable(part) for part in text.split("\\"))


def plural(count: int, noun: str, many: str = "") -> str:
    """For example "1 table", "12 tables"."""
    return f"{count} {noun if count == 1 else many or noun + 's'}"


def size_text(size: int) -> str:
    """For example "4 KiB", "1 GiB": in the largest unit that divides it."""
    return native.core.size_words(size)


def short_size(size: int) -> str:
    """For example "4K", "15.9T": rounded, five characters at most."""
    return native.core.short_size(size)
