"""The vector files (tests/vectors/README.md) for the tests in Python: cases, and their answers
compared with what somebody says who was asked the same."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator, Protocol

FOLDER = Path(__file__).resolve().parents[1] / "vectors"
RAM = 16 << 20


@dataclass
class Question:
    line: int
    va: int
    answer: str
    details: list[tuple[int, str, str]] = field(default_factory=list)  # line, kind, answer


@dataclass
class Case:
    file: str
    name: str
    mode: str = ""
    registers: dict[str, int] = field(default_factory=dict)
    entries: list[tuple[int, int, int]] = field(default_factory=list)  # table, index, raw
    questions: list[Question] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.file}: {self.name}"

    @property
    def entry_bytes(self) -> int:
        return 4 if self.mode == "32-bit" else 8

    def register(self, name: str) -> int:
        return self.registers.get(name, 52 if name == "maxphyaddr" else 0)

    def pages(self) -> dict[int, bytearray]:
        """The 4 KiB pages that the entries are in."""
        pages: dict[int, bytearray] = {}
        for table, index, raw in self.entries:
            at = table + index * self.entry_bytes
            page = pages.setdefault(at & ~0xFFF, bytearray(4096))
            page[at & 0xFFF : (at & 0xFFF) + self.entry_bytes] = raw.to_bytes(
                self.entry_bytes, "little"
            )
        return pages


class Answers(Protocol):
    """What is said of one address, in the files' words."""

    def answer(self) -> str:
        ...

    def path(self) -> str:
        ...

    def notes(self) -> set[str]:
        ...

    def access(self, question: str) -> str:
        ...


def cases() -> list[Case]:
    """Of all files. ValueError for a line that is not understood."""
    found = [case for path in sorted(FOLDER.glob("*.txt")) for case in _read(path)]
    assert len(found) > 50
    return found


def _read(path: Path) -> Iterator[Case]:
    case: Case | None = None
    for number, text in enumerate(path.read_text().splitlines(), 1):
        word, _, rest = text.strip().partition(" ")
        if not word or word.startswith("#"):
            continue
        if word == "case":
            if case:
                yield case
            case = Case(path.name, rest)
            continue
        assert case is not None, f"{path}:{number}"
        key, _, answer = (part.strip() for part in text.partition(":"))
        if text.startswith(" "):
            kind, said = (word, rest) if word in ("path", "note") else (key, answer)
            case.questions[-1].details.append((number, kind, said))
        elif word == "mode":
            case.mode = rest
        elif word == "registers":
            pairs = (pair.split("=") for pair in rest.split())
            case.registers |= {name: int(value, 0) for name, value in pairs}
        elif word == "entry" and (entry := re.fullmatch(r"(\w+)\[(\d+)\] = (\w+)", rest)):
            case.entries.append((int(entry[1], 0), int(entry[2]), int(entry[3], 0)))
        elif word == "va":
            case.questions.append(Question(number, int(key.split()[1], 0), answer))
        else:
            raise ValueError(f"{path}:{number}: {text!r} is not understood")
    if case:
        yield case


def bits(numbers: list[int]) -> str:
    """As "bit 5", "bits 1,5"."""
    return f"bit{'s' if len(numbers) > 1 else ''} {','.join(map(str, sorted(numbers)))}"


def differences(case: Case, question: Question, said: Answers) -> list[str]:
    """In words, with file and line."""
    noted = said.notes()
    compared = [(question.line, question.answer, said.answer())]
    for line, kind, answer in question.details:
        if kind == "note":
            compared.append((line, answer, answer if answer in noted else "no such note"))
            noted.discard(answer)
        else:
            compared.append((line, answer, said.path() if kind == "path" else said.access(kind)))
    compared += [(question.line, "no such note", note) for note in noted]
    where = f"{case.name}: {question.va:#x}"
    return [
        f"{case.file}:{line}: {where}\n  the file: {right}\n  ptmap:    {found}"
        for line, right, found in compared
        if right != found
    ]
