#!/usr/bin/python3
"""Prints two numbers: how many tests of a JUnit file passed and failed. Skipped ones do neither."""

import sys
import xml.etree.ElementTree as ElementTree

cases = list(ElementTree.parse(sys.argv[1]).iter("testcase"))
failed = sum(any(child.tag in ("failure", "error") for child in case) for case in cases)
skipped = sum(
    case.get("status") == "notrun" or case.find("skipped") is not None for case in cases
)
print(len(cases) - failed - skipped, failed)
