"""Each mutant is in the folder of the file that it patches, under a name of its own."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

MUTANTS = Path(__file__).resolve().parents[1] / "mutants"
PATCHES = sorted(MUTANTS.rglob("*.patch"))


def folder_of(file: str) -> str:
    """native/space for native/space/map.cc, gdb/machine for all below gdb/ptmap/machine/."""
    parts = file.split("/")[:-1]
    if parts[0] == "gdb":
        return "/".join(["gdb", *parts[2:3]])
    return "/".join(parts)


def test_each_is_in_its_folder() -> None:
    wrong = []
    for patch in PATCHES:
        first = re.search(r"^--- a/(.*)$", patch.read_text(encoding="utf-8"), re.M)
        assert first, patch
        if str(patch.parent.relative_to(MUTANTS)) != folder_of(first[1]):
            wrong.append(f"{patch.relative_to(MUTANTS)} belongs to {folder_of(first[1])}/")
    assert PATCHES and not wrong


def test_each_has_a_name_of_its_own() -> None:
    assert [name for name, times in Counter(p.stem for p in PATCHES).items() if times > 1] == []
