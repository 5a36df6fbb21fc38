"""`bin/bench stops`, as small as it gets, and so the short form of its trials: what happened, not how long it took."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import msgspec
import pytest

from benchmarks.stops.job import Job
from benchmarks.stops.kills import run_kill
from benchmarks.stops.rounds import run_trials, run_trials_in_own_network
from benchmarks.stops.scenarios import SCENARIOS, Ending, Scenario
from benchmarks.stops.trial import Trial
from tests.support import needs
from tests.support.origin import Origin
from tests.support.processes import running_process


def scenario(name: str, *endings: Ending) -> Scenario:
    return msgspec.structs.replace(
        next(one for one in SCENARIOS if one.name == name), endings=endings, urls=120, moment_s=0.1
    )


def is_sound(trial: Trial) -> bool:
    return (trial.status, trial.left, trial.looked_at, trial.faults) == (130, 0, True, [])


@pytest.mark.parametrize("name", ["busy", "idle", "gil"])
def test_stopped_by_the_second_key_it_goes_on(name: str) -> None:
    (trial,) = run_trials(scenario(name, "second"), 1, 1, look_every=1)
    assert is_sound(trial), trial
    assert trial.said_s is not None


def test_native_code_is_ended_at_the_limit_and_by_the_third_key() -> None:
    first, second = run_trials(scenario("gil", "limit", "third"), 2, 1, look_every=1)
    assert is_sound(first), first
    assert is_sound(second), second
    assert first.limit_s is not None


def test_silent_name_servers() -> None:
    needs.require_program("unshare", how="apt install util-linux")
    (trial,) = run_trials_in_own_network(scenario("names", "second"), 1, 1, look_every=1)
    assert is_sound(trial), trial


@pytest.mark.parametrize("what", ["parent", "child"])
def test_kills(what: str, origin: Origin, tmp_path: Path) -> None:
    job = Job(scenario("idle"), origin, tmp_path, random.Random(1), workers=1)
    kill = run_kill("parent" if what == "parent" else "child", scenario("idle"), job, random.Random(1))
    assert kill.faults == []
    assert (kill.followed_s is not None) == (what == "parent")
    assert (kill.at_work_s is not None) == (what == "child")


def test_what_is_wrong_with_records_is_found(origin: Origin, tmp_path: Path) -> None:
    job = Job(scenario("idle"), origin, tmp_path, random.Random(1))
    assert job.go_on() == []
    lines = job.output.read_bytes().splitlines(keepends=True)
    asked = job.asked()
    other = json.loads(lines[4]) | {"stages": {"plain": "0" * 64}}
    spoiled = [*lines[:3], lines[5], *lines[5:], json.dumps(other).encode() + b"\n"]
    job.output.write_bytes(b"".join(spoiled))
    fewer = asked | {job.paths[7]: 0}
    faults = job.faults(dict(enumerate({line} for line in lines)), fewer)
    assert [fault.partition(":")[0] for fault in faults] == [
        *("3 lost", "5 doubled", "4 wrong", "3 had another record before", "4 had another record before"),
        "7 had its record, and was fetched again",
    ]
    assert job.faults({2: {lines[2], b"{}\n"}}, asked)[2] == "2 doubled in the work folder"


def test_mistakes_are_one_line() -> None:
    for options, line in ((["--only", "nobody"], "choose from busy"), (["--trials", "0"], "at least 1")):
        with running_process([sys.executable, "-m", "benchmarks", "stops", *options]) as bench:
            assert bench.wait() == 2
        assert line in bench.stderr
