"""All trials of one scenario, and all kills: one after the other, each with a job of its own."""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from benchmarks.stops.job import HUNG_NAMES, Job
from benchmarks.stops.kills import KILLS, Kill, run_kill
from benchmarks.stops.scenarios import SCENARIOS, Scenario
from benchmarks.stops.trial import Trial, run_trial
from tests.support.dns import SILENT, in_own_network
from tests.support.origin import Origin, running_origin
from tests.support.processes import running_process

_A_TRIAL_AT_MOST_S = 200.0


class NotPermitted(Exception):
    """The machine does not let us; the text says what, and what to do."""


def run_trials(
    scenario: Scenario, trials: int, seed: int, *, look_every: int, hosts: Path | None = None
) -> Iterator[Trial]:
    """That many, as they end. `look_every`: after each so many the job is gone on with and its records looked at.

    hosts  the hosts file, if it is ours: names that hang are written there before a job is gone on with
    """
    chance = random.Random(f"{seed} {scenario.name}")
    with running_origin() as origin:
        for number in range(trials):
            with _job(scenario, origin, chance, hosts=hosts) as job:
                ending = scenario.endings[number % len(scenario.endings)]
                yield run_trial(scenario, job, ending, chance, look=number % look_every == 0)


def run_trials_in_own_network(scenario: Scenario, trials: int, seed: int, *, look_every: int) -> list[Trial]:
    """The same where all name servers are ours, and silent. Raises NotPermitted."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        figures = folder / "trials.json"
        task = [scenario.name, str(trials), str(seed), str(look_every), str(folder / "hosts"), str(figures)]
        try:
            command = in_own_network(
                folder,
                {name: [SILENT] for name in HUNG_NAMES},
                [sys.executable, "-P", "-m", "benchmarks.stops.inside", *task],
            )
        except pytest.skip.Exception as error:
            raise NotPermitted(str(error.msg)) from None
        with running_process(command) as process:
            if process.wait(timeout_s=trials * _A_TRIAL_AT_MOST_S) != 0:
                raise RuntimeError(f"the trials in a network of their own failed: {process.stderr[-4000:]}")
        return msgspec.json.decode(figures.read_bytes(), type=list[Trial])


def run_kills(kills: int, seed: int) -> Iterator[Kill]:
    """So many of each kind."""
    chance = random.Random(f"{seed} kills")
    with running_origin() as origin:
        for what, name in KILLS:
            scenario = next(one for one in SCENARIOS if one.name == name)
            for _ in range(kills):
                with _job(scenario, origin, chance, workers=1 if what == "child" else None) as job:
                    yield run_kill(what, scenario, job, chance)


@contextmanager
def _job(
    scenario: Scenario,
    origin: Origin,
    chance: random.Random,
    *,
    workers: int | None = None,
    hosts: Path | None = None,
) -> Iterator[Job]:
    origin.reset()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        yield Job(scenario, origin, Path(name), chance, workers=workers, hosts=hosts)
