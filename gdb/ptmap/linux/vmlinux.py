"""Where a running kernel's own ELF file may be, with its symbols: by the release in its banner, and
by its build id. Both come from the guest, which may be hostile; the file found must still be proved
to be the kernel's (placement.py)."""

from __future__ import annotations

import os
import re
from typing import Iterator, Sequence

from ..base.errors import Refusal
from ..spaces.virtual_memory import Unreadable
from .kernel import Kernel
from .shape import MIB

# The characters of Debian's releases, Fedora's and Ubuntu's; 64 is uname's limit.
_RELEASE = re.compile(r"[0-9][A-Za-z0-9.+~_-]{0,63}")

# An ELF note: the sizes of its name and of the build id, NT_GNU_BUILD_ID, the name.
_NOTE = re.compile(rb"\x04\0\0\0([\x10\x14\x20])\0\0\0\x03\0\0\0GNU\0")
_NOTE_SIZE = 16 + 0x20
_SEARCHED = 64 * MIB  # of rodata
_STEP = 64 << 10


def release(linux: Kernel) -> str:
    """For example "6.1.0-35-amd64". Error: Refusal if it is not known, or unfit for a file's
    name."""
    found = re.match(r"Linux version (\S*)", linux.banner or "")
    if found is None:
        raise Refusal("the kernel's memory does not tell its release")
    if not _RELEASE.fullmatch(found[1]):
        raise Refusal(f"the kernel's release cannot be a file's name: {found[1]}")
    return found[1]


def by_release(name: str, folders: Sequence[str]) -> Iterator[str]:
    """Where distributions put the file of a release. FOLDERS are for debug information."""
    for folder in folders:
        yield os.path.join(folder, "boot", f"vmlinux-{name}")  # Debian
        yield os.path.join(folder, "lib/modules", name, "vmlinux")  # Debian, Fedora, SUSE
        yield os.path.join(folder, "usr/lib/modules", name, "vmlinux")
    yield f"/boot/vmlinux-{name}"
    yield f"/lib/modules/{name}/build/vmlinux"  # built on this machine
    yield f"/lib/modules/{name}/vmlinux"


def by_build_id(linux: Kernel, folders: Sequence[str]) -> Iterator[str]:
    """As GDB itself looks for debug information, for each build id in the kernel's read-only data:
    its own, and those of its vDSO images."""
    folders = [one for one in (os.path.join(f, ".build-id") for f in folders) if os.path.isdir(one)]
    if folders:
        for build_id in _build_ids(linux):
            for folder in folders:
                yield os.path.join(folder, build_id[:2], f"{build_id[2:]}.debug")


def _build_ids(linux: Kernel) -> Iterator[str]:
    """In hexadecimal, in the order of memory."""
    part = linux.image.rodata or linux.image.text
    end = min(part.end, part.first + _SEARCHED)
    tail = b""
    for at in range(part.first, end, _STEP):
        try:
            tail += linux.memory.read(at, min(_STEP, end - at))
        except Unreadable:
            tail = b""
            continue
        for note in _NOTE.finditer(tail):
            content = tail[note.end() : note.end() + note[1][0]]
            if len(content) == note[1][0]:
                yield content.hex()
        tail = tail[-_NOTE_SIZE:]
