"""The QEMU process as the source of memory: used where it is proved to be the machine, and nowhere
else; and what it gives is what packets give."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import socket
import subprocess
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Iterator, Sequence

import pytest

from confine import NOBODY, forbid_process_reads
from gdbsession import GdbFailure, GdbSession, memory_shown, ptmap_script
from impostor import Impostor
from machine import BareMachine
from tables import GIB1, MIB2, P, RW, Tables

UNSEEN = "the process at the other end of the connection cannot be seen from here"
MEMFD = ["-object", "memory-backend-memfd,id=ram,size=64M", "-machine", "memory-backend=ram"]
root_only = pytest.mark.skipif(os.getuid() != 0, reason="only root can start others' processes")


def bare(**arguments: Any) -> BareMachine:
    return BareMachine(script=ptmap_script(), **{"ram_file": False, **arguments})


def some_tables(seed: int = 0, at: int = 0x1000) -> Tables:
    """Tables of all levels, a large page, frames outside RAM; each seed has other ones."""
    space = Tables("4-level", at)
    for i in range(20):
        space.map((seed * 64 + i) * MIB2, 0x100000 + 4096 * (i + seed))
    space.map(GIB1 * 9, MIB2 * 3, MIB2)
    space.map(GIB1 * 10, 0xFEC00000)  # the I/O APIC
    space.set(space.table_for(0, 2), 300, 0xFEE00000 | P | RW)  # a table in a device
    space.set(space.table_for(0, 2), 301, 0xFFFF0000 | P | RW)  # a table in ROM
    space.set(space.root, 511, space.root | P | RW)
    return space


def use(machine: BareMachine, space: Tables) -> None:
    space.write_to(machine)
    machine.set_mode("4-level", space.root)


def shown(session: GdbSession) -> tuple[str, str]:
    """The source in use, and all that `show ptmap memory` says."""
    text = memory_shown(session)
    found = re.match(r"ptmap memory is auto: (\S+)\n", text)
    assert found, text
    return found[1], text


def state(machine: BareMachine) -> tuple[str, bytes | None]:
    """RAM where the tables are, and registers."""
    ram = machine.read_phys(0, 0x20000)
    assert ram and any(ram)
    return hashlib.sha256(ram).hexdigest(), machine.session.packet(b"g")


def both_ways(session: GdbSession) -> str:
    """What `ptmap -json -` and others print, now and by packets: the same."""
    answers = []
    for word in ("auto", "packets"):
        session.run(f"set ptmap memory {word}")
        answers.append(
            [
                session.run(command)
                for command in (
                    "ptmap -json -",
                    "ptmap -ranges",
                    "pte -json - 0x1000",
                    "ptmap 0 0x400000 -json -",
                )
            ]
        )
    session.run("set ptmap memory auto")
    assert answers[0] == answers[1]
    return str(answers[0][0])


def check(machine: BareMachine, source: str, *said: str) -> str:
    """This source is used, for these reasons; it is right, and the machine untouched."""
    before = state(machine)
    document = both_ways(machine.session)
    assert state(machine) == before
    name, text = shown(machine.session)
    assert name == source, text
    for words in said:
        assert words in text
    return document


# The process is the machine


def test_three_qemus() -> None:
    """Each GDB reads its own, and one GDB with three inferiors each of the three."""
    with ExitStack() as stack:
        machines = [stack.enter_context(bare(tcp=tcp)) for tcp in ("127.0.0.1", None, None)]
        documents = []
        for seed, machine in enumerate(machines):
            use(machine, some_tables(seed))
            documents.append(check(machine, "process", f"QEMU process {machine.qemu.pid}, "))
        assert len(set(documents)) == 3
        for machine in machines:
            machine.session.disconnect()
        session = stack.enter_context(GdbSession(script=ptmap_script()))
        for number, machine in enumerate(machines, 1):
            if number > 1:
                session.run("add-inferior -no-connection")
                session.run(f"inferior {number}")
            session.run(f"target extended-remote {machine.qemu.gdb_target}")
        for number in (3, 1, 2, 1):
            session.run(f"inferior {number}")
            assert session.run("ptmap -json -") == documents[number - 1]
            assert f"QEMU process {machines[number - 1].qemu.pid}, " in shown(session)[1]


def has_localhost() -> bool:
    """A bare tree has no /etc/hosts; GDB takes an empty name for that one."""
    try:
        return bool(socket.gethostbyname("localhost"))
    except OSError:
        return False


@pytest.mark.parametrize(
    "listen, connect",
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", ""),
        ("::1", "[::1]"),
        ("::", "127.0.0.1"),
        ("::", "[::1]"),
        ("127.0.0.1", "tcp:localhost"),
    ],
)
def test_tcp(listen: str, connect: str) -> None:
    if connect in ("", "tcp:localhost") and not has_localhost():
        pytest.skip("localhost is not known here")
    with bare(tcp=listen) as machine:
        use(machine, some_tables())
        machine.session.disconnect()
        machine.session.attach(f"{connect}:{machine.qemu.gdb_port}")
        check(machine, "process", f"QEMU process {machine.qemu.pid}, ")


def test_relative_path(tmp_path: Path) -> None:
    with bare() as machine:
        use(machine, some_tables())
        machine.session.disconnect()
        (tmp_path / "link").symlink_to(machine.qemu.gdb_target)
        machine.session.run(f"cd {tmp_path}")
        machine.session.attach("link")
        check(machine, "process")


@pytest.mark.parametrize(
    "machine, args, blocks",
    [
        ("pc", [], ""),
        ("pc", MEMFD, ""),
        (
            "pc",
            [
                "-object",
                "memory-backend-file,id=ram,size=64M,share=off,mem-path={dir}/private",
                "-machine",
                "memory-backend=ram",
            ],
            "",
        ),
        ("q35", ["-device", "VGA"], ""),
    ],
)
def test_kinds_of_ram(tmp_path: Path, machine: str, args: Sequence[str], blocks: str) -> None:
    args = [arg.format(dir=tmp_path) for arg in args]
    with bare(machine=machine, args=args) as bare_machine:
        use(bare_machine, some_tables())
        check(bare_machine, "process", f"QEMU process {bare_machine.qemu.pid}, ")


def test_above_the_hole() -> None:
    """RAM in two parts, tables in both, one of them right below 3 GiB's hole."""
    with bare(machine="q35", memory="4G") as machine:
        hole = 0x80000000
        space = some_tables()
        high = Tables("4-level", 0x100000000)
        high.map(0, 0x100000)
        space.set(space.root, 5, high.table_for(0, 3) | P | RW)
        space.set(space.root, 6, hole - 4096 | P | RW)
        space.set(space.root, 7, hole | P | RW)  # not RAM
        high.write_to(machine)
        use(machine, space)
        document = check(machine, "process")
        assert '"complete": false' in document


DIMM_AT = 0x100000000


def plug_dimm(machine: BareMachine, kind: str) -> Tables:
    """A DIMM that holds tables from now on."""
    machine.qemu.qmp(
        "object-add", **{"qom-type": f"memory-backend-{kind}", "id": "more", "size": 128 << 20}
    )
    machine.qemu.qmp("device_add", driver="pc-dimm", id="dimm", memdev="more")
    space = Tables("4-level", DIMM_AT)
    space.map(0, 0x100000)
    pages = sorted(space.pages.items())
    machine._physically(
        lambda: [
            machine._packet(f"M{page + at:x},400:{bytes(data[at:at + 0x400]).hex()}")
            for page, data in pages
            for at in range(0, 0x1000, 0x400)
        ]
    )
    return space


def test_memory_that_comes() -> None:
    """A DIMM plugged in between two commands holds tables."""
    with bare(memory="64M,slots=4,maxmem=4G") as machine:
        use(machine, some_tables())
        check(machine, "process")
        before = shown(machine.session)[1]
        machine.set_mode("4-level", plug_dimm(machine, "ram").root)
        first = machine.session.run("ptmap -json -")  # begins with the choice of before
        assert check(machine, "process") == first
        assert '"complete": true' in first
        assert shown(machine.session)[1].splitlines()[1] != before.splitlines()[1]


def test_said_nowhere_else() -> None:
    """No noise: nothing is printed by the way, whatever is used."""
    with bare() as machine:
        use(machine, some_tables())
        before = machine.session.log
        machine.session.run("ptmap")
        assert machine.session.log == before


# It is not, or it cannot be proved


def socat(stack: ExitStack, to: str) -> str:
    """A socat's address that leads to this UNIX socket."""
    process = subprocess.Popen(
        ["socat", "-d", "-d", "TCP-LISTEN:0,bind=127.0.0.1", f"UNIX-CONNECT:{to}"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    stack.callback(process.communicate)
    stack.callback(process.kill)
    assert process.stderr is not None
    for line in process.stderr:
        found = re.search(r"listening on .*:(\d+)", line)
        if found:
            return f"127.0.0.1:{found[1]}"
    raise AssertionError("socat does not listen")


def test_forwarded_by_socat() -> None:
    with bare() as machine, ExitStack() as stack:
        use(machine, some_tables())
        machine.session.disconnect()
        machine.session.attach(socat(stack, machine.qemu.gdb_target))
        check(
            machine,
            "packets",
            "not process: process ",
            "(socat) at the other end is not this machine\n",
        )
        with pytest.raises(GdbFailure, match="`set ptmap memory process`: process "):
            machine.session.run("set ptmap memory process")
            machine.session.run("ptmap")


def places(machine: BareMachine) -> list[tuple[int, int]]:
    """(host address, length) of all RAM and ROM, each byte once: firmware is mapped twice."""
    found: list[tuple[int, int]] = []
    for region in machine.regions:
        if region.kind in ("ram", "rom", "romd"):
            address = re.search(r"is 0x([0-9a-f]+)", machine.hmp(f"gpa2hva {region.start:#x}"))
            assert address
            found.append((int(address[1], 16), region.size))
    merged: list[tuple[int, int]] = []
    for start, size in sorted(found):
        if merged and start <= sum(merged[-1]):
            first = merged[-1][0]
            merged[-1] = (first, max(sum(merged[-1]), start + size) - first)
        else:
            merged.append((start, size))
    return merged


def test_an_impostor_with_memory_at_the_same_addresses() -> None:
    """As another QEMU may be, whose guest runs the one that GDB talks to."""
    with bare() as machine:
        use(machine, some_tables())
        machine.session.disconnect()
        path = machine.qemu.dir / "impostor"
        with Impostor(path, machine.qemu.gdb_target, places(machine)) as impostor:
            machine.session.attach(str(path))
            check(
                machine,
                "packets",
                f"not process: process {impostor.pid} (",
                "at the other end is not this machine: it has other bytes at 0x",
            )
            machine.session.disconnect()


def test_several_hold_the_connection() -> None:
    with bare() as machine:
        use(machine, some_tables())
        check(machine, "process")
        connection = machine.session.python(
            "from ptmap.machine.sources import peer\n"
            "result = peer.find(gdb.selected_inferior().connection).descriptor"
        )
        descriptor = taken_from(machine.qemu.pid, connection)
        try:
            machine.session.run("set ptmap memory packets")
            machine.session.run("set ptmap memory auto")
            check(machine, "packets", "several processes hold the other end of the connection")
        finally:
            os.close(descriptor)


def taken_from(pid: int, descriptor: int) -> int:
    """A copy of another process's descriptor (pidfd_getfd)."""
    libc = ctypes.CDLL(None, use_errno=True)
    process = os.pidfd_open(pid)
    copy = int(libc.syscall(438, process, descriptor, 0))
    os.close(process)
    if copy < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return copy


@pytest.mark.parametrize(
    "prefix, why", [(["--mount-proc"], UNSEEN), ([], "/proc belongs to another PID namespace")]
)
def test_another_pid_namespace(prefix: list[str], why: str) -> None:
    unshare = ["unshare", *([] if os.getuid() == 0 else ["-Ur"]), "-fp", *prefix]
    if subprocess.run([*unshare, "true"]).returncode:
        pytest.skip("no such namespaces here: in a chroot / is no mount point")
    with bare(prefix=unshare) as machine:
        use(machine, some_tables())
        check(machine, "packets", f"not process: {why}\n")


def as_user(uid: int) -> list[str]:
    """A command that runs another under this uid; it may read files, for the tree's sake."""
    return [
        "setpriv",
        f"--reuid={uid}",
        f"--regid={uid}",
        "--clear-groups",
        "--inh-caps=+dac_read_search",
        "--ambient-caps=+dac_read_search",
    ]


@root_only
def test_no_root_needed() -> None:
    with bare(tcp="127.0.0.1", user=NOBODY, prefix=as_user(NOBODY)) as machine:
        use(machine, some_tables())
        check(machine, "process", f"QEMU process {machine.qemu.pid}, ")


@root_only
@pytest.mark.parametrize("user", [0, NOBODY - 1])
def test_another_users_qemu(user: int) -> None:
    with bare(tcp="127.0.0.1", user=user, prefix=as_user(NOBODY)) as machine:
        use(machine, some_tables())
        check(machine, "packets", f"not process: {UNSEEN}\n")


# process_vm_readv is forbidden (Yama's ptrace_scope 1)


def forbidden(machine: BareMachine) -> str:
    return f"not permitted to read QEMU process {machine.qemu.pid}: " "ptrace_scope or another user"


def test_forbidden() -> None:
    with bare(confine=forbid_process_reads) as machine:
        use(machine, some_tables())
        check(machine, "packets", f"not process: {forbidden(machine)}\n")


@contextmanager
def ram_in(kind: str, folder: Path) -> Iterator[BareMachine]:
    args = {"memfd": MEMFD, "file": [], "deleted file": []}.get(kind)
    if args is None:
        args = [
            "-object",
            f"memory-backend-file,id=ram,size=64M,mem-path={folder}/ram,{kind}",
            "-machine",
            "memory-backend=ram",
        ]
    with bare(
        args=args, ram_file="file" in kind and "=" not in kind, confine=forbid_process_reads
    ) as machine:
        if kind == "deleted file":
            assert machine.qemu.ram_path is not None
            machine.qemu.ram_path.unlink()
        yield machine


@pytest.mark.parametrize("kind", ["memfd", "file", "deleted file"])
def test_forbidden_but_ram_is_shared(kind: str, tmp_path: Path) -> None:
    with ram_in(kind, tmp_path) as machine:
        use(machine, some_tables())
        check(
            machine,
            "process",
            f"RAM files of QEMU process {machine.qemu.pid}, ",
            f"the others by packets ({forbidden(machine)})\n",
        )


def test_forbidden_and_a_private_file(tmp_path: Path) -> None:
    """The file never has what the guest wrote."""
    with ram_in("share=off", tmp_path) as machine:
        use(machine, some_tables())
        assert (tmp_path / "ram").stat().st_size == 64 << 20
        check(machine, "packets", f"not process: {forbidden(machine)}\n")


def test_two_ram_files() -> None:
    """A DIMM with a memfd of its own, plugged in between two commands."""
    with bare(args=MEMFD, memory="64M,slots=4,maxmem=4G", confine=forbid_process_reads) as machine:
        use(machine, some_tables())
        check(machine, "process", "RAM files of QEMU process ")
        space = some_tables()
        space.set(space.root, 5, plug_dimm(machine, "memfd").table_for(0, 3) | P | RW)
        use(machine, space)
        first = machine.session.run("ptmap -json -")
        assert check(machine, "process", "RAM files of QEMU process ") == first


def test_a_ram_file_cut_short() -> None:
    """No crash: what was cut off is not readable. QEMU itself would not survive reading it."""
    with bare(ram_file=True, confine=forbid_process_reads) as machine:
        use(machine, some_tables())
        check(machine, "process")
        assert machine.qemu.ram_path is not None
        os.truncate(machine.qemu.ram_path, 0x2000)
        answers = machine.session.python(
            """
from ptmap.machine import target
memory = target.memory()
with memory.reading():
    result = [a if isinstance(a, str) else len(a) for a in memory([(0x1000, 4096), (0x2000, 8)])]
"""
        )
        assert answers == [4096, "the RAM file ends before it"]


# The end of the process


def test_qemu_ends_between_two_commands() -> None:
    with bare() as machine, bare() as other:
        use(machine, some_tables())
        use(other, some_tables(1))
        check(machine, "process")
        other.session.disconnect()
        machine.qemu.close()
        with pytest.raises(GdbFailure) as failure:
            machine.session.run("ptmap")
        assert failure.value.kind in ("error", "GdbError"), str(failure.value)
        if machine.session.python("result = gdb.selected_inferior().connection is not None"):
            machine.session.disconnect()
        machine.session.attach(other.qemu.gdb_target)
        assert f"QEMU process {other.qemu.pid}, " in shown(machine.session)[1]
        both_ways(machine.session)


def test_qemu_ends_during_a_read() -> None:
    with bare() as machine:
        use(machine, some_tables())
        check(machine, "process")
        answer = machine.session.python(
            f"""
import os, signal
from ptmap.machine import target
from ptmap.base.errors import Refusal
memory = target.memory()
try:
    with memory.reading():
        first = memory([(0x1000, 8)])
        os.kill({machine.qemu.pid}, signal.SIGKILL)
        while True:
            memory.core.forget()
            memory([(0x1000, 4096), (0x2000, 4096)])
except Refusal as why:
    result = [isinstance(first[0], bytes), str(why)]
"""
        )
        assert answer == [True, f"QEMU process {machine.qemu.pid} has ended"]
