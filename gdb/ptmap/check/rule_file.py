"""Files of rules: one rule a line; blank lines and comments (# ...) are skipped."""

from __future__ import annotations

from dataclasses import dataclass

from ..base.errors import Refusal
from ..base.text import printable
from ..debugger.files import open_regular

_LARGEST = 1 << 20


@dataclass(frozen=True)
class Line:
    """A rule and its line number; 0 is the command line."""

    number: int
    text: str


def read(path: str) -> list[Line]:
    """The rules of a file. Error: Refusal if it cannot be read, is not text, or has no rule."""
    lines = [
        Line(number, rule)
        for number, line in enumerate(read_text(path).split("\n"), 1)
        if (rule := without_comment(line).strip())
    ]
    if not lines:
        raise Refusal(f"{printable(path)} has no rules")
    return lines


def read_text(path: str) -> str:
    """The text of a small file; its lines may end in LF, CRLF or CR. Error: Refusal."""
    name = printable(path)
    try:
        with open_regular(path) as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise Refusal(f"{name}: {error.strerror}") from None
    except ValueError:  # a NUL in the path
        raise Refusal(f"{name} cannot be a file's name") from None
    if len(content) > _LARGEST:
        raise Refusal(f"{name} has more than 1 MiB")
    if b"\0" in content:
        raise Refusal(f"{name} is not a text file: it has NUL bytes")
    text = content.decode("utf-8-sig", errors="surrogateescape")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def without_comment(line: str) -> str:
    """The line up to a # that is outside of quotes, at the beginning or after a space."""
    quote = ""
    for at, character in enumerate(line):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character == "#" and (at == 0 or line[at - 1].isspace()):
            return line[:at]
    return line
