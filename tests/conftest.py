"""Runs in lanes (pytest -n 2 --dist loadgroup); at the end the comparisons that tests recorded.

What needs the same guest stays together, in one lane, and what is long begins first. Without
python3-pytest-xdist, and without -n, all of it runs in one lane, in the order of the files.

No test downloads or builds a kernel: without one that it needs it is skipped, and the reason says
how to get it (tests/guests/prepare).
"""

from __future__ import annotations

import gc
import os
from typing import Any, Iterator

import pytest

import compare
import guard
from guests import GUESTS
from kernels import KERNELS
from store import NotInCache

guard.start()  # of each lane too
os.environ.setdefault("PTMAP_NO_FETCH", "1")  # also for what tests start

# Comparisons hold millions of tuples and no cycles: Python's default would search them all day.
gc.set_threshold(1_000_000, 100, 100)

# The groups of tests/run.sh: a test is in one of them. The default's guests stand for all: 32-bit
# and 64-bit, without KPTI and with it.
GROUPS = ("default", "long", "guests", "symbols", "kernels", "boots", "vmcore")
DEFAULT_GUESTS = {"686", "4-level-pti"}
# What takes long on bare machines: of a file, or a test in it, the default run has only the cases
# that have one of these words in their name.
SAMPLES: dict[str, tuple[str, ...]] = {
    "test_cpp_example.py": (),
    "test_cpu_judge.py": (),
    "test_in_root.py": (),
    "test_api.py::test_differences_are_the_commands": ("pae",),
    "test_bare_matrix.py::test_a_filter_by_page_size_shows_those_pages": ("pae",),
    "test_bare_matrix.py::test_every_address_bit": ("4-level",),
    "test_bare_matrix.py::test_every_bit_of_every_entry": ("32-bit-40", "pae-52"),
    "test_bare_matrix.py::test_first_and_last_entries": ("5-level",),
    "test_bare_matrix.py::test_random_spaces": (),
    "test_bare_matrix.py::test_rights_at_every_level": ("pae", "5-level"),
    "test_bare_matrix.py::test_verdicts": ("4-level",),
    "test_check.py::test_random_rules": ("4-level",),
    "test_find.py::test_random_spaces": ("pae",),
    "test_grade.py::test_grades_as_tap": (),
    "test_grade.py::test_lab_sheet": (),
    "test_memory_dump.py::test_a_truncated_dump_works_as_far_as_it_goes": ("lab32",),
    "test_naive_against_qemu.py::test_a_wrong_walker_is_noticed": ("leaf only", "PSE"),
    "test_naive_against_qemu.py::test_one_flipped_entry_is_one_difference": ("pae",),
    "test_naive_against_qemu.py::test_random_spaces": (),
    "test_packets.py::test_overhead_is_the_same_for_many_tables": ("4-level",),
    "test_stub_care.py::test_a_late_reply": ("m-5", "Mode:0"),
    "test_stub_care.py::test_batch_status": ("ptmap",),
    "test_stub_care.py::test_ctrl_c": ("30th", "off"),
    "test_stub_care.py::test_ctrl_c_of_many_tables": (),
    "test_stub_care.py::test_the_connection_dies": ("m-3", "qRcmd"),
    "test_stub_care.py::test_the_connection_ends_at_each_packet": ("packets",),
    "test_vdso.py::test_millions_of_pages": (),
    "test_xp.py::test_values": ("3-", "-5-"),
}

# The files with the longest lanes (of tests that share a guest), the longest first.
LONG = (
    "test_bare_matrix.py",
    "test_naive_against_qemu.py",
    "test_stub_care.py",
    "test_cpu_judge.py",
)

_PLACE = pytest.StashKey[int]()  # of an item in a run in one lane
# What compare.recorded became: an item's place, the line, what the defects named in it are.
_comparisons: list[tuple[int, str, dict[str, str]]] = []
_recorded_at: list[int] = []  # the place of each of compare.recorded


def _guest(item: pytest.Item) -> str | None:
    """A name for the module's fixtures that a test uses, with the parameters they are made of:
    tests of the same name follow each other in one lane. None: it shares nothing."""
    fixtures = getattr(item, "_fixtureinfo").name2fixturedefs
    shared = [name for name, found in fixtures.items() if found[-1].scope == "module"]
    if not shared:
        return None
    made_of = getattr(item, "callspec").params if hasattr(item, "callspec") else {}
    words = [str(made_of[name]) for name in sorted(shared) if name in made_of]
    return " ".join([item.path.stem, *words]).translate({ord("]"): ")", ord("@"): " "})


def _words(value: object) -> Iterator[str]:
    """All words in a parameter of a test."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from _words(part)


def group_of(item: pytest.Item) -> str:
    """A test that boots Linux says which guests by its parameters, or by its marker."""
    if item.get_closest_marker("vmcore"):
        return "vmcore"
    if not item.get_closest_marker("linux"):
        name, _, case = item.name.partition("[")
        words = SAMPLES.get(f"{item.path.name}::{name}", SAMPLES.get(item.path.name, ("",)))
        is_long = item.get_closest_marker("long") or not any(word in case for word in words)
        return "long" if is_long else "default"
    if item.get_closest_marker("boots"):
        return "boots"
    parameters = list(item.callspec.params.values()) if hasattr(item, "callspec") else []
    said = [mark.args for mark in item.iter_markers("linux")]
    guests = GUESTS.keys() & _words([*parameters, *said])
    assert guests, f"{item.nodeid}: which guests does it boot? @pytest.mark.linux(NAME...)"
    if any(KERNELS[GUESTS[name].kernel].built for name in guests):
        return "kernels"
    if any(KERNELS[GUESTS[name].kernel].symbols for name in guests):
        return "symbols"
    # Each stop in another place is another boot.
    is_default = guests <= DEFAULT_GUESTS and "kernel" not in _words(parameters)
    return "default" if is_default else "guests"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--group", action="append", choices=GROUPS, help="only tests of this group of tests/run.sh"
    )


def _is_lane(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


@pytest.hookimpl(hookwrapper=True)  # around xdist's, which writes the group into an item's name
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Iterator[None]:
    in_lanes = _is_lane(config)
    groups = [(item, group_of(item)) for item in items]
    if wanted := config.getoption("--group"):
        items[:] = [item for item, group in groups if group in wanted]
        config.hook.pytest_deselected(items=[item for item, group in groups if group not in wanted])
    if in_lanes:
        for item in items:
            if guest := _guest(item):
                item.add_marker(pytest.mark.xdist_group(guest))
    yield
    for place, item in enumerate(items):
        item.stash[_PLACE] = place
    if in_lanes:
        ranks = {name: rank for rank, name in enumerate(LONG)}
        items.sort(key=lambda item: ranks.get(item.path.name, len(LONG)))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    yield
    _recorded_at.extend([item.stash[_PLACE]] * (len(compare.recorded) - len(_recorded_at)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> None:
    if call.excinfo is not None and call.excinfo.errisinstance(NotInCache):
        reason = str(call.excinfo.value)
        call.excinfo = pytest.CallInfo.from_call(lambda: pytest.skip(reason), call.when).excinfo


def pytest_sessionfinish(session: pytest.Session) -> None:
    for place, report in zip(_recorded_at, compare.recorded):
        defects = {name: compare.DEFECTS[name] for name in report.excepted}
        _comparisons.append((place, str(report), defects))
    if _is_lane(session.config):
        session.config.workeroutput["comparisons"] = _comparisons  # type: ignore[attr-defined]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A lane has ended."""
    _comparisons.extend(getattr(node, "workeroutput", {}).get("comparisons", []))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """What is printed and counted is a test's name as it is without lanes."""
    if hasattr(report, "node"):  # this is where the lanes' reports come together
        name, _, group = report.nodeid.rpartition("@")
        if name and "]" not in group:
            report.nodeid = name


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if _is_lane(config):
        return
    _comparisons.sort(key=lambda comparison: comparison[0])
    lines = [line for _, line, _ in _comparisons]
    if lines:
        terminalreporter.section("comparisons")
        for line in lines:
            terminalreporter.line(line)
        explained = {name: why for _, _, defects in _comparisons for name, why in defects.items()}
        for name, why in sorted(explained.items()):
            terminalreporter.line(f"  {name}: {why}")
    path = os.environ.get("PTMAP_REPORTS")
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
