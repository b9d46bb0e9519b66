#!/usr/bin/python3
"""Runs the native tests, each suite in a process of its own, and writes one JUnit file.

    tests/native/run.py PROGRAM FILE

Under sanitizers a process takes as long to start as most tests take, so one for each test is too
many. One for all is too few: a library that a damaged file led astray would take the others along.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

LANES = 2


def run(program: str, suite: str, folder: Path) -> list[ElementTree.Element]:
    """Its test cases. If it ended before its end, one that failed."""
    file = folder / f"{suite.replace('/', '-')}.xml"
    ended = subprocess.run(
        [program, f"--gtest_filter={suite}.*", "--gtest_brief=1", f"--gtest_output=xml:{file}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    cases = list(ElementTree.parse(file).iter("testcase")) if file.exists() else []
    has_failed = any(case.find("failure") is not None for case in cases)
    if ended.returncode and not has_failed:
        why = f"ended with status {ended.returncode}"
        case = ElementTree.Element("testcase", classname=suite, name=why)
        ElementTree.SubElement(case, "failure", message=why)
        cases.append(case)
    print(f"{suite}: {len(cases)}", flush=True)
    if ended.returncode:
        print(ended.stdout, flush=True)
    return cases


def main() -> int:
    program, result = sys.argv[1:]
    listed = subprocess.run(
        [program, "--gtest_list_tests"], capture_output=True, text=True, check=True
    )
    suites = re.findall(r"^(\S+)\.(?:\s|$)", listed.stdout, re.MULTILINE)
    whole = ElementTree.Element("testsuite", name="native")
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(LANES) as lanes:
        for cases in lanes.map(lambda suite: run(program, suite, Path(folder)), suites):
            whole.extend(cases)
    ElementTree.ElementTree(whole).write(result)
    return int(any(case.find("failure") is not None for case in whole))


if __name__ == "__main__":
    sys.exit(main())
