"""The CPU as judge: a kernel makes every access for real, and pte must have said what came of it.

The kernel (judge.c, whose head describes its lines) stops in every state of the registers, after it
has told over the serial line how each access to each of its addresses went. At that stop pte is
asked about the same addresses. Where QEMU's emulation is not what Intel's manual (SDM) says,
DEPARTURES has the case; there the outcome must be exactly that departure, and pte's the SDM's.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Iterator

import pytest

import compare
import judges
from gdbsession import REPOSITORY, GdbSession, ptmap_script
from qemu import Qemu

OUT = REPOSITORY / "build" / "cpu_judge"

# SDM vol. 3A, 4.7: a page fault's error code.
P, W, U, RSVD, I, PK = 1, 2, 4, 8, 16, 32
CR4_PAE, CR4_SMEP, EFER_NXE = 1 << 5, 1 << 20, 1 << 11


@dataclass(frozen=True)
class Boot:
    """One run of the kernel: all the modes that a CPU has for it."""

    cpu: str
    model: str  # QEMU's -cpu
    image: str
    modes: dict[str, tuple[int, int]]  # stops there must be, error-code bits that must be seen


# Longest first: they run two at a time.
BOOTS = (
    Boot("max", "max", "judge64", {"5-level": (96, P | W | U | RSVD | I | PK)}),
    Boot("max", "max,-la57", "judge64", {"4-level": (96, P | W | U | RSVD | I | PK)}),
    Boot(
        "max",
        "max",
        "judge32",
        {
            "32-bit": (32, P | W | U | I),
            "PSE": (32, P | W | U | RSVD | I),
            "PAE": (99, P | W | U | RSVD | I),
        },
    ),
    # No 1 GiB pages, no SMEP, SMAP, PKE.
    Boot("qemu64", "qemu64", "judge64", {"4-level": (4, P | W | U | RSVD | I)}),
    # MAXPHYADDR is 36.
    Boot(
        "qemu32 with PAE, NX",
        "qemu32,+pae,+nx",
        "judge32",
        {"32-bit": (4, P | W | U), "PSE": (4, P | W | U | RSVD), "PAE": (7, P | W | U | RSVD | I)},
    ),
    # PAE without NX.
    Boot(
        "pentium3",
        "pentium3",
        "judge32",
        {"32-bit": (2, P | W | U), "PSE": (2, P | W | U | RSVD), "PAE": (5, P | W | U | RSVD)},
    ),
    # PSE without PSE-36.
    Boot("pentium", "pentium", "judge32", {"32-bit": (2, P | W | U), "PSE": (2, P | W | U | RSVD)}),
    # As near to a 386 as QEMU gets; CR0.WP is the 486's.
    Boot("486 without PSE", "486,-pse", "judge32", {"32-bit": (2, P | W | U)}),
)

ACCESSES = [(mode, access) for mode in ("kernel", "user") for access in ("read", "write", "fetch")]
STACK = [(mode, "stack") for mode in ("kernel", "user")]
LOAD = ("kernel", "load")


@dataclass(frozen=True)
class Departure:
    """Where QEMU 7.2's TCG is not the SDM. pte must say `sdm` there, whatever the CPU does, and
    the CPU either that or precisely the other thing."""

    name: str
    section: str
    why: str
    cpus: str  # these are regular expressions, matched in full
    mode: str
    case: str
    access: str
    sdm: str  # what pte has to say; "RSVD" is a #PF with P, RSVD and the access's own bits
    cpu: str = ""  # what TCG does
    as_if_ok: bool = False  # or: what it does at the same page with nothing odd


DEPARTURES = (
    Departure(
        "pdpte-loads",
        "vol. 3A, 4.4.1",
        "MOV CR3 raises #GP(0) if a present PDPTE has a reserved bit; TCG has no PDPTE registers "
        "and loads any root",
        ".*",
        "PAE",
        "4K/user/PDPTE:(bit-1|maxphyaddr|bit-63)",
        "load",
        sdm="#GP:0x0",
        cpu="ok",
    ),
    Departure(
        "pdpte-faults",
        "vol. 3A, 4.4.1 and 4.7",
        "PDPTEs were checked when CR3 was loaded and no page fault reports their reserved bits; "
        "TCG reads them in each walk and reports 63:MAXPHYADDR (not 2:1 and 8:5) then",
        ".*",
        "PAE",
        "4K/user/PDPTE:bit-63",
        "read|write|fetch",
        sdm="ok",
        cpu="RSVD",
    ),
    Departure(
        "pdpte-faults-far",
        "vol. 3A, 4.4.1 and 4.7",
        "as pdpte-faults, for the address bits from MAXPHYADDR up",
        ".*",
        "PAE",
        "4K/user/PDPTE:maxphyaddr",
        "read|write|fetch",
        sdm="ok",
        cpu="RSVD",
    ),
    Departure(
        "pse36-always",
        "vol. 3A, 4.1.4 and table 4-4",
        "without PSE-36 bits 21:13 of a 4 MiB page's PDE are reserved; TCG takes 20:13 for "
        "address bits on every CPU",
        "pentium",
        "PSE",
        "4M/(user|supervisor|read-only)/PDE:bit-(13|17|20)",
        "read|write",
        sdm="RSVD",
        as_if_ok=True,
    ),
    Departure(
        "pse36-maxphyaddr",
        "vol. 3A, table 4-4",
        "with a MAXPHYADDR of 36 bits 21:17 of a 4 MiB page's PDE are reserved; TCG checks 21 only",
        "qemu32 with PAE, NX|pentium3",
        "PSE",
        "4M/(user|supervisor|read-only)/PDE:bit-(17|20)",
        "read|write",
        sdm="RSVD",
        as_if_ok=True,
    ),
    Departure(
        "stack-fault",
        "vol. 1, 3.3.7.1; vol. 3A, 6.15 (interrupt 12)",
        "a reference through the stack segment to an address that is not canonical raises #SS(0); "
        "TCG raises #GP(0) for every one",
        ".*",
        "[45]-level",
        "-/-/-:not-canonical",
        "stack",
        sdm="#SS:0x0",
        cpu="#GP:0x0",
    ),
)

# Beside these rows, all of which say which accesses they are about, there is one in the form of
# the error code. SDM vol. 3A, 4.7: RSVD "can be set only if bit 0 is also set", for the entry with
# the reserved bit was present. TCG reports RSVD with P clear since QEMU 7.2.
RSVD_WITHOUT_P = "rsvd-without-p"


def with_p(outcome: str) -> str:
    """The CPU's outcome, with P in an error code that has RSVD."""
    found = re.fullmatch("#PF:(0x[0-9a-f]+)", outcome)
    code = int(found[1], 16) if found else 0
    return f"#PF:{code | P:#x}" if code & RSVD else outcome


@dataclass
class Tally:
    """One configuration's figures; str() is the line that a test run ends with."""

    name: str
    accesses: int = 0
    agree: int = 0
    differ: int = 0
    excepted: Counter[str] = field(default_factory=Counter)
    stops: int = 0
    error_bits: int = 0  # of all page faults
    differences: list[str] = field(default_factory=list)  # the first of them, in words

    def __str__(self) -> str:
        why = ", ".join(f"{name}: {count}" for name, count in sorted(self.excepted.items()))
        return (
            f"cpu judge: {self.name}: {self.accesses} accesses, {self.agree} agree, "
            f"{self.differ} differ, {self.excepted.total()} excepted" + (f" ({why})" if why else "")
        )

    def __iadd__(self, other: Tally) -> Tally:
        self.accesses += other.accesses
        self.agree += other.agree
        self.differ += other.differ
        self.excepted += other.excepted
        return self


@dataclass
class Case:
    va: int
    name: str

    @property
    def ok_name(self) -> str:
        """The case of the same page and base with nothing odd."""
        return self.name.rsplit("/", 1)[0] + "/all:ok"


@dataclass
class Stop:
    """What the kernel said between two stops."""

    number: int
    state: dict[str, int]
    outcomes: dict[int, list[str]]  # by the case's number, in the order of ACCESSES, STACK
    load: tuple[int, str] | None  # a root, and how MOV CR3 went


# What the kernel prints


class Console:
    """The kernel's lines, read up to one stop at a time."""

    def __init__(self) -> None:
        self.maxphyaddr = 0
        self.mode = ""
        self.cases: dict[int, Case] = {}
        self.read = 0

    def next_stop(self, text: str) -> Stop | None:
        """The stop that the text now ends with; None at the end of all."""
        lines = text[self.read :].splitlines()
        self.read = len(text)
        state: dict[str, int] = {}
        outcomes: dict[int, list[str]] = {}
        load = None
        for line in lines:
            words = line.split()
            if words[0] == "cpu":
                self.maxphyaddr = int(words[1].split("=")[1], 16)
            elif words[0] == "mode":
                self.mode, self.cases = words[1], {}
            elif words[0] == "case":
                self.cases[int(words[1])] = Case(int(words[2], 16), words[3])
            elif words[0] == "load":
                load = int(words[1], 16), words[2]
            elif words[0] == "state":
                state = {
                    key: int(value, 16) for key, value in (word.split("=") for word in words[2:])
                }
            elif words[0].isdigit():
                outcomes[int(words[0])] = words[1:]
            elif words[0] == "stop":
                return Stop(int(words[1]), state, outcomes, load)
            else:
                assert words == ["done"], f"the kernel says: {line}"
                return None
        raise AssertionError(
            "the kernel stopped without saying so; its last lines:\n"
            + "\n".join(text.splitlines()[-5:])
        )


# What pte says


class Pte:
    """pte in the state of one stop."""

    def __init__(self, session: GdbSession, stop: Stop, cases: list[Case]) -> None:
        session.run(f"set ptmap pkru {stop.state['pkru']:#x}")
        for register in ("cr0", "cr3", "cr4", "efer"):
            assert session.eval(f"${register}") == stop.state[register], register
        assert session.eval("$eflags") >> 18 & 1 == stop.state["ac"]
        words = " ".join(f"{case.va:#x}" for case in cases)
        answers = json.loads(session.run(f"pte -json - {words}"))["addresses"]
        assert [int(answer["va"], 16) for answer in answers] == [case.va for case in cases]
        self.answers = dict(zip((case.va for case in cases), answers))

    def outcome(self, va: int, mode: str, access: str) -> str:
        """In the kernel's words."""
        if access == "load":
            return "#GP:0x0" if "load" in self.answers[va]["steps"][0] else "ok"
        if access == "stack":
            return f"{self.answers[va]['access'][mode]['read'].get('stack_fault')}:0x0"
        verdict = self.answers[va]["access"][mode][access]
        if verdict["ok"]:
            return "ok"
        if verdict["ok"] is None:
            return f"unknown ({verdict['why']})"
        return f"{verdict['fault']}:{verdict.get('error_code', '0x0')}"


# The comparison


def reserved_fault(state: dict[str, int], mode: str, access: str) -> str:
    """SDM vol. 3A, 4.7: what an access to a path with a reserved bit ends in."""
    reports_fetch = state["cr4"] & CR4_SMEP or (state["cr4"] & CR4_PAE and state["efer"] & EFER_NXE)
    code = (
        P
        | RSVD
        | (U if mode == "user" else 0)
        | (W if access == "write" else 0)
        | (I if access == "fetch" and reports_fetch else 0)
    )
    return f"#PF:{code:#x}"


@cache
def departure_for(cpu: str, mode: str, case: str, access: str) -> Departure | None:
    """DEPARTURES' row for an access; no two of them may claim it."""
    found = [
        row
        for row in DEPARTURES
        if all(
            re.fullmatch(pattern, text)
            for pattern, text in (
                (row.cpus, cpu),
                (row.mode, mode),
                (row.case, case),
                (row.access, access),
            )
        )
    ]
    assert len(found) <= 1, f"{case} {access} departs twice: {found}"
    return found[0] if found else None


def judge_stop(
    tally: Tally, boot: Boot, mode: str, stop: Stop, cases: dict[int, Case], session: GdbSession
) -> None:
    pte = Pte(session, stop, [cases[n] for n in stop.outcomes])
    ok_outcomes = {
        cases[n].name: words
        for n, words in stop.outcomes.items()
        if cases[n].name.endswith("/all:ok")
    }

    def judge(case: Case, privilege: str, access: str, position: int, said: str) -> None:
        ptmap = pte.outcome(case.va, privilege, access)
        fault = reserved_fault(stop.state, privilege, access)
        cpu = with_p(said)
        tally.accesses += 1
        if cpu.startswith("#PF"):
            tally.error_bits |= int(cpu[4:].split("@")[0], 16)
        row = departure_for(boot.cpu, mode, case.name, access)
        expected = row.sdm.replace("RSVD", fault) if row else cpu
        if cpu == ptmap == expected:
            if cpu == said:
                tally.agree += 1
            else:
                tally.excepted[RSVD_WITHOUT_P] += 1
            return
        if (
            row
            and ptmap == expected
            and cpu
            == (
                ok_outcomes[case.ok_name][position]
                if row.as_if_ok
                else row.cpu.replace("RSVD", fault)
            )
        ):
            tally.excepted[row.name] += 1
            return
        tally.differ += 1
        if len(tally.differences) < 20:
            state = " ".join(f"{key}={value:#x}" for key, value in stop.state.items())
            tally.differences.append(
                f"{case.name} {case.va:#x} {privilege} {access}: CPU {said}, "
                f"pte {ptmap} (stop {stop.number}: {state})"
            )

    for number, outcomes in stop.outcomes.items():
        case = cases[number]
        whats = ACCESSES + STACK if case.name == "-/-/-:not-canonical" else ACCESSES
        assert len(outcomes) == len(whats), f"case {number}: {outcomes}"
        for position, (what, cpu) in enumerate(zip(whats, outcomes)):
            if cpu != "-":
                judge(case, *what, position, cpu)
    if stop.load is not None:
        root, cpu = stop.load
        assert root == stop.state["cr3"]
        judge(cases[next(iter(stop.outcomes))], *LOAD, 0, cpu)
    tally.stops += 1


def run_boot(boot: Boot) -> dict[str, Tally]:
    """The figures of each paging mode."""
    tallies: dict[str, Tally] = {}
    image, stop_at = kernel(boot.image)
    with Qemu(["-kernel", str(image), "-cpu", boot.model]) as qemu, GdbSession(
        script=ptmap_script()
    ) as session:
        session.attach(qemu.gdb_target)
        session.run(f"hbreak *{stop_at:#x}")
        console = Console()
        while True:
            said = session.run("continue")
            if len(qemu.console()) == console.read:
                # GDB takes a stop that a busy QEMU sent twice for two: the guest did not run.
                said += session.run("continue")
            try:
                stop = console.next_stop(qemu.console())
            except AssertionError as error:
                raise AssertionError(f"{error}\nGDB said:\n{said}") from None
            if stop is None:
                return tallies
            if console.mode not in tallies:
                tallies[console.mode] = Tally(f"{boot.cpu} {console.mode}")
                session.run(f"set ptmap maxphyaddr {console.maxphyaddr}")
            judge_stop(tallies[console.mode], boot, console.mode, stop, console.cases, session)


def kernel(image: str) -> tuple[Path, int]:
    """What QEMU boots, and the address of judge_stop()."""
    symbols = subprocess.run(
        ["nm", OUT / f"{image}.elf"], check=True, capture_output=True, text=True
    ).stdout
    address = re.search(r"^([0-9a-f]+) T judge_stop$", symbols, re.MULTILINE)
    assert address is not None
    return OUT / (f"{image}.elf" if image == "judge32" else f"{image}.elf32"), int(address[1], 16)


# The tests


@pytest.fixture(scope="module")
def running(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[dict[str, Tally]]]]:
    """Every boot that some test asks for under way, two at a time, by name()."""
    asked = [
        item.callspec.params["boot"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.originalname == ASKING
    ]
    made = subprocess.run(
        ["make", "-C", Path(__file__).parent, f"OUT={OUT}"], capture_output=True, text=True
    )
    assert made.returncode == 0, made.stdout + made.stderr
    with ThreadPoolExecutor(2) as executor:
        futures = {name(boot): executor.submit(run_boot, boot) for boot in asked}
        yield futures
        executor.shutdown(cancel_futures=True)
    for row in DEPARTURES:
        judges.DEFECTS[row.name] = f"{row.why} (SDM {row.section})"
    judges.DEFECTS[RSVD_WITHOUT_P] = "TCG's error code has RSVD and not P (SDM vol. 3A, 4.7)"
    total = Tally("total")
    for future in futures.values():
        if not future.cancelled() and future.exception() is None:
            for tally in future.result().values():
                total += tally
    compare.recorded.append(total)  # type: ignore[arg-type]  # its str() is all that is used


def name(boot: Boot) -> str:
    return f"{boot.cpu}, {' '.join(boot.modes)}"


ASKING = "test_pte_says_what_the_cpu_does"


@pytest.mark.parametrize("boot", BOOTS, ids=name)
def test_pte_says_what_the_cpu_does(
    boot: Boot, running: dict[str, Future[dict[str, Tally]]]
) -> None:
    tallies = running[name(boot)].result()
    for tally in tallies.values():
        compare.recorded.append(tally)  # type: ignore[arg-type]
    for tally in tallies.values():
        assert not tally.differ, "\n  ".join([str(tally), *tally.differences])
        assert tally.accesses
    assert {mode: (tally.stops, tally.error_bits) for mode, tally in tallies.items()} == boot.modes
