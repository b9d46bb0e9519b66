"""Real kernels, fetched from the distribution's archive into a cache outside the checkout.

The host's package state is neither used nor changed: apt works on lists of its own, for the
kernel's architecture, with the main suite of the mirror the host is configured for. Of each
package only what lies in /boot is kept:

    <cache>/kernels/linux-image-6.1.0-35-686_6.1.137-1_i386/{vmlinuz,config,System.map}
    <cache>/kernels/686 -> the one to boot
    <cache>/apt/i386/       apt's own files
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator


class GuestError(RuntimeError):
    """This guest cannot be had here; the message is one sentence that says why."""


@dataclass(frozen=True)
class Kernel:
    """Where a kernel comes from: meta packages, the first that exists is taken."""

    arch: str
    debian: tuple[str, ...]
    elsewhere: tuple[str, ...] = ()  # on distributions that are not Debian


KERNELS = {
    "686": Kernel("i386", ("linux-image-686",)),
    "686-pae": Kernel("i386", ("linux-image-686-pae",)),
    "amd64": Kernel(
        "amd64", ("linux-image-cloud-amd64",), ("linux-image-virtual", "linux-image-generic")
    ),
}


def cache() -> Path:
    """$PTMAP_CACHE, else ~/.cache/ptmap; made when it is missing."""
    path = Path(os.environ.get("PTMAP_CACHE") or Path.home() / ".cache" / "ptmap").absolute()
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold a lock of the cache: two runs at once wait for each other."""
    with open(cache() / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def fetch(name: str, *, refresh: bool = False) -> Path:
    """The vmlinuz of a kernel of KERNELS.

    What is in the cache is used as it is, without a look at the network. `refresh` asks the
    archive for a newer one, and falls back to the cache when the archive does not answer.
    """
    current = cache() / "kernels" / name
    with locked("kernels"):
        if refresh or not current.exists():
            try:
                _point(current, _newest(name))
            except GuestError as error:
                if not current.exists():
                    raise
                print(f"ptmap: using the {name} kernel in the cache: {error}", file=sys.stderr)
    return current.resolve() / "vmlinuz"


def _newest(name: str) -> Path:
    """The folder of the archive's newest kernel, downloaded if it is not in the cache yet."""
    kernel = KERNELS[name]
    debian = _os_release().get("ID") == "debian"
    metas = kernel.debian if debian else kernel.elsewhere
    if not metas:
        raise GuestError(_not_here(kernel))
    apt = _Apt(kernel.arch)
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


def _downloaded(apt: _Apt, package: str) -> Path:
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


class _Apt:
    """apt-get and apt-cache on a state of our own. Any user can run it."""

    def __init__(self, arch: str) -> None:
        if shutil.which("apt-get") is None:
            raise GuestError("kernels are fetched with apt-get, and this machine has none.")
        self.arch = arch
        self.state = cache() / "apt" / arch
        for folder in ("lists/partial", "archives/partial", "etc"):
            (self.state / folder).mkdir(parents=True, exist_ok=True)
        (self.state / "status").touch()
        (self.state / "sources.list").write_text(_main_suite(arch))
        (self.state / "apt.conf").write_text(f"""\
Dir::State "{self.state}";
Dir::State::lists "{self.state}/lists";
Dir::State::status "{self.state}/status";
Dir::Cache "{self.state}";
Dir::Etc::sourcelist "{self.state}/sources.list";
Dir::Etc::sourceparts "-";
Dir::Etc::preferences "-";
Dir::Etc::preferencesparts "-";
#clear APT::Architectures;
APT::Architecture "{arch}";
APT::Architectures {{ "{arch}"; }};
APT::Sandbox::User "root";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
""")
        update = self._run("apt-get", "-q", "update")
        failed = re.search(r"^(?:E:|W: Failed to fetch) .*", update.stderr, re.MULTILINE)
        self.complaint = failed.group() if failed else ""

    def show(self, package: str, field: str) -> str | None:
        """One field of the newest version's record; None when there is no such package."""
        record = self._run("apt-cache", "show", "--no-all-versions", package).stdout
        found = re.search(rf"^{field}: (.+)$", record, re.MULTILINE)
        return found.group(1) if found else None

    def kernel_of(self, meta: str) -> str | None:
        """The package a meta package such as linux-image-686 stands for today."""
        found = re.search(r"\blinux-image-\d[\w.+~-]*", self.show(meta, "Depends") or "")
        return found.group() if found else None

    def download(self, package: str, folder: Path) -> Path:
        done = self._run("apt-get", "-q", "download", package, cwd=folder)
        debs = list(folder.glob("*.deb"))
        if done.returncode != 0 or not debs:
            raise GuestError(f"{package} cannot be downloaded. apt says: {done.stderr.strip()}")
        return debs[0]

    def _run(
        self, tool: str, *arguments: str, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [tool, "-c", str(self.state / "apt.conf"), *arguments],
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )


def _main_suite(arch: str) -> str:
    """A sources.list with the host's mirror of the main suite, without updates and security:
    those can be mid-sync for an architecture the host does not follow."""
    fields = "$(CREATED_BY) $(COMPONENT) $(RELEASE) $(SITE) $(SOURCESENTRY)"
    listing = subprocess.run(
        ["apt-get", "indextargets", "--no-release-info", "--format", fields],
        capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"},
    ).stdout
    release = _os_release()
    suites = {release.get("VERSION_CODENAME"), "stable", "oldstable", "testing", "unstable"}
    for line in listing.splitlines():
        made_by, component, suite, site, entry = line.split(" ", 4)
        if made_by == "Packages" and component == "main" and suite in suites:
            options = f"arch={arch} target=Packages"
            if keys := _signed_by(Path(entry.rpartition(":")[0])):
                options += f" signed-by={keys}"
            return f"deb [{options}] {site} {suite} main\n"
    raise GuestError(f"apt is not configured for {release.get('PRETTY_NAME', 'this system')}'s "
                      "main archive, so no kernel can be fetched.")


def _signed_by(source: Path) -> str:
    """The key files a sources file names; apt's own trusted keys serve where it names none."""
    text = source.read_text() if source.exists() else ""
    keys = re.findall(r"^[^#\n]*signed-by\s*[:=]\s*(/[^\s\],]+)", text, re.I | re.M)
    return ",".join(dict.fromkeys(keys))


def _own_kernel() -> Path | None:
    """The newest kernel in /boot that this user may read."""
    kernels = [path for path in Path("/boot").glob("vmlinuz-*") if os.access(path, os.R_OK)]
    return max(kernels, key=os.path.getmtime) if kernels else None


def _not_here(kernel: Kernel) -> str:
    here = _os_release().get("PRETTY_NAME", "something else")
    return f"{kernel.debian[0]} is Debian 12's kernel and this machine runs {here}."


def _os_release() -> dict[str, str]:
    path = Path("/etc/os-release")
    lines = path.read_text().splitlines() if path.exists() else []
    pairs = (line.partition("=") for line in lines)
    return {key: value.strip('"') for key, _, value in pairs}
