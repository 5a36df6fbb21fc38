"""Stages and the hub: it turns while one runs, runs are killed, it is closed under them."""

from __future__ import annotations

from pathlib import Path

import gevent
import pytest

from app.engine.engine import Engine
from app.engine.stage_rules import StageRules
from app.engine.stage_runner import StageRunner
from app.errors import Draining
from app.hub.per_hub import close_this_hub
from app.model.job import FetchOptions
from app.model.outcome import Outcome
from app.model.request import Entry, Request
from app.stages.base import RunsIn
from tests.support import placed_stages as placed
from tests.support.hubs import hub_until
from tests.support.noted import Noted
from tests.support.origin import Origin
from tests.support.pages import make_page
from tests.support.placed_stages import in_place
from tests.support.stage_runs import PLACES, WIDE, outcomes, run

ELSEWHERE: tuple[RunsIn, ...] = ("thread", "process")


@pytest.mark.parametrize("place", PLACES)
def test_the_hub_turns_while_a_stage_computes(runner: StageRunner, tmp_path: Path, place: RunsIn) -> None:
    """Else it would never end: what it waits for is made after twenty turns."""
    gate = tmp_path / "gate"

    def turns() -> None:
        for _ in range(20):
            gevent.sleep(0.0001)
        gate.touch()

    ticker = gevent.spawn(turns)
    assert run(runner, in_place(placed.waits_for_file, place), make_page(str(gate))) == "done"
    assert ticker.dead


@pytest.mark.parametrize("place", PLACES)
def test_who_is_killed_in_a_stage_leaves_its_place_free(runner: StageRunner, tmp_path: Path, place: RunsIn) -> None:
    gate = tmp_path / "gate"
    overseer = Noted()
    page = make_page(str(gate))
    running = gevent.spawn(run, runner, in_place(placed.waits_for_file, place), page, overseer)
    hub_until(Path(f"{gate}.begun").exists, "its stage runs")
    running.kill()
    try:
        assert isinstance(running.value, gevent.GreenletExit)
        assert run(runner, in_place(placed.about, place))[0] == 4
    finally:
        gate.touch()
    hub_until(lambda: not overseer.running, "its note is taken back")


@pytest.mark.parametrize("place", ELSEWHERE)
def test_what_runs_elsewhere_when_the_hub_is_closed_has_no_outcome(tmp_path: Path, place: RunsIn) -> None:
    gate = tmp_path / "gate"
    runner = StageRunner(StageRules(wide_cpus=WIDE))
    stage = in_place(placed.waits_for_file, place)
    running = [gevent.spawn(run, runner, stage, make_page(str(gate))) for _ in range(4)]
    hub_until(Path(f"{gate}.begun").exists, "one of them runs")
    close_this_hub()
    gevent.joinall(running)
    gate.touch()
    assert [type(one.exception) for one in running] == [Draining] * 4


def test_what_is_in_line_for_the_core_when_the_hub_is_closed_has_no_outcome_either(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    runner = StageRunner(StageRules(wide_cpus=WIDE))
    stage = in_place(placed.waits_for_file, "worker")
    running = [gevent.spawn(run, runner, stage, make_page(str(gate))) for _ in range(4)]
    hub_until(Path(f"{gate}.begun").exists, "one of them runs")
    close_this_hub()
    gevent.joinall(running)
    assert [type(one.exception) for one in running] == [Draining] * 4


def test_a_batch_of_requests_ends_when_the_hub_is_closed_under_its_stages(
    engine: Engine, origin: Origin, tmp_path: Path
) -> None:
    """None of them has a record that blames its stage: they are nobody's yet."""
    overseer = Noted()
    entries = [Entry(index, Request(url=origin.url("/html/one")), "") for index in range(3)]

    def reads() -> list[Outcome]:
        return list(engine.run(entries, stages=[placed.spins], options=FetchOptions(), overseer=overseer))

    running = gevent.spawn(reads)
    hub_until(lambda: len(overseer.begun) == 3, "all have begun")
    close_this_hub()
    assert running.get() == []


@pytest.mark.parametrize("place", ["worker", "process"])
def test_a_run_that_is_given_up_ends_its_stages(engine: Engine, origin: Origin, place: RunsIn) -> None:
    entry = Entry(0, Request(url=origin.url("/html/one")), "")
    overseer = Noted()

    def reads() -> None:
        list(engine.run([entry], stages=[in_place(placed.spins, place)], options=FetchOptions(), overseer=overseer))

    running = gevent.spawn(reads)
    hub_until(lambda: overseer.entered, "its stages have begun")
    running.kill()
    assert not overseer.running
    [outcome] = outcomes(engine, origin, [in_place(placed.about, place)])
    assert outcome.ok
