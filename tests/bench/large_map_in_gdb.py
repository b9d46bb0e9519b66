"""Sourced by GDB: what large_map.py measures, one round at a time."""

import json
import time
from typing import Any, Callable

import gdb
from ptmap.machine.sources import packets, pmemsave


class Bench:
    def __init__(self, file: str) -> None:
        global bench
        bench = self
        self.file = file
        self.groups, self.packet = pmemsave.groups, packets.Packets._packet
        self.reads: list[tuple[int, int]] = []  # the m packets of one map

    def first(self) -> dict[str, Any]:
        """A session's first map by each way, what has to be found out included; and its size."""
        found: dict[str, Any] = {}
        for word in ("process", "packets"):
            gdb.execute(f"set ptmap memory {word}")
            found[word] = seconds(self.map)
        self.record()
        with open(self.file, encoding="ascii") as file:
            document = json.load(file)
        return found | {
            "bytes": sum(length for _, length in self.reads),
            "tables": document["tables"],
            "pages": document["pages"],
            "complete": document["complete"],
        }

    def round(self) -> dict[str, float]:
        """Seconds by row."""
        info_mem = lambda: gdb.execute("monitor info mem", to_string=True)  # noqa: E731
        found = {"info mem": seconds(info_mem)}
        self.use("process")
        found["process"] = seconds(self.map)
        self.use("packets")
        found["packets"] = seconds(self.map)
        self.use("packets", saves=False)
        found["m packets"] = seconds(self.map)
        found["bare m packets"] = seconds(self.bare)
        return found

    def map(self) -> None:
        gdb.execute(f"ptmap -json {self.file}", to_string=True)

    def bare(self) -> None:
        """The same packets, and nothing else."""
        connection = gdb.selected_inferior().connection
        connection.send_packet("Qqemu.PhyMemMode:1")
        for address, length in self.reads:
            connection.send_packet(f"m{address:x},{length:x}")
        connection.send_packet("Qqemu.PhyMemMode:0")

    def use(self, word: str, saves: bool = True) -> None:
        gdb.execute(f"set ptmap memory {word}")
        pmemsave.groups = self.groups if saves else lambda wanted: iter(())

    def record(self) -> None:
        def packet(source: Any, address: int, length: int) -> bytes | str:
            self.reads.append((address, length))
            return self.packet(source, address, length)

        packets.Packets._packet = packet
        try:
            self.use("packets", saves=False)
            self.map()
        finally:
            packets.Packets._packet = self.packet


bench: Bench


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
