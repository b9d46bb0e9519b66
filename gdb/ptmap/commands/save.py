"""The command ptmap save: a map in a file."""

from __future__ import annotations

import json

import gdb

from ..base.errors import Refusal
from ..base.option import JSON, Options
from ..base.text import plural, printable
from ..context import selection, sides, snapshots
from ..spaces.reader import Plan
from . import summary
from .command import Command, write, write_json


class SaveCommand(Command):
    """Save the map of an address space in a file, for `ptmap diff`.

    ptmap save [-root PA|PGD] [-mode MODE] [-half user|kernel] [-cpu N]
               [-pid N] [-comm NAME] [-json FILE|-] FILE

    The file has every range with its rights, frames, page sizes and memory
    types, what could not be read, the control registers and the labels. It
    does not have the memory itself. It takes a few bytes a range, has a
    checksum, and is the same for the same map wherever it was made. It is
    written whole or not at all: on an error the old file stays.

      -root PA      the tables below this root instead of CR3's; a pointer
                    such as init_mm.pgd is translated
      -mode MODE    read them as 32-bit, pae, 4-level or 5-level
      -half HALF    KPTI's user or kernel root, whichever CR3 has
      -cpu N        of this CPU, counted from 0
      -pid N        of this Linux process (needs the kernel's symbols)
      -comm NAME    of the Linux process with this name (the same)
      -json FILE|-  a summary of the saved map as JSON (schema ptmap/1) to a
                    file, or to GDB's output
      -o FILE       write to a file what would be shown

    Examples:
      ptmap save before.ptmap
      ptmap diff before.ptmap"""

    makes_maps = True
    options = (*selection.OPTIONS, JSON)
    takes = gdb.COMPLETE_FILENAME

    def plan(self, options: Options, words: list[str]) -> Plan:
        return Plan(whole=True, exact=True)

    def run(self, options: Options, words: list[str]) -> None:
        if len(words) != 1:
            raise Refusal("takes one FILE" + (f", not {len(words)}" if words else " to save to"))
        one = sides.live("current", options)
        sides.read([one])
        made, path = one.made, printable(words[0])
        content = snapshots.encode(one.space, made, one.words, one.labels)
        snapshots.store(words[0], content)
        if "json" in options:
            write_json(
                options["json"],
                json.dumps(
                    {
                        "schema": "ptmap/1",
                        "kind": "save",
                        "mode": one.space.mode,
                        "root": hex(one.space.root),
                        "complete": made.complete,
                        "truncated": made.truncated,
                        "file": path,
                        "bytes": len(content),
                        "ranges": len(made),
                        "unreadable": len(made.unreadable),
                        "malformed": len(made.malformed),
                        "tables": made.tables,
                        "pages": made.pages,
                    }
                )
                + "\n",
            )
            return
        whole = "complete" if made.complete else "INCOMPLETE"
        ranges, size = plural(len(made), "range"), plural(len(content), "byte")
        lines = [f"{path}: {ranges}, {size}; {whole}\n"]
        write([*lines, summary.missing(made, one.cut)])


def register() -> None:
    SaveCommand("ptmap save")
