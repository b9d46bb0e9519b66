"""One long-running GDB without a terminal, driven over a socket by the agent inside it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Callable, Sequence

import guard
import json_schema

AGENT = Path(__file__).with_name("gdb_agent.py")
REPOSITORY = Path(__file__).resolve().parents[2]


class GdbFailure(Exception):
    """GDB refused a command; str() is its message."""

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind  # the exception's class inside GDB


class GdbDied(Exception):
    """GDB ended, or did not answer in time and was killed."""


def ptmap_script() -> Path:
    """The ptmap-gdb.py of the build tree under test; PTMAP_BUILD names another tree."""
    build = Path(os.environ.get("PTMAP_BUILD") or REPOSITORY / "build" / "release")
    script = build / "gdb" / "ptmap-gdb.py"
    if not script.exists():
        raise FileNotFoundError(f"{script} is missing: cmake --build --preset release")
    return script


class GdbSession:
    """A context manager. Every call takes at most `timeout` seconds, then GDB is killed.

    prefix   a command that GDB is run by: ("unshare", "-fp")
    confine  run in the process that becomes GDB: takes permissions away
    """

    def __init__(
        self,
        gdb: str = "gdb",
        script: Path | str | None = None,
        *,
        timeout: float = 120.0,
        prefix: Sequence[str] = (),
        confine: Callable[[], None] | None = None,
    ) -> None:
        guard.start()
        self.timeout = timeout
        self._log = tempfile.TemporaryFile()
        ours, theirs = socket.socketpair()
        environment = {
            key: value
            for key, value in os.environ.items()
            if key not in ("PYTHONHOME", "PYTHONPATH")
        }
        environment |= {
            "PTMAP_AGENT_FD": str(theirs.fileno()),
            "LC_ALL": "C.UTF-8",
            "DEBUGINFOD_URLS": "",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        with theirs:
            self._process = subprocess.Popen(
                [*prefix, gdb, "-nx", "-q", "-batch", "-x", str(AGENT)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                preexec_fn=confine,
            )
        self._socket = ours
        self._socket.settimeout(timeout)
        self._stream = ours.makefile("rwb")
        try:
            self.run("set confirm off")
            # A busy host's QEMU may need longer than GDB's 2 s for an answer. GDB asks again then,
            # and takes a second copy of a stop for the next stop.
            self.run("set remotetimeout 60")
            if script is not None:
                self.run(f"source {script}")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> GdbSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        """What GDB wrote outside of run(): warnings, Python tracebacks, stdout."""
        return os.pread(self._log.fileno(), 1 << 24, 0).decode(errors="replace")

    def run(self, command: str) -> str:
        """Execute one CLI command and return its output. Raises GdbFailure.

        JSON among it has to be as the schema says, whoever asked for it.
        """
        text = str(self._ask("run", command))
        if json_schema.looks_like_ours(text):
            json_schema.check(text)
        return text

    def eval(self, expression: str) -> int:
        return self._ask("eval", expression)

    def packet(self, packet: bytes) -> bytes | None:
        """Send one raw remote packet; None is the empty answer, "not supported"."""
        return self.packets([packet])[0]

    def packets(self, packets: list[bytes]) -> list[bytes | None]:
        answers = self._ask("packets", [packet.decode("latin-1") for packet in packets])
        return [None if answer is None else answer.encode("latin-1") for answer in answers]

    def python(self, code: str) -> Any:
        """Execute Python inside GDB; what it leaves in `result` comes back by way of JSON."""
        return self._ask("python", code)

    def attach(self, target: str) -> str:
        return self.run(f"target remote {target}")

    def disconnect(self) -> str:
        """Leave the target paused."""
        return self.run("disconnect")

    def interrupt(self) -> None:
        """What Ctrl-C does (from another thread, while a command runs)."""
        os.kill(self._process.pid, signal.SIGINT)

    def close(self) -> None:
        self._stream.close()
        self._socket.close()  # the agent sees the end, disconnects and lets GDB quit
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._kill()
        self._log.close()

    def _kill(self) -> int:
        """Together with what it runs, or what it is run by (`prefix`)."""
        os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait()

    def _ask(self, operation: str, argument: Any) -> Any:
        try:
            self._stream.write(json.dumps([operation, argument]).encode() + b"\n")
            self._stream.flush()
            line = self._stream.readline()
        except TimeoutError:
            self._kill()
            raise GdbDied(
                f"no answer to {argument!r} in {self.timeout:g} s: GDB killed\n"
                f"{self.log[-2000:]}"
            ) from None
        except OSError:
            line = b""
        if not line:
            try:
                status = self._process.wait(10)
            except subprocess.TimeoutExpired:
                status = self._kill()
            raise GdbDied(f"GDB ended with status {status} at {argument!r}\n{self.log[-2000:]}")
        answer = json.loads(line)
        if "error" in answer:
            raise GdbFailure(answer["error"], answer["kind"])
        return answer["value"]


def refused(session: GdbSession, command: str, *words: str) -> str:
    """The message of a command that must fail: one clear sentence, with these words in it."""
    try:
        session.run(command)
    except GdbFailure as failure:
        said = str(failure)
        assert failure.kind == "error", said
        assert "\n" not in said and not re.search("Traceback|Python|Exception", said), said
        assert all(word in said for word in words), said
        return said
    raise AssertionError(f"{command} does not fail")


def memory_shown(session: GdbSession) -> str:
    """What `show ptmap memory` says, the lines that it broke at 80 columns whole again."""
    return session.run("show ptmap memory").replace("\n    ", " ")
