"""scripts/in-root.sh with a root of a few programs of this machine instead of a real one, which
takes minutes: what a run sees, what it leaves, what is kept."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Callable, Iterator

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = REPOSITORY / "scripts" / "in-root.sh"

PROGRAMS = ("bash", "env", "cat", "ls", "sleep", "touch", "unshare", "true", "chroot")

# In place of debootstrap: what the command line ends with is SUITE FOLDER MIRROR.
DEBOOTSTRAP = """\
#!/bin/bash
echo "$@" >>"$MADE"
[ -z "$BROKEN" ] || { echo "E: Failed getting release file $4"; exit 1; }
tree=${@: -2:1}
for folder in bin usr/bin etc/apt/sources.list.d etc/apt/apt.conf.d etc/dpkg/dpkg.cfg.d \\
        var/cache/apt/archives proc sys dev tmp root; do
    mkdir -p "$tree/$folder"
done
for program in PROGRAMS; do
    file=$(type -P $program)
    cp "$file" "$tree/usr/bin/"
    for library in $(ldd "$file" | grep -o '/[^ ]*'); do
        mkdir -p "$tree/$(dirname "$library")"
        cp -Ln "$library" "$tree/$library"
    done
done
cp "$tree/usr/bin/bash" "$tree/bin/"
printf '#!/bin/bash\\n' >"$tree/usr/bin/apt-get"
chmod +x "$tree/usr/bin/apt-get"
date +%N >"$tree/etc/made"
""".replace(
    "PROGRAMS", " ".join(PROGRAMS)
)

# In place of apt's tools: a mirror that is not there.
APT_GET = """\
#!/bin/sh
echo "Packages main bookworm http://mirror.invalid/debian $KEYS:1"
"""
APT_CONFIG = """\
#!/bin/sh
[ "$1" = dump ] || exit 0
echo 'Acquire::http::Proxy "http://proxy.invalid:8080";'
echo 'Acquire::IndexTargets::deb::Packages "";'
"""


def hang_up() -> None:
    """In the child: SIGHUP ends it also where this run ignores it (nohup)."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Roots:
    """Runs of the script with a cache of their own."""

    def __init__(self, folder: Path) -> None:
        self.cache = folder / "cache"
        self.made = folder / "made"
        tools = folder / "tools"
        tools.mkdir()
        # A small repository, to be cloned at once.
        self.repository = folder / "repository"
        shutil.copytree(SCRIPT.parent, self.repository / "scripts")
        git = ["git", "-C", self.repository, "-c", "user.name=x", "-c", "user.email=x@x.invalid"]
        for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
            subprocess.run([*git, *words], check=True)
        (folder / "keys").write_text(f"Signed-By: {folder}/ours.gpg\n")
        (folder / "ours.gpg").write_text("a key")
        for name, text in (
            ("debootstrap", DEBOOTSTRAP),
            ("apt-get", APT_GET),
            ("apt-config", APT_CONFIG),
        ):
            (tools / name).write_text(text)
            (tools / name).chmod(0o755)
        self.environment = {
            **os.environ,
            "PATH": f"{tools}:{os.environ['PATH']}",
            "MADE": str(self.made),
            "BROKEN": "",
            "KEYS": str(folder / "keys"),
            "PTMAP_CACHE": str(self.cache),
        }

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        script = self.repository / "scripts" / "in-root.sh"
        return subprocess.Popen(
            [script, *words],
            text=True,
            stdin=subprocess.PIPE,
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=hang_up,
            env={**self.environment, **environment},
        )

    def run(self, *words: str, given: str = "", **environment: str) -> tuple[int, str, str]:
        with self.start(*words, **environment) as process:
            out, errors = process.communicate(given, timeout=120)
        return process.returncode, out, errors

    def left(self) -> list[str]:
        """Folders of runs."""
        return os.listdir(self.cache / "roots" / "runs")

    def version(self) -> str:
        return (self.cache / "roots" / "trixie" / "tree" / "etc" / "made").read_text()


def running(word: str) -> list[str]:
    """Processes of this machine with this word on their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if word.encode() in words:
            found.append(path.parent.name)
    return found


def wait_until(so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not so():
        assert time.monotonic() < deadline
        time.sleep(0.1)


needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"]).returncode != 0,
    reason="only root can make and enter a root, and mount in it",
)


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roots]:
    yield Roots(tmp_path_factory.mktemp("roots"))


@needs_root
def test_the_command_has_the_script_s_input_output_and_status(roots: Roots) -> None:
    for words, given, expected in (
        (("cat",), "asked\n", (0, "asked\n")),
        (("bash", "-c", "echo $# $1", "x", "a b"), "", (0, "1 a b\n")),
        (("bash", "-c", "exit 7"), "", (7, "")),
        (("no-such-program",), "", (127, "")),
        (("bash", "-c", "kill -9 $$"), "", (137, "")),
    ):
        status, out, _ = roots.run("trixie", *words, given=given)
        assert (status, out) == expected


@needs_root
def test_what_a_run_finds(roots: Roots) -> None:
    """A clone, the cache but not the roots in it, no process of others, and nothing of the
    environment; and it may make a user namespace, which a mere chroot may not."""
    (roots.cache / "kernels").mkdir(parents=True, exist_ok=True)
    status, out, errors = roots.run(
        "trixie",
        "bash",
        "-c",
        "ls . scripts; ls /root/.cache/ptmap /root/.cache/ptmap/roots; "
        "ls -d /proc/[0-9]*; ls /dev/shm; env; unshare --user true && echo unshared",
        SECRET="told",
    )
    assert status == 0, errors
    assert "in-root.sh" in out and "kernels" in out and "unshared" in out
    assert "trixie" not in out and "told" not in out and "PTMAP_CACHE" not in out
    assert len(re.findall("/proc/[0-9]+", out)) <= 4


@needs_root
def test_what_is_not_committed_is_not_in_the_clone_and_that_is_said(roots: Roots) -> None:
    file = roots.repository / "scripts" / "install-packages.sh"
    committed = file.read_text()
    said = "in-root.sh: changes that are not committed are not in the clone."
    assert said not in roots.run("trixie", "true")[2]
    file.write_text("other\n")
    try:
        _, out, errors = roots.run("trixie", "cat", "scripts/install-packages.sh")
        assert out == committed and said in errors
    finally:
        file.write_text(committed)


@needs_root
def test_apt_in_the_root_is_set_up_as_this_machine_s(roots: Roots) -> None:
    status, out, _ = roots.run(
        "trixie", "bash", "-c", "cd /etc/apt; cat sources.list " "apt.conf.d/* keyrings/ours.gpg"
    )
    assert status == 0
    keys = "[signed-by=/etc/apt/keyrings/ours.gpg]"
    assert f"deb {keys} http://mirror.invalid/debian trixie main" in out
    assert 'Acquire::http::Proxy "http://proxy.invalid:8080";' in out and "IndexTargets" not in out
    assert out.endswith("a key")
    assert "ours.gpg" in roots.made.read_text()


@needs_root
def test_a_run_s_files_and_the_root_it_began_with(roots: Roots) -> None:
    """Nothing of a run is in the next one, but the packages that it fetched."""
    package = "/var/cache/apt/archives/one_1_all.deb"
    assert roots.run("trixie", "touch", "/etc/mine", package)[0] == 0
    assert roots.run("trixie", "ls", package)[0] == 0
    assert roots.run("trixie", "ls", "/etc/mine")[0] != 0
    assert roots.left() == []
    assert len(roots.made.read_text().splitlines()) == 1


@needs_root
def test_a_new_root_is_kept_if_the_command_passes_in_it(roots: Roots) -> None:
    assert roots.run("trixie", "true")[0] == 0
    first = roots.version()
    status, out, _ = roots.run("--refresh", "trixie", "bash", "-c", "cat /etc/made; exit 3")
    assert status == 3 and out != first and roots.version() == first
    status, out, _ = roots.run("--refresh", "trixie", "cat", "/etc/made")
    assert status == 0 and out != first and roots.version() == out
    assert roots.run("trixie", "cat", "/etc/made")[1] == out
    assert roots.left() == []


@needs_root
def test_the_archive_is_out_of_reach(roots: Roots) -> None:
    """The root that is there serves on."""
    assert roots.run("trixie", "true")[0] == 0
    for words in (("--refresh", "trixie", "true"), ("sid", "true")):
        status, out, errors = roots.run(*words, BROKEN="yes")
        assert status == 125 and out == ""
        assert errors.splitlines()[-1].startswith(
            f"in-root.sh: no root of {words[-2]} can be made from http://mirror.invalid/debian: "
            "E: Failed getting release file"
        )
    assert roots.run("trixie", "true", BROKEN="yes")[0] == 0
    assert roots.left() == []


@needs_root
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_killed_in_the_middle_it_leaves_nothing(roots: Roots, number: signal.Signals) -> None:
    length = f"86{number:02}.{os.getpid()}"  # of a sleep that nobody else does
    script = f"(unshare --fork sleep {length} &) ; echo begun; sleep {length}"
    process = roots.start("trixie", "bash", "-c", script)
    try:
        assert process.stdout is not None and process.stdout.readline() == "begun\n"
        wait_until(lambda: len(running(length)) >= 2)
        assert len(roots.left()) == 1
        process.send_signal(number)
        process.wait(120)
        wait_until(lambda: not running(length) and not roots.left())
    finally:
        process.kill()
        process.communicate()


@needs_root
def test_what_an_earlier_run_left_is_swept(roots: Roots) -> None:
    """Where the process that removes its folder was killed too."""
    assert roots.run("trixie", "true")[0] == 0
    left = roots.cache / "roots" / "runs" / "trixie.leftover"
    (left / "root").mkdir(parents=True)
    assert roots.run("trixie", "true")[0] == 0
    assert roots.left() == []


@pytest.mark.parametrize(
    "words, status, said",
    [
        ((), 2, "scripts/in-root.sh SUITE COMMAND..."),
        (("trixie",), 2, "--refresh SUITE COMMAND..."),
        (("etch", "true"), 2, "in-root.sh: no suite 'etch'; there are bookworm trixie sid"),
    ],
)
def test_wrong_usage(words: tuple[str, ...], status: int, said: str) -> None:
    ran = subprocess.run([SCRIPT, *words], capture_output=True, text=True)
    assert ran.returncode == status and said in ran.stderr and ran.stdout == ""


def test_it_says_that_it_needs_root() -> None:
    with tempfile.TemporaryDirectory() as folder:  # that everybody may read
        os.chmod(folder, 0o755)
        script = shutil.copy(SCRIPT, folder)
        as_nobody = ["setpriv", "--reuid=65534", "--clear-groups"] if os.geteuid() == 0 else []
        ran = subprocess.run(
            [*as_nobody, script, "trixie", "true"], capture_output=True, text=True, cwd="/"
        )
    assert ran.returncode == 125
    assert ran.stderr == (
        "in-root.sh: only root can make and enter a root of trixie; " "try it with sudo.\n"
    )
