#!/usr/bin/python3
"""Prints three numbers, how many tests of a JUnit file passed, failed and were skipped; then the
names of those that failed, a line each."""

import sys
import xml.etree.ElementTree as ElementTree

cases = list(ElementTree.parse(sys.argv[1]).iter("testcase"))
failed = [case for case in cases if any(child.tag in ("failure", "error") for child in case)]
skipped = sum(case.get("status") == "notrun" or case.find("skipped") is not None for case in cases)
print(len(cases) - len(failed) - skipped, len(failed), skipped)
for case in failed:
    print(f"{case.get('classname')}::{case.get('name')}")
