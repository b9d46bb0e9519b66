"""The command ptmap kaslr: where a Linux kernel is; loads its symbols there."""

from __future__ import annotations

import json
import os
from textwrap import wrap

import gdb

from ..base.errors import Refusal
from ..base.option import JSON, Options
from ..base.text import printable
from ..context import kernel_files, selection
from ..debugger import symbol_files
from ..linux import layout, recognition, shape
from ..linux.kernel import Kernel
from ..linux.place import through_tables
from ..machine import cpus, qemu_stub, question
from ..machine.remote import takes_packets
from ..machine.sources import direct_map
from ..spaces.labels import Label, Part
from .command import Command, write, write_json

# The default of CONFIG_PHYSICAL_START, for which a kernel is linked (arch/x86/Kconfig).
_PHYSICAL_START = 0x1000000


class KaslrCommand(Command):
    """Show where KASLR put a Linux kernel, and load its symbols there.

    ptmap kaslr [-cpu N] [-json FILE|-] [VMLINUX]

    It shows the kernel's text base, the base of its direct map (lowmem on
    32-bit) and its offset from the address that it was linked for. It needs
    no symbols, and works in user mode and with KPTI. Without KASLR the
    offset is 0.

    VMLINUX is the kernel's own ELF file: its symbols replace those that are
    loaded, at the right place; per-CPU variables keep their offsets. A file
    of another kernel, or of another build of it, is refused.

    Without VMLINUX, if GDB has no symbols at all, it looks for the file by
    the kernel's release and build id: in each folder of `show
    debug-file-directory`, in /boot and in /lib/modules. Only a file with
    the build id that the kernel has in its memory is loaded.

      -cpu N        search in this CPU's tables, counted from 0
      -json FILE|-  the same as JSON (schema ptmap/1) to a file, or to GDB's
                    output
      -o FILE       write to a file what would be shown

    Examples:
      ptmap kaslr
      ptmap kaslr ~/linux/vmlinux"""

    options = (*(o for o in selection.OPTIONS if o.name == "cpu"), JSON)
    takes = gdb.COMPLETE_FILENAME

    def run(self, options: Options, words: list[str]) -> None:
        if len(words) > 1:
            raise Refusal(f"takes one file, but {words[1]!r} was given too")
        path = os.path.expanduser(words[0]) if words else None
        if path is not None:
            cpus.require_stop("no symbols can be loaded")
        try:
            space = selection.resolve(options)
        except Refusal:
            if path is None or not _load_by_reading(path):
                raise
            question.begin_anew()  # the new symbols may give another way to memory
            space, path = selection.resolve(options), None
        linux = recognition.find(space)
        missing = None  # why no file was found
        has_found = False
        if path is not None:
            if linux is None and not space.paging_is_off:  # early in boot, or no Linux
                kernel_files.load_by_reading(through_tables(space), direct_map.pc(), path)
            elif linux is not None:
                kernel_files.load(linux, path)
        elif linux is not None and not words and _may_look():
            missing = _why_not_found(linux)
            has_found = missing is None
        if has_found or path is not None:
            question.begin_anew()
            linux = recognition.find(selection.resolve(options))
        if linux is None:
            raise Refusal("these tables have no Linux kernel that ptmap recognises")
        found = _found(linux)
        if "json" in options:
            head = {"schema": "ptmap/1", "kind": "kaslr", "mode": space.mode}
            write_json(options["json"], json.dumps({**head, **found}, indent=1) + "\n")
            return
        named = printable(os.path.basename(words[0])) if words else None
        write(_text(found, named or (found["file"] if has_found else None), missing))


def _may_look() -> bool:
    """Whether GDB has no symbols that would go, and can load some."""
    return not symbol_files.paths() and not cpus.in_stop()


def _why_not_found(linux: Kernel) -> str | None:
    """Looks for the kernel's file and loads its symbols. None if it did."""
    try:
        kernel_files.load_found(linux)
    except Refusal as error:
        return str(error)
    return None


def _direct_map(linux: Kernel) -> Label | None:
    place = linux.place
    if place is not None:
        return Label(
            place.page_offset, place.page_offset + place.end, "direct map", "read", Part.DIRECT_MAP
        )
    parts = {label.part: label for label in reversed(layout.labels(linux))}
    return parts.get(Part.DIRECT_MAP) or parts.get(Part.LOWMEM)


def _found(linux: Kernel) -> dict[str, str | None]:
    direct = _direct_map(linux)
    text = linux.image.text.first
    file = kernel_files.loaded() if linux.offset is not None else None
    build_id = file.build_id if file is not None else None
    linked = linux.symbols.link_address("_text") if linux.offset is not None else None
    source = "read"
    if linked is None:
        base = shape.IMAGE_64 if linux.pointer == 8 else direct.start if direct else 0
        linked, source = base + _PHYSICAL_START, "assumed"
    elif linux.offset == 0:
        linked, source = file.text if file is not None else linked, "read"
    return {
        "version": linux.banner,
        "text": hex(text),
        "text_pa": hex(linux.memory.translate(text) or 0),
        "linked": hex(linked),
        "linked_source": source,
        "offset": hex(text - linked),
        "direct_map": hex(direct.start) if direct else None,
        "direct_map_source": direct.source if direct else None,
        "symbols": "none"
        if linux.offset is None and not linux.wrong_symbols
        else "wrong"
        if linux.wrong_symbols
        else "placed"
        if linux.offset == 0
        else "misplaced",
        "file": printable(file.path) if file is not None else None,
        "build_id": build_id.content.hex() if build_id is not None else None,
    }


def _text(found: dict[str, str | None], loaded: str | None, missing: str | None) -> str:
    """LOADED: the file whose symbols this command has loaded. MISSING: why it found none."""
    assumed = " (assumed: the default of CONFIG_PHYSICAL_START)"
    version = found["version"] or "Linux, of a version that its memory does not tell"
    lines = [
        version if len(version) <= 80 else version[:77] + "...",
        f"text        {found['text']}, physical {found['text_pa']}",
        f"linked for  {found['linked']}{assumed if found['linked_source'] == 'assumed' else ''}",
        f"offset      {found['offset']}",
    ]
    if found["direct_map"]:
        lines.append(f"direct map  {found['direct_map']} ({found['direct_map_source']})")
    words = {
        "none": f"none: {missing or '`ptmap kaslr VMLINUX` loads them'}",
        "wrong": "another kernel's symbols are loaded",
        "placed": f"loaded from {loaded}" if loaded else "at the right place",
        "misplaced": "at their link addresses: `ptmap kaslr VMLINUX` moves them",
    }[str(found["symbols"])]
    lines += wrap(
        words,
        80,
        initial_indent="symbols     ",
        subsequent_indent=" " * 12,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines) + "\n"


def _load_by_reading(path: str) -> bool:
    """Finds the kernel of an ELF file without tables, and loads its symbols there. False if there
    is another way to memory, or no stub. Error: Refusal."""
    connection = gdb.selected_inferior().connection
    if qemu_stub.is_qemu(connection) or not takes_packets(connection):
        return False
    kernel_files.load_by_reading(direct_map.DirectMap(connection).stub, direct_map.pc(), path)
    return True


def register() -> None:
    KaslrCommand("ptmap kaslr")
