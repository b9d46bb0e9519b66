"""A proxy between GDB and a stub: records every packet, and spoils those that its rules name.

    with StubProxy(qemu.gdb_target) as proxy:
        session.attach(proxy.gdb_target)
        proxy.play(Rule("m", Answer(b"E14"), nth=3, physical=True))

Without rules every byte goes through unchanged. Knows the remote protocol's packets, acks and
no-ack mode, escapes and run lengths, notifications and Ctrl-C. One connection at a time; when it
ends, the next one may come.
"""

from __future__ import annotations

import re
import select
import socket
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Sequence

import guard
from gdbsession import GdbSession, ptmap_script
from machine import BareMachine

# Actions of a rule


@dataclass(frozen=True)
class Answer:
    """The stub never sees the packet: GDB gets this in its place. b"" is "not supported"."""

    payload: bytes


@dataclass(frozen=True)
class Delay:
    """The packet reaches the stub later. Other actions can join it."""

    seconds: float


@dataclass(frozen=True)
class Hold:
    """The packet reaches the stub when `until` is set, by a test that does something meanwhile."""

    until: threading.Event


@dataclass(frozen=True)
class Garble:
    """The reply is spoiled: "checksum" is wrong (once: a resent one is good); "content" is
    another, of the same length, under a good checksum; "short" is half of it, the same way."""

    what: Literal["checksum", "content", "short"]


@dataclass(frozen=True)
class Replace:
    """The stub does it, but GDB gets this reply."""

    payload: bytes


@dataclass(frozen=True)
class Lose:
    """The stub does it, but no reply comes, however often GDB asks for it again."""


@dataclass(frozen=True)
class Cut:
    """The connection ends, on both sides: "before" the stub sees the packet, "after", or in the
    "middle" of its reply."""

    where: Literal["before", "after", "middle"]


Action = Answer | Delay | Hold | Garble | Replace | Lose | Cut


@dataclass(frozen=True)
class Rule:
    match: str  # regular expression, from the start of a packet from GDB
    action: Action
    nth: int = 0  # 1 is the first packet that matches; 0 is every one
    physical: bool = False  # only while QEMU's physical mode is on


# QEMU before 4.1, or another stub: no physical mode. NO_MONITOR: no `monitor` commands either.
OLD_STUB = (Rule(r"[qQ]qemu\.PhyMemMode", Answer(b"")),)
NO_MONITOR = (Rule("qRcmd,", Answer(b"")),)


@dataclass(frozen=True)
class Packet:
    direction: Literal["to stub", "to gdb"]
    payload: bytes  # without escapes and run lengths
    time: float  # of time.monotonic()
    size: int  # bytes on the wire
    physical: bool  # QEMU's physical mode was on
    notification: bool = False

    @property
    def read(self) -> tuple[int, int] | None:
        """(address, length) of a memory read."""
        found = re.fullmatch(rb"[mx]([0-9a-f]+),([0-9a-f]+)", self.payload)
        return (int(found[1], 16), int(found[2], 16)) if found else None


class StubProxy:
    """A context manager, or close().

    target  where the stub is: the path of a UNIX socket, or HOST:PORT
    tcp     be a TCP port on localhost, a free one, instead of a UNIX socket
    """

    def __init__(self, target: str, *, tcp: bool = False) -> None:
        self.packets: list[Packet] = []
        self._target = target
        self._rules: tuple[Rule, ...] = ()
        self._fired: list[int] = []
        self._matches: list[int] = []
        self._physical = False
        self._link: _Link | None = None
        self._failure: BaseException | None = None
        self._folder = guard.Folder()
        if tcp:
            self._listener = socket.create_server(("127.0.0.1", 0))
            self.gdb_target = f"127.0.0.1:{self._listener.getsockname()[1]}"
        else:
            self.gdb_target = str(Path(self._folder.name, "gdb"))
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(self.gdb_target)
            self._listener.listen()
        self._over = threading.Event()
        self._wake, self._waker = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="stub proxy", daemon=True)
        self._thread.start()

    def __enter__(self) -> StubProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Harmless twice. Raises what went wrong inside the proxy itself."""
        if self._over.is_set():
            return
        self._over.set()
        self._waker.send(b"x")
        self._thread.join()
        for sock in (self._listener, self._wake, self._waker):
            sock.close()
        self._folder.cleanup()
        if self._failure is not None:
            raise self._failure

    # Rules

    def play(self, *rules: Rule) -> None:
        """These rules from now on, counted from 1; without any, only forward."""
        self._rules = ()
        self._matches, self._fired = [0] * len(rules), [0] * len(rules)
        self._rules = rules

    @property
    def fired(self) -> list[int]:
        """How often each rule has acted: a test of a fault should see that there was one."""
        return list(self._fired)

    # What was recorded

    def reset(self) -> None:
        self.packets.clear()

    def sent(self, match: str = "", *, physical: bool | None = None) -> list[bytes]:
        """Payloads from GDB that match from their start."""
        pattern = re.compile(match.encode("latin-1"))
        return [
            p.payload
            for p in self.packets
            if p.direction == "to stub"
            and pattern.match(p.payload)
            and physical in (None, p.physical)
        ]

    def count(self, match: str = "", *, physical: bool | None = None) -> int:
        return len(self.sent(match, physical=physical))

    def reads(self, *, physical: bool = True) -> list[tuple[int, int]]:
        """(address, length) of each memory read."""
        return [
            p.read
            for p in self.packets
            if p.direction == "to stub" and p.read and p.physical == physical
        ]

    # Inside: the thread

    def _serve(self) -> None:
        try:
            while not self._over.is_set():
                ready, _, _ = select.select([self._listener, self._wake], [], [])
                if self._wake in ready:
                    return
                gdb, _ = self._listener.accept()
                with _prompt(gdb):
                    self._connection(gdb)
        except BaseException as failure:
            self._failure = failure

    def _connection(self, gdb: socket.socket) -> None:
        try:
            stub = _connect(self._target)
        except OSError:
            return  # GDB sees its connection end
        with stub:
            self._link = link = _Link(gdb, stub)
            try:
                while True:
                    ready, _, _ = select.select([gdb, stub, self._wake], [], [])
                    if self._wake in ready:
                        return
                    for source in (s for s in (gdb, stub) if s in ready):
                        data = source.recv(1 << 16)
                        if not data:
                            return
                        if source is gdb:
                            link.from_gdb += data
                            for token in _tokens(link.from_gdb):
                                self._on_gdb(link, token)
                        else:
                            link.from_stub += data
                            for token in _tokens(link.from_stub):
                                self._on_stub(link, token)
            except (_Ended, OSError):
                return

    def _on_gdb(self, link: _Link, token: bytes) -> None:
        if link.ours is not None and token in (b"+", b"-"):  # about a reply that was ours
            if token == b"-":
                link.gdb.sendall(link.ours)
            else:
                link.ours = None
            return
        if token[:1] != b"$":
            link.stub.sendall(token)  # acks, Ctrl-C, whatever
            return
        payload = _decoded(token, runs=False)
        self._record("to stub", token, payload)
        link.spoil, link.asked = None, payload
        for action in self._actions(payload):
            if isinstance(action, Delay):
                self._over.wait(action.seconds)
            elif isinstance(action, Hold):
                while not (action.until.wait(0.1) or self._over.is_set()):
                    pass
            elif isinstance(action, Answer):
                link.ours = _packet(action.payload) if link.acks else None
                self._record("to gdb", reply := _packet(action.payload), action.payload)
                link.gdb.sendall(b"+" * link.acks + reply)
                return
            elif action == Cut("before"):
                raise _Ended
            else:
                link.spoil = action
        if payload.startswith(b"Qqemu.PhyMemMode:"):
            self._physical = payload.endswith(b"1")
        link.stub.sendall(token)
        if link.spoil == Cut("after"):
            self._wait_for_reply(link)
            raise _Ended

    def _on_stub(self, link: _Link, token: bytes) -> None:
        if token[:1] not in (b"$", b"%"):
            link.gdb.sendall(token)
            return
        payload = _decoded(token, runs=True)
        spoil, asked = link.spoil, link.asked
        if token[:1] == b"$":
            if asked == b"qqemu.PhyMemMode" and payload in (b"0", b"1"):
                self._physical = payload == b"1"
            if asked == b"QStartNoAckMode" and payload == b"OK":
                link.acks = False
            if spoil == Lose():
                return
            link.spoil = None
            if isinstance(spoil, Garble):
                token = _garbled(spoil, token, payload)
            elif isinstance(spoil, Replace):
                token = _packet(spoil.payload)
            elif spoil == Cut("middle"):
                link.gdb.sendall(token[: len(token) // 2])
                raise _Ended
        self._record("to gdb", token, payload)
        link.gdb.sendall(token)

    def _actions(self, payload: bytes) -> list[Action]:
        """The delays of the rules that this packet fires, and the first other action."""
        delays: list[Action] = []
        others: list[Action] = []
        for i, rule in enumerate(self._rules):
            if rule.physical and not self._physical:
                continue
            if not re.match(rule.match.encode("latin-1"), payload, re.DOTALL):
                continue
            self._matches[i] += 1
            kind = delays if isinstance(rule.action, (Delay, Hold)) else others
            if rule.nth in (0, self._matches[i]) and not (kind is others and others):
                self._fired[i] += 1
                kind.append(rule.action)
        return delays + others

    def _wait_for_reply(self, link: _Link) -> None:
        """Until the stub has surely done it: its ack alone may come before."""
        link.stub.settimeout(10)
        while b"#" not in link.stub.recv(1 << 16):
            pass

    def _record(
        self, direction: Literal["to stub", "to gdb"], token: bytes, payload: bytes
    ) -> None:
        self.packets.append(
            Packet(
                direction, payload, time.monotonic(), len(token), self._physical, token[:1] == b"%"
            )
        )


class _Ended(Exception):
    """A rule ends the connection."""


@dataclass
class _Link:
    """One connection: two sockets, what has come but not yet made a token, and the state."""

    gdb: socket.socket
    stub: socket.socket
    from_gdb: bytearray = field(default_factory=bytearray)
    from_stub: bytearray = field(default_factory=bytearray)
    acks: bool = True
    ours: bytes | None = None  # a reply that the stub knows nothing of, not yet acknowledged
    asked: bytes = b""  # what GDB sent last
    spoil: Action | None = None  # what is to happen to the reply


# A packet or notification with its two digits of checksum; or one byte: an ack, Ctrl-C, noise.
_TOKEN = re.compile(rb"[$%][^#]*#..|[^$%]", re.DOTALL)


def _tokens(buffer: bytearray) -> Sequence[bytes]:
    """Takes the complete tokens from the buffer."""
    found, at = [], 0
    while match := _TOKEN.match(buffer, at):
        found.append(match[0])
        at = match.end()
    del buffer[:at]
    return [bytes(token) for token in found]


def _decoded(token: bytes, runs: bool) -> bytes:
    """A packet's payload: } escapes a byte; in replies * repeats the one before it."""
    raw, plain, at = token[1:-3], bytearray(), 0
    while at < len(raw):
        if raw[at : at + 1] == b"}" and at + 1 < len(raw):
            plain.append(raw[at + 1] ^ 0x20)
            at += 2
        elif runs and raw[at : at + 1] == b"*" and plain and at + 1 < len(raw):
            plain += plain[-1:] * (raw[at + 1] - 29)
            at += 2
        else:
            plain.append(raw[at])
            at += 1
    return bytes(plain)


def _packet(payload: bytes) -> bytes:
    escaped = re.sub(rb"[#$}*]", lambda m: b"}" + bytes([m[0][0] ^ 0x20]), payload)
    return b"$%b#%02x" % (escaped, sum(escaped) & 0xFF)


def _garbled(how: Garble, token: bytes, payload: bytes) -> bytes:
    if how.what == "checksum":
        return token[:-2] + b"%02x" % (int(token[-2:], 16) ^ 0x5A)
    if how.what == "short":
        return _packet(payload[: len(payload) // 2])
    digits = bytes.maketrans(b"0123456789abcdef", b"fedcba9876543210")
    return _packet(payload.translate(digits))  # hex stays hex, and words become others


def _prompt(sock: socket.socket) -> socket.socket:
    if sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _connect(target: str) -> socket.socket:
    if "/" not in target:
        host, _, port = target.rpartition(":")
        return _prompt(socket.create_connection((host or "127.0.0.1", int(port)), timeout=None))
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.connect(target)
    except OSError:
        sock.close()
        raise
    return sock


class ProxiedMachine(BareMachine):
    """A bare machine whose GDB has ptmap and is attached through `.proxy`.

    All memory goes through it in `m` packets: ptmap's other ways are off.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(script=ptmap_script(), **arguments)
        self.session.disconnect()
        self.proxy = StubProxy(self.qemu.gdb_target)
        self.session.attach(self.proxy.gdb_target)
        only_m_packets(self.session)

    def __enter__(self) -> ProxiedMachine:
        return self

    def close(self) -> None:
        super().close()
        if hasattr(self, "proxy"):
            self.proxy.close()


def only_m_packets(session: GdbSession) -> None:
    """Keeps ptmap from reading QEMU's memory in any other way."""
    session.run("set ptmap memory packets")
    session.python(
        "from ptmap.machine.sources import pmemsave\n" "pmemsave.groups = lambda wanted: []"
    )
