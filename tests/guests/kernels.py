"""Real kernels, from the distribution's archive into a cache outside the checkout.

Of a kernel's package only what lies in /boot is kept. Two are built from the archive's source:
they have what no packaged one has, a vmlinux with debug information and the dump of their tables.

    <cache>/kernels/linux-image-6.1.0-35-686_6.1.137-1_i386/{vmlinuz,config,System.map}
    <cache>/kernels/686 -> the one to boot
    <cache>/kernels/kgdb-64_6.1.137-1_HASH/{vmlinuz,vmlinux,config,System.map}
    <cache>/apt/i386/       apt's own files
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

import build_kernel
from packages import Apt, os_release
from store import GuestError, cache, locked


@dataclass(frozen=True)
class Kernel:
    """Where a kernel comes from: meta packages, the first that exists is taken; or it is built."""

    arch: str
    debian: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()  # on distributions that are not Debian
    built: bool = False  # by build_kernel.py, with NAME.config


KERNELS = {
    "686": Kernel("i386", ("linux-image-686",)),
    "686-pae": Kernel("i386", ("linux-image-686-pae",)),
    "amd64": Kernel(
        "amd64", ("linux-image-cloud-amd64",), ("linux-image-virtual", "linux-image-generic")
    ),
    "kgdb-64": Kernel("x86_64", built=True),
    "kgdb-pae": Kernel("i386", built=True),
}


def fetch(name: str, *, refresh: bool = False) -> Path:
    """The vmlinuz of a kernel of KERNELS. Of one that is built, vmlinux lies beside it.

    What is in the cache is used as it is, without a look at the network. `refresh` asks the
    archive for a newer one, and falls back to the cache when the archive does not answer.
    """
    if refresh or not _cached(name):
        with locked("kernels"):
            if refresh or not _cached(name):  # somebody else may have fetched it meanwhile
                try:
                    _point(_link(name), _newest(name))
                except GuestError as error:
                    if not _cached(name):
                        raise
                    print(f"ptmap: using the {name} kernel in the cache: {error}", file=sys.stderr)
    return _link(name).resolve() / "vmlinuz"


def _link(name: str) -> Path:
    return cache() / "kernels" / name


def _cached(name: str) -> bool:
    """One that is built must be of today's configuration."""
    folder = _link(name).resolve()
    right = not KERNELS[name].built or folder.name.endswith(build_kernel.key(name))
    return right and (folder / "vmlinuz").exists()


def _newest(name: str) -> Path:
    """The folder of the archive's newest kernel, downloaded if it is not in the cache yet."""
    kernel = KERNELS[name]
    if kernel.built:
        return build_kernel.newest(name, kernel.arch)
    debian = os_release().get("ID") == "debian"
    metas = kernel.debian if debian else kernel.elsewhere
    if not metas:
        raise GuestError(_not_here(kernel))
    apt = Apt(kernel.arch)
    for meta in metas:
        if package := apt.kernel_of(meta):
            return _downloaded(apt, package)
    if not debian and (own := _own_kernel()):
        folder = cache() / "kernels" / f"own-{own.name.removeprefix('vmlinuz-')}"
        folder.mkdir(parents=True, exist_ok=True)
        _point(folder / "vmlinuz", own)
        return folder
    if apt.complaint:
        raise GuestError(f"{metas[0]} cannot be fetched; apt says: {apt.complaint}")
    if debian:
        raise GuestError(_not_here(kernel))
    raise GuestError(f"apt knows no {' or '.join(metas)} and /boot has no readable vmlinuz.")


def _downloaded(apt: Apt, package: str) -> Path:
    folder = cache() / "kernels" / f"{package}_{apt.show(package, 'Version')}_{apt.arch}"
    if not folder.exists():
        print(f"ptmap: downloading {folder.name}", file=sys.stderr)
        with tempfile.TemporaryDirectory(dir=cache()) as temporary:
            _unpack(apt.download(package, Path(temporary)), folder)
    return folder


def _unpack(deb: Path, folder: Path) -> None:
    """Keep the package's /boot under short names, whole or not at all."""
    partial = Path(tempfile.mkdtemp(dir=cache()))
    try:
        tar = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE)
        assert tar.stdout is not None
        with tar.stdout, tarfile.open(fileobj=tar.stdout, mode="r|") as members:
            for member in members:
                kept = re.fullmatch(r"\./boot/(vmlinuz|config|System\.map)-.+", member.name)
                if kept and (content := members.extractfile(member)):
                    with open(partial / kept.group(1), "wb") as out:
                        shutil.copyfileobj(content, out)
        tar.wait()
        if not (partial / "vmlinuz").exists():
            raise GuestError(f"{deb.name} has no /boot/vmlinuz in it.")
        partial.chmod(0o755)
        folder.parent.mkdir(exist_ok=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _point(link: Path, target: Path) -> None:
    """Make or replace a symbolic link in one step."""
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    fresh.symlink_to(target.name if target.parent == link.parent else target)
    fresh.rename(link)


def _own_kernel() -> Path | None:
    """The newest kernel in /boot that this user may read."""
    kernels = [path for path in Path("/boot").glob("vmlinuz-*") if os.access(path, os.R_OK)]
    return max(kernels, key=os.path.getmtime) if kernels else None


def _not_here(kernel: Kernel) -> str:
    here = os_release().get("PRETTY_NAME", "something else")
    return f"{kernel.debian[0]} is Debian 12's kernel and this machine runs {here}."
