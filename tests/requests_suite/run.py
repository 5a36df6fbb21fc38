"""Runs pytest in a process of its own, patched by gevent, with our transport in place of requests' own.

    python run.py MODE FOLDER REPORT PYTEST-ARGUMENTS...

MODE    session   `requests.Session` is ours, everywhere
        adapter   sessions are requests' own; what they mount by themselves is CurlAdapter
        plain     nothing is put in place: shows what fails without us, too
        users     nothing is put in place and nothing patched: for tests that choose their sessions themselves
FOLDER  holds the package `tests`
REPORT  file: one JSON object of test id -> outcome: passed, failed, skipped, xfailed, xpassed

The suite has a host that never answers, on a network of somebody's. Here it is a port of our own with a full queue.

Started by its path and not as a module: the package `tests` shall be the one that is tested. So it may import nothing
of ours under that name, and its folder is where `exclusions` comes from.
"""

import sys

from gevent import monkey

if sys.argv[1] != "users":
    monkey.patch_all()

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import requests.sessions
from exclusions import EXCLUSIONS

from app.fetching import CurlAdapter, Session


def put_in_place(mode: str) -> None:
    """Before any test is imported."""
    if mode == "session":
        requests.Session = requests.sessions.Session = Session  # type: ignore[misc]
    elif mode == "adapter":
        requests.sessions.HTTPAdapter = CurlAdapter  # type: ignore[misc,assignment]
    elif mode not in ("plain", "users"):
        raise SystemExit(f"no such mode: {mode}")


@contextmanager
def unanswered_url() -> Iterator[str]:
    """A URL to which connecting neither succeeds nor fails: the port's queue is full."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


class Suite:
    """The plugin: marks what is excluded as expected to fail, and notes how each test ended."""

    def __init__(self, mode: str, report: Path, unanswered: str) -> None:
        self.mode = mode
        self.report = report
        self.unanswered = unanswered
        self.outcomes: dict[str, str] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            if hasattr(item.module, "TARPIT"):  # type: ignore[attr-defined]
                item.module.TARPIT = self.unanswered  # type: ignore[attr-defined]
            for exclusion in EXCLUSIONS:
                if self.mode in exclusion.modes and exclusion.covers(item.nodeid):
                    # Strict: one that passes is an exclusion that nobody needs any more.
                    mark = pytest.mark.xfail(reason=exclusion.reason, raises=exclusion.raises, strict=True)
                    item.add_marker(mark)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        outcome: str = report.outcome
        if hasattr(report, "wasxfail"):
            outcome = "xfailed" if outcome == "skipped" else "xpassed"
        # Set-up, call and tear-down: a failure of any of them stands.
        if report.when == "call" or outcome != "passed":
            self.outcomes[report.nodeid] = outcome

    def pytest_sessionfinish(self) -> None:
        self.report.write_text(json.dumps(self.outcomes))


def main(arguments: list[str]) -> Any:
    """Exit status of pytest."""
    mode, folder, report, *rest = arguments
    put_in_place(mode)
    os.chdir(folder)
    # The first on the path, so that `tests` is theirs.
    sys.path.insert(0, folder)
    with unanswered_url() as url:
        plugin = Suite(mode, Path(report), url)
        return pytest.main(["-p", "no:cacheprovider", *rest], plugins=[plugin])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
