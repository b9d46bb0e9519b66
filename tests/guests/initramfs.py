"""The initramfs of a test guest: init.c, mount points, a console, modules, and what else is asked
for, as one cpio archive."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Literal, Mapping

import guard
from store import GuestError, cache

_SOURCE = Path(__file__).with_name("init.c")
_FLAGS = (
    "-ffreestanding -nostdlib -nostdinc -static -fno-pie -no-pie -fno-stack-protector "
    "-fno-asynchronous-unwind-tables -fcf-protection=none -mgeneral-regs-only -O1 -g0 -Wall "
    "-Wextra -Werror -Wl,--build-id=none -Wl,-z,noexecstack"
).split()
Width = Literal[32, 64, "x32"]
_WIDTH: dict[Width, list[str]] = {32: ["-m32", "-march=i686"], 64: ["-m64"], "x32": ["-mx32"]}
_FOLDERS = ("dev", "proc", "sys", "modules", "crash")
_S_IFDIR, _S_IFCHR, _S_IFREG = 0o040000, 0o020000, 0o100000


def initramfs(width: Width, files: Mapping[str, Path] = {}) -> Path:
    """The archive with init built for this width, and these files, each under its name, in one of
    _FOLDERS; kept in the cache under its content's hash."""
    command = ["gcc", *_WIDTH[width], *_FLAGS]
    this = Path(__file__).read_bytes()
    of_files = "".join(map(str, files.items())).encode()
    content = this + _SOURCE.read_bytes() + str(width).encode() + of_files
    key = hashlib.sha256(content).hexdigest()[:16]
    archive = cache() / "initramfs" / f"{width}-{key}.cpio"
    if not archive.exists():
        archive.parent.mkdir(exist_ok=True)
        with guard.Folder(cache()) as folder:
            init = Path(folder) / "init"
            if shutil.which("gcc") is None:
                raise GuestError("the guests' init program is built with gcc; please install it.")
            subprocess.run([*command, "-o", init, _SOURCE], check=True)
            whole = Path(folder) / "cpio"
            whole.write_bytes(
                b"".join(_entry(folder, _S_IFDIR | 0o755) for folder in _FOLDERS)
                + _entry("dev/console", _S_IFCHR | 0o600, device=(5, 1))
                + b"".join(
                    _entry(inside, _S_IFREG | 0o644, file.read_bytes())
                    for inside, file in files.items()
                )
                + _entry("init", _S_IFREG | 0o755, init.read_bytes())
                + _entry("TRAILER!!!", 0)
            )
            os.replace(whole, archive)
    return archive


def _entry(name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)) -> bytes:
    """One member of a "newc" cpio archive: see buffer-format.rst in the kernel's documentation."""
    inode = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    links, owner, time, check = 1, 0, 0, 0
    size = len(name) + 1
    fields = [inode, mode, owner, owner, links, time, len(data), 0, 0, *device, size, check]
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
    return _padded(head) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
