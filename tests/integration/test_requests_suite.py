"""requests' own tests pass on our transport: with our Session in place of theirs, and with CurlAdapter under theirs.
So do tests of ours with packages that sit on requests and that are too seldom released for our own lock.

What is not ours is fetched, never kept here (tests/requests_suite), and runs in a network of its own in which a name
server of ours knows the one host outside that requests' tests name. Nothing leaves the machine.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from tests.requests_suite.environment import requests_source, suite_python
from tests.requests_suite.exclusions import EXCLUSIONS
from tests.support.dns import Zone, in_own_network
from tests.support.processes import ROOT, running_process

MODES = ("session", "adapter")

# requests 2.34 has 633, 15 of them for other systems or versions.
TESTS_AT_LEAST = 610

# Known to its authors; it passes now and then, when what is sent in pieces comes in the same pieces.
XFAILED_THERE = {"tests/test_requests.py::TestRequests::test_response_iter_lines_reentrant"}

# They spend most of their time waiting for each other's time-outs: both modes at once, and each in parts.
PARTS = {"requests": ["tests/test_requests.py"], "others": ["tests", "--ignore=tests/test_requests.py"]}

ZONE: Zone = {"httpbin.org": [["127.0.0.1"]]}

GUARD_S = 200.0


def command(folder: Path, mode: str, source: Path, *arguments: str | Path) -> list[str]:
    """Runs tests in `source` in a network of their own; `folder` gets the report and the name server's files."""
    folder.mkdir()
    program = [suite_python(), ROOT / "tests/requests_suite/run.py", mode, source, folder / "report.json"]
    return in_own_network(folder, ZONE, [*program, "-q", *arguments])


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    # Ours stays behind what the run puts first.
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_ADDOPTS": ""}


def complaints(mode: str, outcomes: Mapping[str, str]) -> list[str]:
    """What is wrong with a run of requests' tests; nothing if all is well."""
    wrong = [
        f"{test}: {outcome}"
        for test, outcome in outcomes.items()
        if outcome == "failed" or (outcome == "xpassed" and test not in XFAILED_THERE)
    ]
    excluded = set()
    for exclusion in EXCLUSIONS:
        if mode in exclusion.modes:
            covered = {test for test in outcomes if exclusion.covers(test)}
            excluded |= covered
            if not covered:
                wrong.append(f"{exclusion.test}: excluded, and there is no such test")
    xfailed = {test for test, outcome in outcomes.items() if outcome == "xfailed"}
    wrong += [f"{test}: xfailed, and not excluded" for test in xfailed - excluded - XFAILED_THERE]
    wrong += [f"{test}: excluded, and it did not fail" for test in excluded - xfailed]
    ran = sum(outcome == "passed" for outcome in outcomes.values())
    if ran < TESTS_AT_LEAST:
        wrong.append(f"only {ran} tests passed, of {TESTS_AT_LEAST} and more")
    return wrong


@pytest.mark.timeout(400)  # at first use an environment is built
def test_requests_own_tests_pass(tmp_path: Path) -> None:
    source = requests_source()
    outcomes: dict[str, dict[str, str]] = {mode: {} for mode in MODES}
    said = []
    with contextlib.ExitStack() as stack:
        runs = [
            (
                mode,
                folder,
                stack.enter_context(running_process(command(folder, mode, source, *tests), env=environment())),
            )
            for mode in MODES
            for part, tests in PARTS.items()
            for folder in [tmp_path / f"{mode}-{part}"]
        ]
        for mode, folder, process in runs:
            process.wait(GUARD_S)
            said.append(process.stdout[-20_000:] + process.stderr[-2_000:])
            report = folder / "report.json"
            assert report.exists(), said[-1]
            outcomes[mode].update(json.loads(report.read_text()))
    wrong = {mode: found for mode in MODES if (found := complaints(mode, outcomes[mode]))}
    assert not wrong, "\n".join([*said, json.dumps(wrong, indent=1)])


def passed(*tests: str) -> dict[str, str]:
    """As many as it takes, these among them, and what is expected to fail."""
    made = {f"tests/test_x.py::test_{number}": "passed" for number in range(TESTS_AT_LEAST)}
    return {**made, **dict.fromkeys(excluded_ids(), "xfailed"), **dict.fromkeys(tests, "passed")}


def excluded_ids() -> Iterable[str]:
    return [exclusion.test for exclusion in EXCLUSIONS if "session" in exclusion.modes]


def test_what_the_check_finds() -> None:
    some = next(iter(excluded_ids()))
    assert complaints("session", passed()) == []
    assert complaints("session", passed() | {"tests/test_x.py::test_3": "failed"})
    assert complaints("session", passed() | {"tests/test_x.py::test_new": "xfailed"})
    assert complaints("session", passed() | {some: "passed"})
    assert complaints("session", {test: how for test, how in passed().items() if test != some})
    assert complaints("session", {test: how for test, how in passed().items() if test != "tests/test_x.py::test_3"})


@pytest.mark.timeout(400)
@pytest.mark.parametrize("user", ["requests_toolbelt", "requests_oauthlib"])
def test_users_of_requests_work(user: str, tmp_path: Path) -> None:
    tests = ROOT / "tests/requests_suite/users" / f"with_{user}.py"
    folder = tmp_path / "run"
    with running_process(command(folder, "users", ROOT, tests), env=environment()) as process:
        process.wait(GUARD_S)
    report = folder / "report.json"
    assert report.exists(), process.stdout + process.stderr
    outcomes = json.loads(report.read_text())
    assert outcomes, process.stdout
    assert set(outcomes.values()) == {"passed"}, process.stdout
