"""The files that a check's results go to: none of them keeps those of an earlier check."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Mapping

import gdb

from ..base.errors import Refusal
from ..debugger import files
from . import tap


class Results:
    """What -tap, -json and -o of a command say, FILE or -."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given

    def empty(self) -> None:
        """Before anything is checked. Only files that are there; a pipe is left alone, whose reader
        would take that for the end. The file of rules is read first, whoever overwrites it."""
        rules = os.path.realpath(os.path.expanduser(self._given.get("file", "")))
        for path in self._files():
            if os.path.isfile(path) and os.path.realpath(path) != rules:
                _write(path, "")

    def bail_out(self, why: str) -> None:
        """Nothing was checked, or not all of it was written."""
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
    """Without waiting for a reader: Ctrl-C may have ended a wait for the same one."""
    with suppress(Refusal, ValueError):  # the error on show is the first one
        files.write(path, text, wait=False)
