"""Packages of the distribution's archive, by apt on a state of its own.

The host's package state is neither used nor changed: apt works on lists in <cache>/apt/, for any
architecture, with the main suite of the mirror the host is configured for.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from store import GuestError, cache


class Apt:
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
    release = os_release()
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


def os_release() -> dict[str, str]:
    path = Path("/etc/os-release")
    lines = path.read_text().splitlines() if path.exists() else []
    pairs = (line.partition("=") for line in lines)
    return {key: value.strip('"') for key, _, value in pairs}
