"""The command vdso: the image of functions that the kernel maps into every process."""

from __future__ import annotations

import json
import re
import textwrap
from itertools import groupby
from typing import TYPE_CHECKING, Sequence

from ..base import native
from ..base.errors import Refusal
from ..base.option import JSON, Option, Options
from ..base.text import plural, printable
from ..context import selection
from ..debugger import symbol_files
from ..machine import cpus
from ..spaces import address_space
from ..spaces.reader import Plan
from ..vdso import vdso, vsyscall
from ..vdso.elf_images import Image
from ..vdso.vdso import Vdso
from ..vdso.vsyscall import Vsyscall
from ..vdso.vvar import Clock, ClockMode, Vvar, VvarPage
from . import summary
from .command import Command, register as register_command, write, write_file, write_json

if TYPE_CHECKING:
    from .._core import ImagePage

_COLUMNS = 80
_SHOWN, _LISTED = 3, 100  # how many others and rejected headers: in text, in JSON


class VdsoCommand(Command):
    """Find the vDSO: its place, functions and data; the vsyscall page.

    vdso [-root PA|PGD] [-mode MODE] [-half user|kernel] [-cpu N] [-pid N]
         [-comm NAME] [-dump FILE] [-load] [-json FILE|-]

    The vDSO is an ELF image that the kernel maps into every process. It is
    found by its own dynamic section, at any address and without symbols:
    64-bit, 32-bit or x32. The command shows its address, build id and
    functions, the pages before it that they read (vvar) with the clock in
    them, and whether the vsyscall page is mapped.

    A page that the process never touched is not mapped yet: its bytes come
    from the kernel's own copy, and the output says so. If no page was
    touched the process's auxiliary vector gives the address.

      -root PA      in the tables below this root instead of CR3's; a
                    pointer such as init_mm.pgd is translated
      -mode MODE    read them as 32-bit, pae, 4-level or 5-level
      -half HALF    in KPTI's user or kernel root, whichever CR3 has
      -cpu N        in the tables of this CPU, counted from 0
      -pid N        of this Linux process (needs the kernel's symbols)
      -comm NAME    of the Linux process with this name (the same)
      -dump FILE    write its bytes, whole pages, to a file instead of
                    showing it
      -load         load its symbols into GDB, at its address, instead of
                    showing it; they stay until the next -load (or symbol-file)
      -json FILE|-  the same as JSON (schema ptmap/1) to a file, or to GDB's
                    output
      -o FILE       write to a file what would be shown

    A function is shown only if the image's own hash table finds it by its
    name.

    Examples:
      vdso
      vdso -load
      vdso -pid 1 -dump /tmp/vdso.so"""

    no_option = ""
    options = (
        *selection.OPTIONS,
        Option("dump", "FILE", "write its bytes to a file"),
        Option("load", help="give GDB its symbols"),
        JSON,
    )

    def plan(self, options: Options, words: list[str]) -> Plan:
        return Plan(whole=True, counts=False)

    def run(self, options: Options, words: list[str]) -> None:
        if words:
            raise Refusal(f"takes options only, but {words[0]!r} was given")
        if "load" in options:
            cpus.require_stop("-load: no symbols can be loaded")
        space = selection.resolve(options)
        if space.paging_is_off:
            raise Refusal("paging is off (CR0.PG=0): there is no address space to look in")
        found = vdso.find(space)
        done = []
        if "dump" in options:
            done.append(_dump(found, options["dump"]))
        if "load" in options:
            done.append(_load(found))
        if "json" in options:
            write_json(options["json"], json.dumps(_json(found), indent=1) + "\n")
            return
        write("\n".join(done or _text(found)) + "\n")


# -dump and -load


def _whole(found: Vdso, option: str) -> Image:
    if found.image is None:
        raise Refusal(f"-{option}: no vDSO: {found.why_none}")
    for page in found.image.missing:
        raise Refusal(f"-{option}: the bytes at {page.va:#x} are not known: {page.why}")
    return found.image


def _dump(found: Vdso, path: str) -> str:
    if path == "-":
        raise Refusal("-dump writes bytes to a file, not to GDB's output")
    image = _whole(found, "dump")
    try:
        write_file(path, image.content)
    except Refusal as refusal:
        raise Refusal(f"-dump: {refusal}") from None
    text = f"{image.elf.soname or 'vDSO'}: {image.size} bytes written to {printable(path)}"
    return _doubts(found, image, f"{text}; {vdso.from_text(image)}")


def _load(found: Vdso) -> str:
    image = _whole(found, "load")
    if not image.elf.functions:
        raise Refusal("-load: the image has no valid function")
    # The guest's name becomes a file's name: it must not lead to another folder.
    name = re.sub(r"[^A-Za-z0-9._-]", "_", image.elf.soname).lstrip(".") or "vdso"
    mask = (1 << (64 if found.space.paging.canonical else 32)) - 1
    symbol_files.load(name, image.content, image.va - image.elf.base & mask)
    text = f"{name}: symbols loaded at {found.space.hex(image.va)}"
    absent = sum(page.source == "kernel" for page in image.pages)
    if absent:
        text += f"; not mapped yet: {absent} of its {plural(len(image.pages), 'page')}"
    return _doubts(found, image, text)


def _doubts(found: Vdso, image: Image, text: str) -> str:
    notes = [*image.notes, *image.elf.problems]
    if not found.search.complete:
        notes.append(str(found.search))
    return "\n".join([text, *(f"note: {note}" for note in notes)])


# The text


def _text(found: Vdso) -> list[str]:
    lines = [summary.head(found.space, found.linux).rstrip()]
    lines += [f"assuming {what}" for what in found.space.assumed]
    if found.image is None:
        lines += _wrapped("no vDSO", f"{found.why_none}.")
        lines += _rejected(found)
    else:
        lines += _image_text(found, found.image)
    lines += [
        f"also      {found.space.hex(other.va)} looks like one: {other.elf.soname}"
        for other in found.others[:_SHOWN]
    ]
    lines += _more(found.others)
    if found.image is not None and not found.search.complete:
        lines += _wrapped("searched", str(found.search))
    if found.vvar is not None:
        lines += _vvar_text(found, found.vvar)
    if found.vsyscall is not None:
        lines += _wrapped("vsyscall", _vsyscall_text(found.vsyscall))
    return lines


def _wrapped(name: str, text: str) -> list[str]:
    """ "name      text", with further lines indented under the text."""
    margin = " " * 10
    wrapped = textwrap.wrap(
        text, _COLUMNS, initial_indent=margin, subsequent_indent=margin, break_long_words=False
    )
    return [f"{name:<10}{wrapped[0][10:]}", *wrapped[1:]] if wrapped else []


def _rejected(found: Vdso) -> list[str]:
    """Lines on ELF headers that begin no valid image: one of them may be a damaged vDSO."""
    lines = []
    for va, why in found.search.rejected[:_SHOWN]:
        lines += _wrapped("", f"the ELF header at {found.space.hex(va)} is not a vDSO's: {why}")
    return lines + _more(found.search.rejected)


def _more(items: Sequence[object]) -> list[str]:
    return [f"          and {len(items) - _SHOWN} more"] if len(items) > _SHOWN else []


def _image_text(found: Vdso, image: Image) -> list[str]:
    space, elf = found.space, image.elf
    end = image.va + image.size
    lines = [
        f"vDSO      {space.hex(image.va)} - {space.hex(end)}  {image.size >> 10}K  {elf.abi}  "
        f"{elf.soname or '(no name)'}",
        f"build id  {elf.build_id.hex() or 'none'}",
        f"bytes     {vdso.from_text(image)}",
    ]
    lines += [
        f"  {space.hex(page.va)}  {_page_text(space, page)}"
        for page in image.pages
        if page.source != "process"
    ]
    how = {
        "frames": "by its frames: its first page was never touched"
        if image.pages[0].source != "process"
        else "by its frames, which are the kernel's: it is damaged",
        "mm": "by the process's mm_struct: no page of it was touched",
        "auxv": "by the process's auxiliary vector: no page of it was touched",
    }
    if image.found_by in how:
        lines.append(f"found     {how[image.found_by]}")
    for note in [*image.notes, *elf.problems]:
        lines += _wrapped("note", note)
    return lines + _functions_text(found, image)


def _page_text(space: address_space.AddressSpace, page: ImagePage) -> str:
    if page.source is None:
        return f"NOT KNOWN: {page.why}"
    return f"not touched; the kernel's copy is at {space.hex(page.kernel_va or 0)}"


def _functions_text(found: Vdso, image: Image) -> list[str]:
    functions = image.elf.functions
    versions = {f.version for f in functions}
    common = versions.pop() if len(versions) == 1 else None
    count = len({f.offset for f in functions})
    lines = [f"functions {count}" + (f", version {common}" if common else "")]
    by_address = sorted(functions, key=lambda f: (f.offset, f.weak, f.name))
    for offset, group in groupby(by_address, key=lambda f: f.offset):
        same = list(group)
        names = ", ".join(
            f.name + (f" ({f.version})" if f.version and not common else "") for f in same
        )
        head = f"  {found.space.hex(image.va + offset)} {same[0].size:>5}  "
        lines += textwrap.wrap(
            names,
            _COLUMNS,
            initial_indent=head,
            subsequent_indent=" " * len(head),
            break_long_words=False,
        )
    return lines


def _vvar_text(found: Vdso, vvar: Vvar) -> list[str]:
    space = found.space
    if not vvar.pages:
        return ["vvar      not known: no page before it is there now", *_clock_lines(vvar)]
    first, size = vvar.pages[0].va, len(vvar.pages) * 0x1000
    lines = [f"vvar      {space.hex(first)} - {space.hex(first + size)}  {size >> 10}K"]
    lines += [f"  {space.hex(page.va)}  {_vvar_page_text(page)}" for page in vvar.pages]
    return lines + _clock_lines(vvar)


def _clock_lines(vvar: Vvar) -> list[str]:
    if vvar.clock is not None:
        return _wrapped("clock", _clock_text(vvar.clock))
    return _wrapped("clock", vvar.no_clock) if vvar.no_clock else []


def _vvar_page_text(page: VvarPage) -> str:
    name = f"{page.name:<8} " if page.name else ""
    if not page.mapped:
        return f"{name}not touched" if page.name else "not mapped now"
    if page.is_other:
        name += "NO, another page: "
    return f"{name}{native.core.rights_words(page.walk)}, physical {page.walk.pa:#x}"


def _clock_text(clock: Clock) -> str:
    how = {
        ClockMode.TSC: "read from the TSC, without a system call",
        ClockMode.PVCLOCK: "read from the TSC and kvm's page, without a system call",
        ClockMode.HVCLOCK: "read from the TSC and Hyper-V's page, without a system call",
        ClockMode.NONE: "read by a system call; only coarse clocks are read without one",
    }[clock.clock_mode]
    words = [f"mode {clock.clock_mode.name}: time is {how}", f"seq {clock.seq}"]
    if clock.seq & 1:
        words[-1] += " (odd: the kernel is changing it)"
    if clock.without_syscall:  # else the fields hold old values of an earlier clock
        words.append(f"mult {clock.mult}, shift {clock.shift}")
    if clock.clock_mode is ClockMode.TSC and clock.mult:
        words[-1] += f" ({1000 * (1 << clock.shift) / clock.mult:.0f} MHz)"
    if clock.in_namespace:
        words.append("the process is in a time namespace")
    if clock.from_kernel:
        words.append("read from the kernel's own copy")
    layout = f"as in {clock.layout}" if clock.layout else "as vmlinux's types say"
    return f"{'; '.join(words)} (laid out {layout})"


def _vsyscall_text(page: Vsyscall) -> str:
    where = f"{page.walk.va:#x}"
    if page.mapped:
        return f"{where} {native.core.rights_words(page.walk)}: vsyscall={page.mode.value}"
    if page.mode is vsyscall.Mode.NONE_OR_XONLY:
        return f"{where} not mapped: vsyscall=none or xonly, which look the same without symbols"
    return f"{where} not mapped: vsyscall={page.mode.value}"


# JSON


def _json(found: Vdso) -> dict[str, object]:
    """A page's "from" says whose bytes were read: "process", "kernel", or null if they are not
    known. "found_by" is image, frames, mm or auxv. "searched" counts executable user pages and
    unreadable tables. "rejected" has ELF headers that begin no valid image."""
    return {
        "schema": "ptmap/1",
        "kind": "vdso",
        "mode": found.space.mode,
        "root": hex(found.space.root),
        "complete": found.complete,
        "searched": {
            "pages": found.search.looked,
            "of": found.search.pages,
            "unreadable_tables": found.search.unreadable,
        },
        "vdso": _image_json(found.image) if found.image else None,
        "why_none": found.why_none if found.image is None else None,
        "rejected": [{"va": hex(va), "why": why} for va, why in found.search.rejected[:_LISTED]],
        "others": [{"va": hex(one.va), "soname": one.elf.soname} for one in found.others[:_LISTED]],
        "vvar": _vvar_json(found.vvar) if found.vvar else None,
        "vsyscall": _vsyscall_json(found.vsyscall) if found.vsyscall else None,
    }


def _image_json(image: Image) -> dict[str, object]:
    return {
        "va": hex(image.va),
        "size": hex(image.size),
        "abi": image.elf.abi,
        "soname": image.elf.soname,
        "build_id": image.elf.build_id.hex() or None,
        "found_by": image.found_by,
        "pages": [
            {
                "va": hex(page.va),
                "pa": None if page.pa is None else hex(page.pa),
                "from": page.source,
                "kernel_va": None if page.kernel_va is None else hex(page.kernel_va),
            }
            for page in image.pages
        ],
        "functions": [
            {
                "name": f.name,
                "va": hex(image.va + f.offset),
                "size": hex(f.size),
                "version": f.version or None,
                "binding": "weak" if f.weak else "global",
            }
            for f in sorted(image.elf.functions, key=lambda f: (f.offset, f.name))
        ],
        "notes": [*image.notes, *image.elf.problems],
    }


def _vvar_json(vvar: Vvar) -> dict[str, object] | None:
    if not vvar.pages:
        return None
    clock = vvar.clock
    return {
        "va": hex(vvar.pages[0].va),
        "size": hex(len(vvar.pages) * 0x1000),
        "pages": [
            {
                "va": hex(page.va),
                "name": page.name,
                "pa": hex(page.walk.pa) if page.mapped else None,
                "user": page.mapped and page.walk.user,
                "write": page.mapped and page.walk.write,
                "exec": page.mapped and page.walk.exec,
                "other": page.is_other,
            }
            for page in vvar.pages
        ],
        "clock": {
            "layout": str(clock.layout) if clock.layout else "types",
            "seq": clock.seq,
            "clock_mode": clock.clock_mode.name,
            "mult": clock.mult,
            "shift": clock.shift,
            "in_time_namespace": clock.in_namespace,
            "without_syscall": clock.without_syscall,
        }
        if clock
        else None,
        "notes": vvar.notes,
    }


def _vsyscall_json(page: Vsyscall) -> dict[str, object]:
    return {
        "va": hex(page.walk.va),
        "mapped": page.mapped,
        "user": page.mapped and page.walk.user,
        "write": page.mapped and page.walk.write,
        "exec": page.mapped and page.walk.exec,
        "vsyscall_mode": page.mode.value,
    }


def register() -> None:
    register_command(VdsoCommand, "vdso")
