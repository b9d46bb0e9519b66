"""Which kernels the guests get: from which suite, kept until when, and what is said without one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

import kernels
import packages
from guests import GUESTS
from packages import main_suite
from store import GuestError, NotInCache, cache

HERE = Path(__file__).resolve().parent
MOVING = "amd64-sid"


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PTMAP_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PTMAP_NO_FETCH", raising=False)
    return tmp_path / "cache"


class FakeArchive:
    """Gives the kernel of a version, or breaks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.version = ""
        self.asked = 0
        monkeypatch.setattr(kernels, "_newest", self.newest)

    def newest(self, name: str) -> Path:
        self.asked += 1
        if not self.version:
            raise GuestError("the archive is broken today.")
        folder = cache() / "kernels" / f"{name}-{self.version}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "vmlinuz").write_text(self.version)
        return folder


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> FakeArchive:
    return FakeArchive(monkeypatch)


def script(name: str) -> ModuleType:
    """prepare and newest have no .py."""
    loader = SourceFileLoader(name, str(HERE / name))
    spec = spec_from_loader(name, loader)
    assert spec
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


# From which archive


def on(monkeypatch: pytest.MonkeyPatch, codename: str, id: str = "debian") -> None:
    release = {"ID": id, "VERSION_CODENAME": codename, "PRETTY_NAME": f"{id} {codename}"}
    monkeypatch.setattr(packages, "os_release", lambda: release)


@pytest.mark.parametrize(
    "codename, configured",
    [
        ("bookworm", "bookworm"),
        ("trixie", "trixie"),
        ("trixie", "stable"),
        ("forky", "sid"),
        ("forky", "unstable"),
    ],
)
@pytest.mark.parametrize("suite", sorted({row.suite for row in kernels.KERNELS.values()} - {""}))
def test_a_suite_is_asked_for_whatever_release_the_host_runs(
    codename: str, configured: str, suite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    on(monkeypatch, codename)
    listing = (
        f"Packages main cloud-{codename} http://other.example/apt /etc/apt/other.list:1\n"
        f"Translations main {configured} http://mirror.example/debian /etc/apt/x.list:1\n"
        f"Packages main {configured} http://mirror.example/debian /etc/apt/x.list:1\n"
    )
    line = main_suite(listing, suite, "i386")
    assert line.startswith("deb [arch=i386 target=Packages")
    assert line.endswith(f"] http://mirror.example/debian {suite} main\n")


def test_a_host_that_is_not_debian_is_asked_for_its_own_suite(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on(monkeypatch, "noble", "ubuntu")
    listing = "Packages main noble http://mirror.example/ubuntu /etc/apt/ubuntu.sources:1\n"
    line = main_suite(listing, "", "amd64")
    assert line == "deb [arch=amd64 target=Packages] http://mirror.example/ubuntu noble main\n"


def test_a_host_without_a_main_archive_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    on(monkeypatch, "bookworm")
    with pytest.raises(GuestError, match="apt is not configured for debian bookworm's main"):
        main_suite("Packages main cloud http://other.example/apt /etc/apt/x:1\n", "sid", "amd64")


def test_keys_named_for_the_mirror_serve_beside_debians(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on(monkeypatch, "bookworm")
    keyring = tmp_path / "debian.gpg"
    keyring.touch()
    monkeypatch.setattr(packages, "_KEYRING", keyring)
    sources = tmp_path / "x.sources"
    sources.write_text("Suites: bookworm\nSigned-By: /keys/ours.gpg\n")
    line = main_suite(
        f"Packages main bookworm http://m.example/debian {sources}:1\n", "sid", "amd64"
    )
    assert f"signed-by=/keys/ours.gpg,{keyring}]" in line


@pytest.mark.parametrize("place", ["boot/vmlinuz-7.2-amd64", "usr/lib/modules/7.2-amd64/vmlinuz"])
def test_a_packages_kernel_is_found_in_the_old_place_and_the_new(
    place: str, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    for path, text in (
        (place, "kernel"),
        ("usr/lib/modules/7.2-amd64/modules.order", ""),
        (
            "DEBIAN/control",
            "Package: a\nVersion: 1\nArchitecture: amd64\n"
            "Maintainer: nobody <a@b.c>\nDescription: a\n",
        ),
    ):
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
    deb = tmp_path / "a.deb"
    subprocess.run(["dpkg-deb", "--build", tree, deb], check=True, capture_output=True)
    (cache() / "kernels").mkdir()
    kernels._unpack(deb, cache() / "kernels" / "a")
    assert (cache() / "kernels" / "a" / "vmlinuz").read_text() == "kernel"


# How long it is kept


def test_what_is_in_the_cache_is_used_without_a_look_at_the_archive(archive: FakeArchive) -> None:
    archive.version = "1"
    assert kernels.fetch("686").read_text() == "1"
    archive.version = "2"
    assert kernels.fetch("686").read_text() == "1" and archive.asked == 1
    assert kernels.fetch("686", refresh=True).read_text() == "2"


def test_a_suite_that_moves_is_kept_until_a_newer_one_has_passed(
    archive: FakeArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.version = "1"
    kernels.fetch(MOVING)
    assert kernels.trial(MOVING) is None
    archive.version = "2"
    assert kernels.fetch(MOVING, refresh=True).read_text() == "1"
    assert kernels.trial(MOVING)
    assert kernels.fetch(MOVING).read_text() == "1"
    with monkeypatch.context() as trying:
        trying.setenv("PTMAP_TRY_NEWEST", "1")
        assert kernels.fetch(MOVING).read_text() == "2"
    kernels.keep(MOVING)
    assert kernels.fetch(MOVING).read_text() == "2"


@pytest.mark.parametrize(
    "results, used, said",
    [
        ((3, 0), "2", "3 passed, 0 failed; it is in use from now on, before: amd64-sid-1."),
        ((3, 1), "1", "3 passed, 1 failed; amd64-sid-1 stays in use."),
        ((0, 0), "1", "0 passed, 0 failed; amd64-sid-1 stays in use."),
    ],
)
def test_newest_takes_a_kernel_that_passed_and_reports_one_that_did_not(
    results: tuple[int, int],
    used: str,
    said: str,
    archive: FakeArchive,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    archive.version = "1"
    kernels.fetch(MOVING)
    archive.version = "2"
    newest = script("newest")
    tested: list[str] = []

    def run_tests(guests: list[str]) -> tuple[int, int]:
        tested.extend(guests)
        return results

    monkeypatch.setattr(newest, "run_tests", run_tests)
    monkeypatch.setattr(newest, "KERNELS", {MOVING: kernels.KERNELS[MOVING]})
    monkeypatch.setattr(sys, "argv", ["newest"])
    newest.main()
    assert f"ptmap: amd64-sid: amd64-sid-2: {said}\n" in capsys.readouterr().out
    assert tested == [name for name, guest in GUESTS.items() if guest.kernel == MOVING]
    assert kernels.fetch(MOVING).read_text() == used


def test_newest_reports_what_the_archive_breaks(
    archive: FakeArchive, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["newest"])
    script("newest").main()
    said = capsys.readouterr().out
    assert "amd64-sid: nothing newer could be tried: the archive is broken today.\n" in said


# Without one


def test_where_nothing_may_be_fetched_the_archive_is_not_asked(
    archive: FakeArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PTMAP_NO_FETCH", "1")
    with pytest.raises(NotInCache, match="^686 is not in the cache: tests/guests/prepare 686$"):
        kernels.fetch("686")
    assert not archive.asked


def test_what_the_archive_said_last_is_the_reason_until_it_gives_the_kernel(
    archive: FakeArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(GuestError, match="broken today"):
        kernels.fetch(MOVING)
    with monkeypatch.context() as no_fetch:
        no_fetch.setenv("PTMAP_NO_FETCH", "1")
        with pytest.raises(NotInCache, match="sid is not in the cache: the archive is broken"):
            kernels.fetch(MOVING)
    archive.version = "1"
    kernels.fetch(MOVING)
    assert not list((cache() / "kernels").glob("*.why"))


def test_a_test_without_its_kernel_is_skipped_with_the_reason(empty_cache: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-rs",
            "-p",
            "no:xdist",
            "tests/gdb/test_linux.py",
            "-k",
            "686-ready",
        ],
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout
    assert "686 is not in the cache: tests/guests/prepare 686\n" in done.stdout
    assert " passed" not in done.stdout and " skipped" in done.stdout


def fake_apt(folder: Path, update: str) -> dict[str, str]:
    """An environment whose apt-get has a mirror and says this on stderr when it updates."""
    folder.mkdir()
    for name, text in {
        "apt-get": 'case "$*" in\n'
        "*indextargets*) echo Packages main sid http://m.example/debian /x:1 ;;\n"
        f"*update*) echo '{update}' >&2; exit 100 ;;\n"
        "*) exit 100 ;;\n"
        "esac\n",
        "apt-cache": "",
    }.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}")
        (folder / name).chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}


def test_prepare_says_what_the_archive_breaks_and_does_not_fail(tmp_path: Path) -> None:
    environment = fake_apt(tmp_path / "bin", "E: Failed to fetch Packages  Hash Sum mismatch")
    done = subprocess.run(
        [HERE / "prepare", "4-level-sid"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    if packages.is_debian():
        assert (
            "ptmap: no amd64-sid: linux-image-cloud-amd64 of sid cannot be fetched; apt says: "
            "E: Failed to fetch Packages  Hash Sum mismatch\n"
        ) in done.stdout
    assert "\nptmap: downloaded in 0 s\n" in done.stdout


def test_prepare_knows_guests_and_kernels_only() -> None:
    done = subprocess.run([HERE / "prepare", "amd64-6.13"], capture_output=True, text=True)
    assert done.returncode == 2 and "no guest 'amd64-6.13'" in done.stderr


def test_prepare_takes_what_all_groups_need_at_once(tmp_path: Path) -> None:
    groups = re.search(r"^groups='(.*?)^'", (HERE.parent / "run.sh").read_text(), re.M | re.S)
    assert groups
    needs = [row.split()[2] for row in groups[1].splitlines() if row]
    words = [word for need in needs if need != "none" for word in need.split(",")]
    done = subprocess.run(
        [HERE / "prepare", *words],
        env=fake_apt(tmp_path / "bin", "E: Failed to fetch Packages  Hash Sum mismatch"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    wanted = {GUESTS[word].kernel if word in GUESTS else word for word in words if word[0] != "-"}
    assert {"amd64-sid", "kgdb-64", *wanted} <= set(re.findall(r"ptmap: no ([^:]*)", done.stdout))
