"""The short form of tests/stress_preemption.py."""

from __future__ import annotations

import re
import sys

import pytest

from tests.support.processes import SCRIPT_GUARD_S, running_process


@pytest.mark.timeout(2 * SCRIPT_GUARD_S)
def test_preempted_stages_give_what_they_give_undisturbed() -> None:
    command = [sys.executable, "-m", "tests.stress_preemption", "--rounds", "2"]
    with running_process(command) as running:
        status = running.wait(timeout_s=SCRIPT_GUARD_S)
    assert status == 0, running.stdout + running.stderr
    # It reaches deep enough: slices were ended by force, at hazards too, and runs were cut off.
    counted = {word: int(count) for count, word in re.findall(r"(\d+) (runs|ended|over|killed|faults)", running.stdout)}
    assert counted["runs"] >= 2400
    assert counted["ended"] > 3000
    assert counted["over"] > 10
    assert counted["killed"] > 10
    assert counted["faults"] == 0
    postponed = re.findall(r"(\d+) postponed: (\w+)", running.stdout)
    assert {reason for _, reason in postponed} >= {"gc", "import", "logging", "threading", "weakref"}
