"""Runs in lanes (pytest -n 2 --dist loadgroup); at the end the comparisons that tests recorded.

What needs the same guest stays together, in one lane, and what is long begins first. Without
python3-pytest-xdist, and without -n, all of it runs in one lane, in the order of the files.
"""

from __future__ import annotations

import gc
import os
from typing import Any, Iterator

import pytest

import compare

# Comparisons hold millions of tuples and no cycles: Python's default would search them all day.
gc.set_threshold(1_000_000, 100, 100)

# The files with the longest groups (of tests that share a guest), the longest first.
LONG = ("test_bare_matrix.py", "test_naive_against_qemu.py", "test_stub_care.py",
        "test_cpu_judge.py")

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


def _is_lane(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


@pytest.hookimpl(hookwrapper=True)  # around xdist's, which writes the group into an item's name
def pytest_collection_modifyitems(config: pytest.Config,
                                  items: list[pytest.Item]) -> Iterator[None]:
    in_lanes = _is_lane(config)
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
