"""The files that a check's results go to. None of them keeps the results of an earlier check."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Mapping

import gdb

from ..base.errors import Refusal
from ..debugger import files
from . import tap


class Results:
    """The values of -tap, -json and -o: FILE or -."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given

    def empty(self) -> None:
        """Empties the files that exist, before anything is checked. Not a pipe: its reader would
        take that for the end. Not the file of rules, which is still to be read."""
        rules = os.path.realpath(os.path.expanduser(self._given.get("file", "")))
        for path in self._files():
            if os.path.isfile(path) and os.path.realpath(path) != rules:
                _write(path, "")

    def bail_out(self, why: str) -> None:
        """Call it if nothing was checked, or if not all results could be written."""
        for path in self._files():
            if os.path.isfile(path):
                _write(path, "")
        where = self._given.get("tap")
        if where == "-":
            where = self._given.get("o", where)
        if where == "-":
            gdb.write(tap.bail_out(why))
        elif where is not None:
            _write(os.path.expanduser(where), tap.bail_out(why))

    def _files(self) -> list[str]:
        given = [self._given[name] for name in ("tap", "json", "o") if name in self._given]
        return [os.path.expanduser(path) for path in given if path != "-"]


def _write(path: str, text: str) -> None:
    """Does not wait for a reader: Ctrl-C may just have ended such a wait."""
    with suppress(Refusal, ValueError):  # the user already sees the first error
        files.write(path, text, wait=False)
