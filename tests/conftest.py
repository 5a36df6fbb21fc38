"""For every test: the closing list of what was skipped for want of a program, and how to get it."""

from __future__ import annotations

import pytest

from tests.support.needs import summary_lines


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = terminalreporter.stats.get("skipped", [])
    reasons = [report.longrepr[2] for report in reports if isinstance(report.longrepr, tuple)]
    lines = summary_lines(reasons)
    if lines:
        terminalreporter.section("skipped for want of something (and how to get it)")
        for line in lines:
            terminalreporter.write_line(line)
