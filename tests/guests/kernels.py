"""Real kernels, from the distribution's archive into a cache outside the checkout.

Of a kernel's package only vmlinuz and what else lies in /boot is kept. Two are built from the
archive's source: they have what no packaged one has, the dump of their tables. Of the -dbg ones
the package with the debug information is fetched too.

    <cache>/kernels/linux-image-6.1.0-50-686_6.1.176-1_i386/{vmlinuz,config,System.map}
    <cache>/kernels/686 -> the one to boot
    <cache>/kernels/amd64-sid.newest -> the one on trial
    <cache>/kernels/amd64-sid.why    why there is none
    <cache>/kernels/kgdb-64_6.1.176-1_HASH/{vmlinuz,vmlinux,config,System.map}
    <cache>/kernels/linux-image-...-dbg_6.12.117-1_amd64/{vmlinuz,vmlinux,modules/*.ko,debug/*.ko}
    <cache>/apt/trixie-amd64/        apt's own files

$PTMAP_NO_FETCH, which pytest sets: what is not in the cache is NotInCache, at once.
$PTMAP_TRY_NEWEST, which `newest` sets: kernels on trial are used if there are any.
"""

from __future__ import annotations

import lzma
import os
import re
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import build_kernel
import guard
from packages import Apt, archive, is_debian, os_release
from store import GuestError, NotInCache, cache, locked


@dataclass(frozen=True)
class Kernel:
    """Where a kernel comes from: a meta package of one of Debian's suites, on any release of
    Debian; or it is built."""

    arch: str
    suite: str = ""
    meta: str = ""
    elsewhere: tuple[str, ...] = ()  # on other distributions, the first meta package that exists
    moves: bool = False  # the suite gets new versions that nobody tried: see trial()
    built: bool = False  # by build_kernel.py, with NAME.config
    symbols: bool = False  # with vmlinux and MODULES from its -dbg package


# Modules that need no other one, of all versions.
MODULES = ("binfmt_misc", "brd", "dummy", "loop", "nbd")

KERNELS = {
    "686": Kernel("i386", "bookworm", "linux-image-686"),
    "686-pae": Kernel("i386", "bookworm", "linux-image-686-pae"),
    "amd64": Kernel(
        "amd64",
        "bookworm",
        "linux-image-cloud-amd64",
        ("linux-image-virtual", "linux-image-generic"),
    ),
    "amd64-6.12": Kernel("amd64", "trixie", "linux-image-cloud-amd64"),
    "amd64-sid": Kernel("amd64", "sid", "linux-image-cloud-amd64", moves=True),
    "amd64-dbg": Kernel("amd64", "bookworm", "linux-image-cloud-amd64", symbols=True),
    "amd64-6.12-dbg": Kernel("amd64", "trixie", "linux-image-cloud-amd64", symbols=True),
    "amd64-sid-dbg": Kernel("amd64", "sid", "linux-image-cloud-amd64", moves=True, symbols=True),
    "686-dbg": Kernel("i386", "bookworm", "linux-image-686", symbols=True),
    "686-pae-dbg": Kernel("i386", "bookworm", "linux-image-686-pae", symbols=True),
    "kgdb-64": Kernel("x86_64", built=True),
    "kgdb-pae": Kernel("i386", built=True),
}

# Where the packages have what is kept, and its short name: the kernel (where linux-binary-* have it
# and where linux-image-*), its debug information, modules and theirs.
_MODULE = rf"(?P<module>{'|'.join(MODULES)})\.ko"
_KEPT = {
    re.compile(r"\./usr/lib/modules/[^/]+/(?P<name>vmlinuz)"): "{name}",
    re.compile(r"\./boot/(?P<name>vmlinuz|config|System\.map)-.+"): "{name}",
    re.compile(r"\./usr/lib/debug/(boot/vmlinux-.+|lib/modules/[^/]+/vmlinux)"): "vmlinux",
    re.compile(
        rf"\./(usr/)?lib/modules/.+/{_MODULE}(?P<packed>\.xz)?"
    ): "modules/{module}.ko{packed}",
    re.compile(rf"\./usr/lib/debug/lib/modules/.+/{_MODULE}"): "debug/{module}.ko",
}


def fetch(name: str, *, refresh: bool = False) -> Path:
    """The vmlinuz of a kernel of KERNELS. Of one that is built or has symbols, vmlinux lies beside
    it; of the latter modules/ and debug/ too.

    What is in the cache is used as it is, without a look at the network. `refresh` asks the
    archive for a newer one, unless its suite moves, and falls back to the cache when the archive
    does not answer.
    """
    again = refresh and not KERNELS[name].moves
    if again or not _cached(name):
        if os.environ.get("PTMAP_NO_FETCH"):
            raise NotInCache(_why_not_cached(name))
        with locked(f"kernel-{name}"):
            if again or not _cached(name):  # somebody else may have fetched it meanwhile
                _fetch(name)
    return _link(name).resolve() / "vmlinuz"


def trial(name: str) -> Path | None:
    """The archive's newest of a kernel that moves, kept beside the one in use until keep().

    None: that is the one in use.
    """
    with locked(f"kernel-{name}"):
        newest = _newest(name)
        if newest == _link(name).resolve():
            return None
        _point(_trial_link(name), newest)
        return newest


def keep(name: str) -> None:
    """The kernel on trial has passed: it is the one in use from now on."""
    _trial_link(name).rename(_link(name))


def version(name: str) -> str:
    """Of the kernel that fetch() gives, as its package is called; "none" if none is there yet."""
    return _link(name).resolve().name if _cached(name) else "none"


def _link(name: str) -> Path:
    on_trial = _trial_link(name)
    if os.environ.get("PTMAP_TRY_NEWEST") and on_trial.exists():
        return on_trial
    return cache() / "kernels" / name


def _trial_link(name: str) -> Path:
    return cache() / "kernels" / f"{name}.newest"


def _cached(name: str) -> bool:
    """One that is built must be of today's configuration."""
    folder = _link(name).resolve()
    right = not KERNELS[name].built or folder.name.endswith(build_kernel.key(name))
    return right and (folder / "vmlinuz").exists()


def _why_file(name: str) -> Path:
    return cache() / "kernels" / f"{name}.why"


def _why_not_cached(name: str) -> str:
    """With what the last attempt to get it said."""
    why = _why_file(name)
    return f"{name} is not in the cache: " + (
        why.read_text() if why.exists() else f"tests/guests/prepare {name}"
    )


def _fetch(name: str) -> None:
    try:
        _point(_link(name), _newest(name))
        _why_file(name).unlink(missing_ok=True)
    except GuestError as error:
        if not _cached(name):
            _why_file(name).parent.mkdir(exist_ok=True)
            _why_file(name).write_text(str(error))
            raise
        print(f"ptmap: using the {name} kernel in the cache: {error}", file=sys.stderr)


def _newest(name: str) -> Path:
    """The folder of the archive's newest kernel, downloaded if it is not in the cache yet."""
    kernel = KERNELS[name]
    if kernel.built:
        return build_kernel.newest(name, kernel.arch)
    metas = [kernel.meta] if is_debian() else list(kernel.elsewhere)
    if not metas:
        raise GuestError(
            f"{name} is {kernel.meta} of Debian's {kernel.suite} and this machine "
            f"runs {os_release().get('PRETTY_NAME', 'something else')}."
        )
    apt = archive(kernel.suite if is_debian() else "", kernel.arch)
    for meta in metas:
        if package := apt.kernel_of(meta):
            return _downloaded(apt, package, kernel.symbols)
    if not is_debian() and (own := _own_kernel()):
        folder = cache() / "kernels" / f"own-{own.name.removeprefix('vmlinuz-')}"
        folder.mkdir(parents=True, exist_ok=True)
        _point(folder / "vmlinuz", own)
        return folder
    where = f" of {kernel.suite}" if is_debian() else ""
    if apt.complaint:
        raise GuestError(f"{metas[0]}{where} cannot be fetched; apt says: {apt.complaint}")
    if is_debian():
        raise GuestError(f"the archive has no {metas[0]} for {kernel.arch}{where} today.")
    raise GuestError(f"apt knows no {' or '.join(metas)} and /boot has no readable vmlinuz.")


def _downloaded(apt: Apt, package: str, symbols: bool) -> Path:
    release = package.removeprefix("linux-image-").removeprefix("linux-binary-")
    debug = f"linux-image-{release}-dbg"
    packages = [package]
    if symbols:
        packages += filter(apt.has, (f"linux-modules-{release}", debug))
        if debug not in packages:
            raise GuestError(f"the archive has no {debug} today.")
    version = apt.show(package, "Version")
    folder = cache() / "kernels" / f"{packages[-1] if symbols else package}_{version}_{apt.arch}"
    if not folder.exists():
        with guard.Folder(cache()) as temporary:
            whole = Path(temporary, "whole")
            whole.mkdir()
            for one in packages:
                deb = apt.download(one, Path(temporary))
                _unpack(deb, whole)
                deb.unlink()
            for name in ("vmlinuz", "vmlinux") if symbols else ("vmlinuz",):
                if not (whole / name).exists():
                    raise GuestError(f"{' and '.join(packages)}: there is no {name}.")
            folder.parent.mkdir(exist_ok=True)
            whole.rename(folder)
    return folder


def _unpack(deb: Path, folder: Path) -> None:
    """What is kept of a package, under short names."""
    tar = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE)
    assert tar.stdout is not None
    with tar.stdout, tarfile.open(fileobj=tar.stdout, mode="r|") as members:
        for member in members:
            name = _short_name(member.name)
            if name and member.isfile() and (content := members.extractfile(member)):
                to = folder / name.removesuffix(".xz")
                to.parent.mkdir(exist_ok=True)
                with open(to, "wb") as out:
                    shutil.copyfileobj(lzma.open(content) if name.endswith(".xz") else content, out)
    tar.wait()


def _short_name(member: str) -> str | None:
    for pattern, name in _KEPT.items():
        if found := pattern.fullmatch(member):
            return name.format_map({k: v or "" for k, v in found.groupdict().items()})
    return None


def _point(link: Path, target: Path) -> None:
    """Make or replace a symbolic link in one step."""
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    fresh.symlink_to(target.name if target.parent == link.parent else target)
    fresh.rename(link)


def _own_kernel() -> Path | None:
    """The newest kernel in /boot that this user may read."""
    kernels = [path for path in Path("/boot").glob("vmlinuz-*") if os.access(path, os.R_OK)]
    return max(kernels, key=os.path.getmtime) if kernels else None
