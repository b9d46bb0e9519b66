"""Crash dumps of real kernels, in the cache: a guest crashes, and the kernel that it has loaded for
that by kexec copies /proc/vmcore to this host. `prepare --vmcore` makes them, once; no test does.

    <cache>/vmcores/4-level-pti-6.12-dbg-HASH/vmcore       an ELF core, sparse
    .../tables                                             the RAM before the crash, but only what
                                                           the kernel's own root leads to
    .../{console,registers,tlb}                            what the guest and QEMU said before
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from pathlib import Path

import guard
import naive
import proc_files
from guests import GUESTS, boot, stop
from kernels import fetch
from qemu import Qemu
from store import GuestError, NotInCache, cache

VMCORES = ("4-level-pti-6.12-dbg", "5-level-6.12-dbg")  # of GUESTS
# On a busy host the kernel may find that its timer does not tick.
_OF_KERNEL = "crashkernel=128M no_timer_check"
_OF_INIT = "crash=1 symbols=1 kcore=1 child=1 vdso_touch=all stay=kernel"


def vmcore(name: str) -> Path:
    """The folder with a guest's crash dump. Error: GuestError; in tests NotInCache."""
    kernel = fetch(GUESTS[name].kernel)
    # A later init.c would make no better one: what its init said is kept beside it.
    made_of = Path(__file__).read_bytes() + kernel.parent.name.encode()
    key = hashlib.sha256(made_of).hexdigest()[:16]
    folder = cache() / "vmcores" / f"{name}-{key}"
    if not folder.exists():
        if os.environ.get("PTMAP_NO_FETCH"):
            raise NotInCache(f"no crash dump of {name} in the cache: tests/guests/prepare --vmcore")
        folder.parent.mkdir(exist_ok=True)
        with guard.Folder(cache()) as temporary:
            whole = Path(temporary, "whole")
            whole.mkdir()
            _crash(name, whole)
            whole.rename(folder)
    return folder


def _crash(name: str, folder: Path) -> None:
    file = folder / "plain"
    port = ["-device", "virtio-serial-pci", "-device", "virtserialport,chardev=vmcore,nr=1"]
    with boot(
        name,
        paused_at="running",
        append=f"{_OF_KERNEL} {_OF_INIT}",
        anew=True,
        ram_file=True,
        extra_args=["-chardev", f"file,id=vmcore,path={file}", *port],
    ) as guest:
        guest.wait_line("init: crash loaded", timeout=600)
        stop(guest, name, "kernel")  # it waits for a line
        (folder / "console").write_text(guest.console())
        (folder / "registers").write_text(guest.hmp("info registers"))
        (folder / "tlb").write_text(guest.hmp("info tlb", timeout=600))
        _keep_tables(guest, folder)
        guest.cont()
        said = guest.answer("", "init: vmcore ", serial=1, timeout=900)
    if int(said.split()[-1]) != file.stat().st_size:
        raise GuestError(f"{said!r}, but {file.stat().st_size} bytes came")
    subprocess.run(["cp", "--sparse=always", file, folder / "vmcore"], check=True)
    file.unlink()


def _keep_tables(guest: Qemu, folder: Path) -> None:
    """All that the naive walker reads below the kernel's own root."""
    assert guest.ram_path is not None
    with open(guest.ram_path, "rb") as ram, open(folder / "tables", "wb") as tables:
        tables.truncate(os.fstat(ram.fileno()).st_size)

        def read(address: int, length: int) -> bytes:
            ram.seek(address)
            found = ram.read(length)
            tables.seek(address)
            tables.write(found)
            return found

        walk(folder, read)


def walk(folder: Path, read: naive.Read) -> naive.Walk:
    """The naive walk of the kernel's own root, before the crash."""
    said = (folder / "registers").read_text()
    cr4, efer = (int(re.findall(rf"{name}=(\w+)", said)[0], 16) for name in ("CR4", "EFER"))
    return naive.walk(read, kernel_root(folder), cr4, efer)


def kernel_root(folder: Path) -> int:
    """Where init_top_pgt is in memory, as the guest told it by /proc/kallsyms and /proc/kcore."""
    console = (folder / "console").read_text()
    root = proc_files.parse_symbols(console)["init_top_pgt"]
    for line in re.findall(r"^init: kcore (\w+) (\w+) (\w+)$", console, re.M):
        va, pa, size = (int(word, 16) for word in line)
        if va <= root < va + size:
            return pa + root - va
    raise GuestError("/proc/kcore does not tell where the kernel is")
