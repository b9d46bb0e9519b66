"""A QEMU of our own: started, talked to, and ended whatever happens to the test run.

Every socket, log and RAM file lives in one private directory, so runs side by side share
nothing and no TCP port is needed. Needs nothing but Python and a QEMU.
"""

from __future__ import annotations

import atexit
import json
import os
import shlex
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Sequence

import guard


_STATE = "state.zst"  # of a saved machine: QEMU's migration stream


class QemuError(RuntimeError):
    """QEMU is missing, died, does not answer, or never printed what was waited for."""


class Qemu:
    """One QEMU process. Use it as a context manager, or call close().

    args          more QEMU arguments: "-kernel", "lab32.elf", "-cpu", "max", ...
    paused        the CPUs do not start until cont(), or GDB's continue
    memory        as QEMU writes it: "64M", "8G"
    ram_file      keep guest RAM in the file .ram_path, readable while QEMU runs
    serial_lines  number of serial ports, numbered from 0
    tcp           the address on which GDB is awaited, at a free port; None: a UNIX socket
    user          the uid and gid that QEMU runs under (only root can choose)
    saved         a folder of save(): the machine goes on there, paused; all else has to be as it
                  was then
    """

    def __init__(
        self,
        args: Sequence[str] = (),
        *,
        binary: str = "qemu-system-x86_64",
        paused: bool = True,
        memory: str = "64M",
        machine: str = "pc",
        ram_file: bool = False,
        serial_lines: int = 1,
        tcp: str | None = None,
        user: int | None = None,
        saved: Path | None = None,
    ) -> None:
        if shutil.which(binary) is None:
            raise QemuError(
                f"{binary} is not installed: Debian and Ubuntu have it in "
                "the package qemu-system-x86."
            )
        self._folder = guard.Folder(_place(memory, ram_file))
        self.dir = Path(self._folder.name)
        self._owner = os.getpid()
        self._closed = False
        self._process: subprocess.Popen[bytes] | None = None
        self.ram_path: Path | None = self.dir / "ram" if ram_file else None
        atexit.register(self.close)

        # QEMU gets sockets that already listen, so that connecting never has to wait for it,
        # and is refused at once when it died.
        names = ["qmp", "gdb"] + [f"serial{n}" for n in range(serial_lines)]
        listening = {name: _listen(self.dir / name) for name in names}
        self._tcp = tcp
        self._port: int | None = None
        if tcp is not None:
            listening["gdb"] = _listen_tcp(tcp)
            self._port = listening["gdb"].getsockname()[1]
        command = [binary, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
        command += ["-m", memory]
        if ram_file:
            ram = f"memory-backend-file,id=ram,size={memory},mem-path={self.ram_path},share=on"
            command += ["-object", ram, "-machine", f"{machine},memory-backend=ram"]
        else:
            command += ["-machine", machine]
        for name, sock in listening.items():
            chardev = f"socket,id={name},fd={sock.fileno()},server=on,wait=off"
            if name.startswith("serial"):
                log = self.dir / f"{name}.log"
                chardev += f",logfile={log},logappend=on"
                if saved is not None:
                    shutil.copyfile(saved / log.name, log)
                command += ["-serial", f"chardev:{name}"]
            elif name == "gdb" and tcp is not None:
                chardev += ",nodelay=on"  # as -gdb tcp: does
            command += ["-chardev", chardev]
        command += ["-mon", "chardev=qmp,mode=control", "-gdb", "chardev:gdb"]
        command += ["-S"] if paused else []
        command += args
        if saved is not None:
            command += ["-incoming", f"exec:zstd -dcq {shlex.quote(str(saved / _STATE))}"]
        try:
            with open(self.dir / "stderr", "wb") as stderr:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=stderr,
                    stderr=stderr,
                    pass_fds=[sock.fileno() for sock in listening.values()],
                    start_new_session=True,  # Ctrl-C is for us; close() is for it
                    user=user,
                    group=user,
                    extra_groups=None if user is None else [],
                )
            for sock in listening.values():
                sock.close()
            self._connect()
            if saved is not None:
                self._until("query-status", "inmigrate")
        except BaseException:
            self.close()
            raise

    # Attributes

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """The process lives; whether its CPUs run is another question."""
        return self._process is not None and self._process.poll() is None

    @property
    def gdb_target(self) -> str:
        """What GDB's `target remote` takes: the path of a UNIX socket (GDB 8.3 and later), or an
        address of this host."""
        if self._port is None:
            return str(self.dir / "gdb")
        return f"[{self._tcp}]:{self._port}" if self._tcp == "::1" else f"127.0.0.1:{self._port}"

    @property
    def gdb_port(self) -> int:
        """With `tcp`."""
        assert self._port is not None
        return self._port

    def serial_path(self, serial: int = 0) -> Path:
        """UNIX socket of a serial port, to write to it. Its output is in console() anyway."""
        return self.dir / f"serial{serial}"

    # The monitor

    def qmp(self, command: str, *, timeout: float = 60, **arguments: Any) -> Any:
        """Run a QMP command and return its `return`; after a timeout only close() is left."""
        self._channel.settimeout(timeout)
        try:
            request = {"execute": command, "arguments": arguments}
            self._answers.write(json.dumps(request).encode() + b"\n")
            self._answers.flush()
            while True:
                answer = self._receive()
                if "return" in answer:
                    return answer["return"]
                if "error" in answer:
                    raise QemuError(f"QEMU refuses {command}: {answer['error']['desc']}")
        except OSError as error:
            raise self._failure(f"QEMU does not answer {command}: {error}") from None

    def hmp(self, line: str, *, timeout: float = 60) -> str:
        """What QEMU's human monitor prints for `line`, its own complaints included."""
        answer = self.qmp("human-monitor-command", timeout=timeout, **{"command-line": line})
        return str(answer).replace("\r\n", "\n")

    def stop_cpus(self) -> None:
        self.qmp("stop")

    def cont(self) -> None:
        self.qmp("cont")

    def save(self, folder: Path) -> None:
        """Write the stopped machine, and what its serial ports have printed, into a folder."""
        self.qmp("migrate-set-parameters", **{"max-bandwidth": 1 << 40})  # bytes/s: no limit
        self.qmp("migrate", uri=f"exec:zstd -1qc >{shlex.quote(str(folder / _STATE))}")
        status = self._until("query-migrate", "setup", "active", "device")
        # QEMU does not ask what became of the program that it writes to.
        whole = subprocess.run(["zstd", "-tq", folder / _STATE]).returncode == 0
        if status != "completed" or not whole:
            raise QemuError(f"QEMU cannot save its machine: {status}")
        for log in self.dir.glob("serial*.log"):
            shutil.copyfile(log, folder / log.name)

    def _until(self, query: str, *busy: str) -> str:
        """The first status that is none of these."""
        deadline = time.monotonic() + 120
        while (status := str(self.qmp(query).get("status", busy[0]))) in busy:
            if time.monotonic() > deadline:
                raise self._failure(f"QEMU is still {status!r} after 120 s")
            time.sleep(0.01)
        return status

    # The console

    def answer(self, line: str, until: str, serial: int, timeout: float = 120) -> str:
        """Type a line on a serial port, and wait_line(until) on the first one.

        The port must be another: one that somebody is connected to stands still, and loses
        characters, as soon as some hundreds are not read.
        """
        with socket.socket(socket.AF_UNIX) as port:
            port.connect(str(self.serial_path(serial)))
            port.sendall(line.encode() + b"\n")
            return self.wait_line(until, timeout)

    def console(self, serial: int = 0) -> str:
        """All that a serial port has printed so far."""
        return _text((self.dir / f"serial{serial}.log").read_bytes())

    def wait_line(self, text: str, timeout: float = 120, serial: int = 0) -> str:
        """The first line of the console that contains `text`, as soon as it is complete.

        QemuError, with the console's last lines, when it does not come in `timeout` seconds or
        QEMU ends before (a kernel that panics reboots, and -no-reboot makes that the end).
        """
        deadline = time.monotonic() + timeout
        rest = b""
        with open(self.dir / f"serial{serial}.log", "rb") as log:
            while True:
                running = self.running  # asked before reading: its last words count
                rest += log.read()
                *lines, rest = rest.split(b"\n")
                for line in lines if running else [*lines, rest]:
                    if text in _text(line):
                        return _text(line)
                if not running:
                    raise self._failure(f"QEMU ended before it printed {text!r}", serial)
                if time.monotonic() > deadline:
                    raise self._failure(f"no {text!r} on the console in {timeout:g} s", serial)
                time.sleep(0.01)

    # The end

    def close(self) -> None:
        """End QEMU and remove its directory. Harmless twice."""
        if self._closed or self._owner != os.getpid():  # a fork's atexit is not ours
            return
        self._closed = True
        atexit.unregister(self.close)
        if hasattr(self, "_channel"):
            self._channel.close()
        if self._process is not None:
            self._process.kill()  # nothing of its state is wanted, and a busy monitor cannot quit
            self._process.wait()
        self._folder.cleanup()

    def __enter__(self) -> Qemu:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Inside

    def _connect(self) -> None:
        self._channel = socket.socket(socket.AF_UNIX)
        self._channel.settimeout(60)
        try:
            self._channel.connect(str(self.dir / "qmp"))
            self._answers = self._channel.makefile("rwb")
            self._receive()  # the greeting
        except OSError as error:
            raise self._failure(f"QEMU did not start: {error}") from None
        self.qmp("qmp_capabilities")

    def _receive(self) -> dict[str, Any]:
        line = self._answers.readline()
        if not line:
            raise ConnectionError("it has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _failure(self, what: str, serial: int | None = None) -> QemuError:
        stderr = _text((self.dir / "stderr").read_bytes()).strip()
        parts = [what]
        if stderr:
            parts += ["QEMU says:", stderr]
        if serial is not None:
            parts += ["the console's last lines:", *self.console(serial).splitlines()[-25:]]
        return QemuError("\n".join(parts))


def _listen(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    sock.listen()
    return sock


def _listen_tcp(host: str) -> socket.socket:
    if ":" not in host:
        return socket.create_server((host, 0))
    both = host == "::"  # IPv4 too
    return socket.create_server((host, 0), family=socket.AF_INET6, dualstack_ipv6=both)


def _place(memory: str, ram_file: bool) -> str:
    """Where the directory goes; on /dev/shm a RAM file is never written to a disk."""
    if ram_file and os.path.isdir(guard.SHM) and shutil.disk_usage(guard.SHM).free > _bytes(memory):
        return guard.SHM
    return guard.SHORT


def _bytes(memory: str) -> int:
    unit = memory[-1].upper()
    return int(memory[:-1]) << {"K": 10, "M": 20, "G": 30}[unit]


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace").replace("\r", "")
