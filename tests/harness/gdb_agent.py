"""Runs inside GDB: serves a GdbSession's requests until the other end closes.

Requests and answers are lines of JSON over the inherited socket PTMAP_AGENT_FD. Bytes travel as
Latin-1 text. An answer is {"value": ...} or {"error": message, "kind": exception class}.
"""

import json
import os
import select
import socket
from typing import Any, Callable

import gdb


def _run(command: str) -> str:
    return gdb.execute(command, False, True)


def _eval(expression: str) -> int:
    return int(gdb.parse_and_eval(expression))


def _packets(packets: list[str]) -> list[str | None]:
    connection = gdb.selected_inferior().connection
    if not hasattr(connection, "send_packet"):
        raise gdb.error("not connected to a remote target")
    answers = [connection.send_packet(packet.encode("latin-1")) for packet in packets]
    return [None if answer is None else answer.decode("latin-1") for answer in answers]


def _python(code: str) -> Any:
    """Execute code; what it leaves in `result` (something JSON can carry) is the answer."""
    scope: dict[str, Any] = {"gdb": gdb, "result": None}
    exec(compile(code, "<session.python>", "exec"), scope)
    return scope["result"]


OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "run": _run,
    "eval": _eval,
    "packets": _packets,
    "python": _python,
}


def _answer(request: str) -> str:
    try:
        operation, argument = json.loads(request)
        return json.dumps({"value": OPERATIONS[operation](argument)})
    except (Exception, KeyboardInterrupt) as problem:
        return json.dumps({"error": str(problem), "kind": type(problem).__name__})


def serve() -> None:
    channel = socket.socket(fileno=int(os.environ["PTMAP_AGENT_FD"]))
    stream = channel.makefile("rwb")
    while True:
        try:
            # Wait apart from reading: a Ctrl-C in readline would lose what it has read.
            select.select([channel], [], [])
            request = stream.readline()
        except KeyboardInterrupt:  # a Ctrl-C that came between two commands
            continue
        if not request:
            break
        stream.write(_answer(request.decode()).encode() + b"\n")
        stream.flush()
    try:  # leaving GDB while connected would resume the guest
        if gdb.selected_inferior().connection is not None:
            gdb.execute("disconnect", False, True)
    except gdb.error:
        pass


serve()
