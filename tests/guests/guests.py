"""Named guests: real kernels on known CPUs with one process each. boot() starts one.

For tests, examples and benchmarks alike; a person calls the script `boot` beside this file.
"""

from __future__ import annotations

import re
import socket
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, Literal, Sequence

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "harness"))

import saved
from initramfs import Width, initramfs
from kernels import fetch
from qemu import Qemu, QemuError

# A panic reboots at once and -no-reboot turns that into QEMU's end, so nothing waits for it.
# The self-tests of the kernel's ciphers are a third of a 32-bit kernel's start. On a busy host
# timer interrupts come too late for the kernel's check of them. KASLR is left as people have it.
_COMMAND_LINE = "console=ttyS0 panic=-1 cryptomgr.notests no_timer_check ask=1"
_ASKS = "init: which words?"
# These words are init's, who is asked for them when the kernel has booted (init.c); others are the
# kernel's.
_OF_INIT = frozenset(
    "big child clocks crash dump exec files kcore kgdb modules pagemap ps remap smp stay swap "
    "symbols vdso_copy vdso_sum vdso_touch vvar_touch".split()
)
_IN_DEBUGGER = "Entering kdb"  # on the console, when the kernel's debugger waits
_SYSRQ_G = "sysrq: DEBUG"


@dataclass(frozen=True)
class Guest:
    shows: str  # what one sees in it
    kernel: str  # of kernels.KERNELS
    cpu: str
    width: Width = 64  # of its init
    memory: str = "512M"
    append: str = ""  # more kernel command line
    qemu: str = "qemu-system-x86_64"
    machine: str = "pc"
    args: tuple[str, ...] = ()  # more QEMU arguments
    cpus: int = 1  # two: a second process spins on the second one


_I386 = "qemu-system-i386"  # gives GDB 32-bit registers, as the CPU has them
_PAE = "qemu32,+pae,+nx"

GUESTS = {
    "686": Guest("32-bit, no PAE, all RAM in lowmem", "686", "pentium3", 32, qemu=_I386),
    "686-2g": Guest("32-bit, no PAE, high memory", "686", "pentium3", 32, "2G", qemu=_I386),
    "686-pae": Guest("PAE, NX, KPTI as Linux chooses", "686-pae", _PAE, 32, "1G"),
    "686-pae-pti": Guest("PAE, NX, KPTI on", "686-pae", _PAE, 32, "1G", "pti=on"),
    "686-pae-nopti": Guest("PAE, NX, KPTI off", "686-pae", _PAE, 32, "1G", "pti=off"),
    "4-level": Guest("4-level, no KPTI (an AMD CPU)", "amd64", "qemu64"),
    "4-level-pti": Guest("4-level, KPTI on", "amd64", "qemu64", append="pti=on"),
    "5-level": Guest("5-level", "amd64", "qemu64,+la57"),
    "max": Guest(
        "4-level, 1 GiB pages, SMEP, SMAP, PKE, RAM above 4 GiB",
        "amd64",
        "max,-la57",
        memory="8G",
        machine="q35",
    ),
    "compat": Guest("a 32-bit process on a 64-bit kernel", "amd64", "qemu64", 32),
    "smp": Guest("two CPUs, a process with a root of its own on each", "amd64", "qemu64", cpus=2),
    # Newer kernels, for maps and the vDSO without symbols.
    "4-level-6.12": Guest("Linux 6.12, 4-level, no KPTI", "amd64-6.12", "qemu64"),
    "4-level-pti-6.12": Guest(
        "Linux 6.12, 4-level, KPTI on", "amd64-6.12", "qemu64", append="pti=on"
    ),
    "5-level-6.12": Guest("Linux 6.12, 5-level", "amd64-6.12", "qemu64,+la57"),
    "4-level-sid": Guest("Debian sid's Linux, 4-level, no KPTI", "amd64-sid", "qemu64"),
    "4-level-pti-sid": Guest(
        "Debian sid's Linux, 4-level, KPTI on", "amd64-sid", "qemu64", append="pti=on"
    ),
    "5-level-sid": Guest("Debian sid's Linux, 5-level", "amd64-sid", "qemu64,+la57"),
    # With their vmlinux and modules: what symbols and versions tell.
    "4-level-pti-dbg": Guest("4-level, KPTI on, symbols", "amd64-dbg", "qemu64", append="pti=on"),
    "4-level-6.12-dbg": Guest("Linux 6.12, 4-level, symbols", "amd64-6.12-dbg", "qemu64"),
    "4-level-pti-6.12-dbg": Guest(
        "Linux 6.12, 4-level, KPTI on, symbols", "amd64-6.12-dbg", "qemu64", append="pti=on"
    ),
    "5-level-6.12-dbg": Guest("Linux 6.12, 5-level, symbols", "amd64-6.12-dbg", "qemu64,+la57"),
    "smp-6.12-dbg": Guest("Linux 6.12, two CPUs, symbols", "amd64-6.12-dbg", "qemu64", cpus=2),
    "4-level-sid-dbg": Guest("Debian sid's Linux, 4-level, symbols", "amd64-sid-dbg", "qemu64"),
    "4-level-pti-sid-dbg": Guest(
        "Debian sid's Linux, 4-level, KPTI on, symbols", "amd64-sid-dbg", "qemu64", append="pti=on"
    ),
    "smp-sid-dbg": Guest(
        "Debian sid's Linux, two CPUs, symbols", "amd64-sid-dbg", "qemu64", cpus=2
    ),
    "compat-sid-dbg": Guest(
        "Debian sid's Linux, a 32-bit process, symbols", "amd64-sid-dbg", "qemu64", 32
    ),
    "686-dbg": Guest("32-bit, no PAE, symbols", "686-dbg", "pentium3", 32, qemu=_I386),
    "686-pae-dbg": Guest("PAE, NX, symbols", "686-pae-dbg", _PAE, 32, "1G"),
    # Built from source: kgdb, a vmlinux with debug information, the kernel's dump of its tables.
    "kgdb-64": Guest("4-level, KPTI, KASLR", "kgdb-64", "qemu64", append="pti=on"),
    "kgdb-64-5level": Guest("5-level, KPTI, KASLR", "kgdb-64", "qemu64,+la57", append="pti=on"),
    "kgdb-64-nokaslr": Guest(
        "4-level, KPTI, no KASLR: symbols are right as vmlinux has them",
        "kgdb-64",
        "qemu64",
        append="nokaslr pti=on",
    ),
    "x32": Guest(
        "an x32 process: 64-bit code, 32-bit addresses", "kgdb-64", "qemu64", "x32", append="pti=on"
    ),
    "kgdb-pae": Guest(
        "PAE, NX, KPTI, the space split at 2 GiB", "kgdb-pae", _PAE, 32, "1G", append="pti=on"
    ),
}

Where = Literal["ready", "kernel", "running"]


def boot(
    name: str,
    *,
    paused_at: Where = "ready",
    append: str = "",
    ram_file: bool = False,
    extra_args: Sequence[str] = (),
    kgdb: bool = False,
    anew: bool = False,
) -> Qemu:
    """A guest of GUESTS whose process has mapped its memory (init.c says what).

    paused_at  "ready": stopped in user mode, in that process's spin loop
               "kernel": stopped in kernel mode, the process waiting and its root in CR3
               "running": not stopped; the process spins
    append     more words for the kernel's command line; "big=4096 dump=1" are for init (init.c)
    kgdb       of a kgdb- guest: its process enters the kernel's own debugger, which answers on the
               second serial line (kgdb_target()) as long as QEMU is not stopped; instead of
               paused_at
    anew       really boots: what is random differs each time. Else it goes on where an earlier
               boot() has saved it, before the process has mapped anything (saved.py)

    GuestError when the kernel cannot be had, QemuError when the guest does not get there.
    """
    guest = GUESTS[name]
    stay = "stay=kernel" if paused_at == "kernel" else ""
    both = "smp=1" if guest.cpus > 1 else ""
    debugger = "kgdboc=ttyS1 kgdb=1" if kgdb else ""
    words = " ".join([_COMMAND_LINE, guest.append, both, stay, debugger, append]).split()
    of_init = [word for word in words if word.partition("=")[0] in _OF_INIT]
    of_kernel = [word for word in words if word not in of_init]
    kernel = fetch(guest.kernel)
    files = {f"modules/{one.name}": one for one in sorted(kernel.parent.glob("modules/*.ko"))}
    if "crash=1" in of_init:
        files |= {"crash/kernel": kernel, "crash/initramfs": initramfs(guest.width)}
    archive = initramfs(guest.width, files)
    args = [
        *("-cpu", guest.cpu),
        *("-kernel", str(kernel)),
        *("-initrd", str(archive)),
        *("-append", " ".join(of_kernel)),
        *("-smp", str(guest.cpus)),
        *guest.args,
        *extra_args,
    ]

    def start(folder: Path | None) -> Qemu:
        qemu = Qemu(
            args,
            binary=guest.qemu,
            machine=guest.machine,
            memory=guest.memory,
            paused=False,
            ram_file=ram_file,
            serial_lines=2,
            saved=folder,
        )
        if folder is None:
            with _ended_by_errors(qemu):
                qemu.wait_line(_ASKS)
                qemu.stop_cpus()
        return qemu

    # QEMU reads all of a RAM file to find what is not zero, and what was read takes memory.
    if anew or ram_file and guest.memory not in ("512M", "1G"):
        qemu = start(None)
    else:
        made_of = [saved.version(guest.qemu), guest.machine, guest.memory, f"{ram_file} {kgdb}"]
        qemu = saved.begun(
            name, [*made_of, saved.stamp(kernel), saved.stamp(archive), *args], start
        )
    with _ended_by_errors(qemu):
        qemu.cont()
        qemu.answer(" ".join(of_init), "init: ready", serial=1)
        if kgdb:
            qemu.wait_line(_IN_DEBUGGER)
        else:
            stop(qemu, name, paused_at)
    return qemu


@contextmanager
def _ended_by_errors(qemu: Qemu) -> Iterator[None]:
    try:
        yield
    except BaseException:
        qemu.close()
        raise


def kgdb_target(qemu: Qemu) -> str:
    """Where GDB's `target remote` finds the kernel's debugger. A UNIX socket: on a TCP port without
    nodelay, which is what `-serial tcp:` gives, every answer takes 40 ms."""
    return str(qemu.serial_path(1))


def break_in(qemu: Qemu) -> None:
    """Enter the kernel's debugger again, in a guest that GDB has continued: SysRq g on the console,
    where a break is the key SysRq."""
    before = qemu.console().count(_SYSRQ_G)
    with socket.socket(socket.AF_UNIX) as console:
        console.connect(str(qemu.serial_path(0)))
        qemu.qmp("chardev-send-break", id="serial0")
        console.sendall(b"g")
        deadline = time.monotonic() + 60
        while qemu.console().count(_SYSRQ_G) == before:
            if time.monotonic() > deadline or not qemu.running:
                raise QemuError("the guest does not enter its debugger by SysRq g")
            time.sleep(0.01)


def stop(qemu: Qemu, name: str, paused_at: Where) -> None:
    """Stop a guest that runs, as boot() does."""
    if paused_at == "kernel":
        _stop_where(qemu, "CPL=0 .* HLT=1", 1)
    elif paused_at == "ready":
        _stop_where(qemu, "CPL=3 ", GUESTS[name].cpus)


def _stop_where(qemu: Qemu, state: str, cpus: int) -> None:
    """Stop the first CPUs in this state; one may be in an interrupt, or still on its way there."""
    for attempt in range(50):
        qemu.stop_cpus()
        registers = re.split(r"^CPU#\d+$", qemu.hmp("info registers -a"), flags=re.M)[1:]
        if all(re.search(state, of_cpu) for of_cpu in registers[:cpus]):
            return
        qemu.cont()
        time.sleep(0.002 * attempt)
    raise QemuError(f"the guest did not stop with {state} in 50 attempts")
