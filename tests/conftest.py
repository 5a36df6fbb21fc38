"""For every test: an origin, and the closing list of what was skipped for want of a program, and how to get it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.needs import summary_lines
from tests.support.origin import Origin, running_origin


@pytest.fixture(scope="module")
def shared_origin() -> Iterator[Origin]:
    """One for all tests of a module; they ask for `origin`."""
    with running_origin() as running:
        yield running


@pytest.fixture
def origin(shared_origin: Origin) -> Origin:
    """The module's origin, its memory wiped: nothing counted, no gate open."""
    shared_origin.reset()
    return shared_origin


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = terminalreporter.stats.get("skipped", [])
    reasons = [report.longrepr[2] for report in reports if isinstance(report.longrepr, tuple)]
    lines = summary_lines(reasons)
    if lines:
        terminalreporter.section("skipped for want of something (and how to get it)")
        for line in lines:
            terminalreporter.write_line(line)
