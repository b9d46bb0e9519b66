"""Packages of the distribution's archive, by apt on a state of its own.

The host's package state is neither used nor changed: apt works on lists in <cache>/apt/, of any
suite and for any architecture, from the mirror the host is configured for.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from store import GuestError, cache, locked

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# Suites that are another release from time to time. A machine may be configured for one of them.
_CLASSES = {"stable", "oldstable", "testing", "unstable", "sid"}


class Apt:
    """apt-get and apt-cache on a state of our own, for one suite. Any user can run it.

    suite  of Debian, whatever release of it the host runs; "": the host's own, Ubuntu's for one
    """

    seconds = 0.0  # that all of them took for what comes from the archive

    def __init__(self, suite: str, arch: str) -> None:
        if shutil.which("apt-get") is None:
            raise GuestError("kernels are fetched with apt-get, and this machine has none.")
        self.arch = arch
        self.name = f"{suite or 'host'}-{arch}"
        self.state = cache() / "apt" / self.name
        for folder in ("lists/partial", "archives/partial", "etc"):
            (self.state / folder).mkdir(parents=True, exist_ok=True)
        (self.state / "status").touch()
        (self.state / "sources.list").write_text(_sources_list(suite, arch))
        (self.state / "apt.conf").write_text(
            f"""\
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
"""
        )
        update = self._transferred("update")
        failed = re.search(r"^(?:E:|W: Failed to fetch) .*", update.stderr, re.MULTILINE)
        self.complaint = failed.group() if failed else ""

    def show(self, package: str, field: str) -> str | None:
        """One field of the newest version's record; None when there is no such package."""
        record = self._run("apt-cache", "show", "--no-all-versions", package).stdout
        found = re.search(rf"^{field}: (.+)$", record, re.MULTILINE)
        return found.group(1) if found else None

    def has(self, package: str) -> bool:
        return self.show(package, "Version") is not None

    def kernel_of(self, meta: str) -> str | None:
        """The package with the kernel that a meta package such as linux-image-686 stands for today:
        linux-image-VERSION, or in newer suites the linux-binary-VERSION that it depends on."""
        image = self._dependency(meta, "linux-image")
        return image and (self._dependency(image, "linux-binary") or image)

    def _dependency(self, package: str, prefix: str) -> str | None:
        depends = self.show(package, "Depends") or ""
        found = re.search(rf"\b{prefix}-\d[\w.+~-]*", depends)
        return found.group() if found else None

    def download(self, package: str, folder: Path) -> Path:
        size = int(self.show(package, "Size") or 0)
        print(f"ptmap: downloading {package}, {size / 1e6:.0f} MB", file=sys.stderr)
        done = self._transferred("download", package, cwd=folder)
        debs = list(folder.glob("*.deb"))
        if done.returncode != 0 or not debs:
            said = " ".join(done.stderr.split())
            raise GuestError(f"{package} cannot be downloaded; apt says: {said}")
        return debs[0]

    def _transferred(
        self, *arguments: str, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        started = time.monotonic()
        with locked(f"apt-{self.name}"):
            done = self._run("apt-get", "-q", *arguments, cwd=cwd)
        Apt.seconds += time.monotonic() - started
        return done

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


@functools.cache
def archive(suite: str, arch: str) -> Apt:
    """The lists of one run are of one moment."""
    return Apt(suite, arch)


def _sources_list(suite: str, arch: str) -> str:
    """With the host's mirror, without updates and security: those can be mid-sync for an
    architecture the host does not follow."""
    fields = "$(CREATED_BY) $(COMPONENT) $(RELEASE) $(SITE) $(SOURCESENTRY)"
    listing = subprocess.run(
        ["apt-get", "indextargets", "--no-release-info", "--format", fields],
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
    ).stdout
    return main_suite(listing, suite, arch)


def main_suite(listing: str, suite: str, arch: str) -> str:
    """The line of sources.list for a suite, on the mirror that the host has its main archive from.

    listing  of the host's index targets, one a line: what made it, component, release, site, where
             it is configured
    """
    release = os_release()
    own = {release.get("VERSION_CODENAME"), *_CLASSES, suite}
    for line in listing.splitlines():
        made_by, component, configured, site, entry = line.split(" ", 4)
        if made_by == "Packages" and component == "main" and configured in own:
            options = f"arch={arch} target=Packages"
            if keys := _keys(suite, Path(entry.rpartition(":")[0])):
                options += f" signed-by={','.join(keys)}"
            return f"deb [{options}] {site} {suite or configured} main\n"
    raise GuestError(
        f"apt is not configured for {release.get('PRETTY_NAME', 'this system')}'s "
        "main archive, so no kernel can be fetched."
    )


def _keys(suite: str, source: Path) -> list[str]:
    """The key files a sources file names, and all of Debian's: those named may be of one release
    only. apt's own trusted keys serve if there are none."""
    text = source.read_text() if source.exists() else ""
    named = re.findall(r"^[^#\n]*signed-by\s*[:=]\s*(/[^\s\],]+)", text, re.I | re.M)
    debian = [str(_KEYRING)] if suite and _KEYRING.exists() else []
    return list(dict.fromkeys([*named, *debian]))


def is_debian() -> bool:
    return os_release().get("ID") == "debian"


def os_release() -> dict[str, str]:
    path = Path("/etc/os-release")
    lines = path.read_text().splitlines() if path.exists() else []
    pairs = (line.partition("=") for line in lines)
    return {key: value.strip('"') for key, _, value in pairs}
