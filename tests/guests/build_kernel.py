"""Kernels built from the distribution's source package: tinyconfig and what NAME.config adds.

The source and the build tree are removed afterwards; the cache keeps what a debugger needs.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import guard
from packages import archive
from store import BuildFailed, GuestError, cache

_SUITE = "bookworm"
_SOURCE = "linux-source-6.1"
_PROGRAMS = ("gcc", "ld", "objcopy", "make", "flex", "bison", "bc", "xz")
_HEADER = Path("/usr/include/libelf.h")  # the one library a build needs
_KEPT = {
    "vmlinux": "vmlinux",
    "arch/x86/boot/bzImage": "vmlinuz",
    ".config": "config",
    "System.map": "System.map",
}
# Two builds of one source differ in nothing that shows.
_SAME = {
    "KBUILD_BUILD_TIMESTAMP": "@0",
    "KBUILD_BUILD_USER": "ptmap",
    "KBUILD_BUILD_HOST": "ptmap",
    "KBUILD_BUILD_VERSION": "1",
}


def key(name: str) -> str:
    """What tells this configuration from others."""
    return hashlib.sha256(_fragment(name).read_bytes()).hexdigest()[:12]


def newest(name: str, arch: str) -> Path:
    """The folder of this kernel, built from the archive's newest source if it isn't there yet.

    The caller holds the cache's lock.
    """
    apt = archive(_SUITE, "amd64")
    version = apt.show(_SOURCE, "Version")
    if version is None:
        why = f"; apt says: {apt.complaint}" if apt.complaint else "."
        raise GuestError(f"{name} is built from {_SOURCE}, which {_SUITE} does not have{why}")
    folder = cache() / "kernels" / f"{name}_{version}_{key(name)}"
    if folder.exists():
        return folder
    if needed := lacking():
        raise GuestError(
            f"{name} is built here, which needs {needed}; "
            "scripts/install-packages.sh kernel installs it."
        )
    print(f"ptmap: building {folder.name}, some minutes", file=sys.stderr)
    started = time.monotonic()
    with guard.Folder(cache()) as temporary:
        source = _unpack(apt.download(_SOURCE, Path(temporary)), Path(temporary))
        built = Path(temporary) / "built"
        built.mkdir()
        _build(name, arch, source, built)
        whole = Path(temporary) / "whole"
        whole.mkdir()
        for made, kept in _KEPT.items():
            shutil.copy(built / made, whole / kept)
        # Half of a relocatable vmlinux is its relocations, which no debugger looks at.
        subprocess.run(
            ["objcopy", "--remove-section=.rel.*", "--remove-section=.rela.*", whole / "vmlinux"],
            check=True,
        )
        folder.parent.mkdir(exist_ok=True)
        whole.rename(folder)
    print(f"ptmap: built in {time.monotonic() - started:.0f} s", file=sys.stderr)
    return folder


def lacking() -> str:
    """What of a build's programs and headers is not on this machine."""
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    return ", ".join(missing) or ("" if _HEADER.exists() else str(_HEADER))


def _fragment(name: str) -> Path:
    return Path(__file__).with_name(f"{name}.config")


def _unpack(deb: Path, folder: Path) -> Path:
    """The kernel's tree out of the package, which holds it as one archive."""
    package = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE)
    assert package.stdout is not None
    with package.stdout, tarfile.open(fileobj=package.stdout, mode="r|") as members:
        for member in members:
            if member.name.endswith(f"/{_SOURCE}.tar.xz"):
                with open(folder / "source.tar.xz", "wb") as out:
                    archive = members.extractfile(member)
                    assert archive is not None
                    shutil.copyfileobj(archive, out)
    package.wait()
    subprocess.run(["tar", "-xJf", folder / "source.tar.xz", "-C", folder], check=True)
    deb.unlink()
    return folder / _SOURCE


def _build(name: str, arch: str, source: Path, built: Path) -> None:
    # In debug information the source has a name that does not change from build to build.
    flags = f"-fdebug-prefix-map={source}=/usr/src/{_SOURCE} -fdebug-prefix-map={built}=/build"

    def make(*targets: str) -> None:
        command = [
            "nice",
            "make",
            "-s",
            f"-j{os.cpu_count() or 1}",
            f"ARCH={arch}",
            f"O={built}",
            f"KCFLAGS={flags}",
            f"KAFLAGS={flags}",
            *targets,
        ]
        done = subprocess.run(
            command,
            cwd=source,
            env={**os.environ, "LC_ALL": "C", **_SAME},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            said = re.findall(r"^.*(?:error|Error|\*\*\*).*$", done.stderr, re.M)[:3]
            raise BuildFailed(f"{name} could not be built: {' / '.join(said)}")

    config = built / ".config"
    wanted = _fragment(name).read_text()
    make("tinyconfig")
    config.write_text(config.read_text() + wanted)  # the last word on an option counts
    make("olddefconfig")
    _verify(name, wanted, config.read_text())
    make("vmlinux", "bzImage")


def _verify(name: str, wanted: str, config: str) -> None:
    """olddefconfig drops without a word what depends on something that is not set."""
    have = dict(line.split("=", 1) for line in config.splitlines() if line.startswith("CONFIG_"))
    rows = [line.split("=", 1) for line in wanted.splitlines() if line.startswith("CONFIG_")]
    lost = [f"{option}={value}" for option, value in rows if have.get(option, "n") != value]
    if lost:
        raise BuildFailed(f"{name} cannot be configured with {', '.join(lost)}.")
