"""Physical memory through a kernel's direct map, for stubs that read only virtual memory: kgdb.

It sends raw packets of a safe size: kgdb writes its answer to a buffer of 1024 characters without
a check. The line may be slow, so what was read is kept until the target runs. Ctrl-C does not end
the command: the rest stays unread and the command shows what it has. The same command, given
again, goes on from there.
"""

from __future__ import annotations

import re
import signal
from binascii import Error as HexError
from binascii import unhexlify
from typing import TYPE_CHECKING, Sequence

import gdb

from ...base import native
from ...base.errors import Refusal
from ...base.interval import Interval
from ...debugger import lookup, progress, settings
from ...linux import place
from ..remote import monitor, send, takes_packets
from .source import NOT_RAM, NotHere, Source, interrupted

if TYPE_CHECKING:
    from ..._core import Interrupted

_PACKET = 504  # bytes; kgdb has room for 511
_MAX_PHYSICAL = 1 << 52

# KDB's mdp: "phys 0x0000000000001000 0123456789abcdef 0123456789abcdef   ................" and, for
# lines that are all zeros, "0x0000000000001010-0x00000000000011ef zero suppressed".
_MDP_LINE = re.compile(r"^phys 0x([0-9a-f]+)((?: (?:[0-9a-f]{16}|[0-9a-f]{8}))+)   ", re.M)
_MDP_ZEROS = re.compile(r"^0x([0-9a-f]+)-0x([0-9a-f]+) zero suppressed", re.M)


def open_source(connection: gdb.TargetConnection | None) -> DirectMap:
    """A source that has begun. Error: NotHere if there is no stub, or no direct map."""
    if not takes_packets(connection):
        raise NotHere("there is no remote target through which to read the kernel's direct map")
    source = DirectMap(connection)
    source.begin()
    return source


class DirectMap(Source):
    name = "direct-map"
    keeps = True
    knows_ram = False  # the kernel's list lacks the RAM that firmware reserves

    def __init__(self, connection: gdb.RemoteTargetConnection) -> None:
        self._connection = connection
        self._requests = 0
        self._has_changed = True
        self._interrupted = False
        self._has_mdp: bool | None = None  # None: not asked yet
        self.place: place.Place | None = None
        self._doubt = ""  # if the direct map is not proved: why, as the end of a sentence
        self._base = 0  # the linear address of physical 0

    def describe(self) -> str:
        how = "by the kernel's symbols" if settings.get("direct-map") is None else "as set"
        return f"the kernel's direct map at {self._base:#x}, {how}{self._doubt}"

    @property
    def ram(self) -> list[Interval]:
        if self.place is not None:
            return list(self.place.ram)
        # From the base to the top of the linear addresses. A base below 4 GiB is a 32-bit kernel's.
        top = 1 << (32 if self._base < 1 << 32 else 64)
        return [Interval.until(0, min(_MAX_PHYSICAL, top - self._base))]

    @property
    def assumed(self) -> tuple[str, ...]:
        return (f"the direct map at {self._base:#x}",) if self.place is None else ()

    @property
    def requests(self) -> int:
        return self._requests

    @property
    def stub(self) -> place.Stub:
        """As linux/ reads it."""
        return place.Stub(self.virtual, lookup, progress)

    def changed(self) -> None:
        self._has_changed = True

    def begin(self) -> None:
        self._interrupted = False
        if not self._has_changed:
            return
        if self.place is None or not self.place.is_same(self.stub):
            self._find()
        self._has_changed = False

    def _find(self) -> None:
        given = settings.get("direct-map")
        if given is not None and given & 0xFFF:
            raise Refusal(f"`set ptmap direct-map {given:#x}`: a page begins at a multiple of 4096")
        self.place = None
        try:
            self.place = place.find(self.stub, pc(), given)
            self._base, self._doubt = self.place.page_offset, ""
        except place.Disproof as why:
            raise NotHere(str(why)) from None
        except Refusal as why:
            if given is None:
                raise NotHere(f"{why}; `set ptmap direct-map BASE` says where RAM is mapped")
            self._base, self._doubt = given, f", not proved: {why}"

    def _read(self, wanted: Sequence[tuple[int, int]]) -> list[bytes | str | Interrupted]:
        answers: list[bytes | str | Interrupted] = []
        for done, (address, length) in enumerate(wanted):
            progress.reading(done, len(wanted))
            answers.append(self._one(address, length))
        return answers

    def _one(self, address: int, length: int) -> bytes | str | Interrupted:
        if self._is_interrupted():
            return native.core.Interrupted()
        if not self.is_ram(address, length):
            return NOT_RAM
        if self.place is not None and address + length > self.place.end:
            return self._beyond(address, length)
        parts = []
        for at in range(address, address + length, _PACKET):
            if self._is_interrupted():
                return native.core.Interrupted()
            part = self.virtual(self._base + at, min(_PACKET, address + length - at))
            if part is None:
                return "the stub does not read it"
            parts.append(part)
        return b"".join(parts)

    def virtual(self, address: int, length: int) -> bytes | None:
        """One packet's worth of linear memory."""
        reply = send(self._connection, f"m{address:x},{length:x}") or b""
        self._requests += 1
        try:
            found = unhexlify(reply)
        except HexError:
            return None
        return found if len(found) == length else None

    def _is_interrupted(self) -> bool:
        """Whether Ctrl-C was pressed since the command began. This takes the signal away, so the
        command goes on with what has been read."""
        if interrupted():
            signal.sigtimedwait({signal.SIGINT}, 0)
            self._interrupted = True
        return self._interrupted

    # Above the direct map: 32-bit high memory

    def _beyond(self, address: int, length: int) -> bytes | str:
        end = self.place.end if self.place else 0
        if self._has_mdp is None:
            self._has_mdp = len(self._mdp(0, 8)) == 8
        found = self._mdp(address, length) if self._has_mdp else b""
        if len(found) == length:
            return found
        return f"above the direct map, which ends at {end:#x}"

    def _mdp(self, address: int, length: int) -> bytes:
        """By KDB's "memory display physical"; b"" if that does not work."""
        self._requests += 1
        text = monitor(f"mdp {address:#x} {length}") or ""
        found: dict[int, bytes] = {}
        for line in _MDP_LINE.finditer(text):
            words = line[2].split()
            found[int(line[1], 16)] = b"".join(bytes.fromhex(word)[::-1] for word in words)
        for zeros in _MDP_ZEROS.finditer(text):
            first, last = int(zeros[1], 16), int(zeros[2], 16)
            found[first] = bytes(min(last - first + 1, length))
        content = b""
        while address + len(content) in found and len(content) < length:
            content += found[address + len(content)]
        return content[:length]


def pc() -> int | None:
    """The selected CPU's program counter, if GDB knows it."""
    try:
        return int(gdb.newest_frame().pc())
    except gdb.error:
        return None
