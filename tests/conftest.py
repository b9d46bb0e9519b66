"""At the end of a run: the comparisons that tests recorded, one line each."""

from __future__ import annotations

import gc
import os
from typing import Any

import compare

# Comparisons hold millions of tuples and no cycles: Python's default would search them all day.
gc.set_threshold(1_000_000, 100, 100)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if compare.recorded:
        terminalreporter.section("comparisons")
        for report in compare.recorded:
            terminalreporter.line(str(report))
        for defect in sorted({defect for report in compare.recorded for defect in report.excepted}):
            terminalreporter.line(f"  {defect}: {compare.DEFECTS[defect]}")
    path = os.environ.get("PTMAP_REPORTS")
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.writelines(f"{report}\n" for report in compare.recorded)
