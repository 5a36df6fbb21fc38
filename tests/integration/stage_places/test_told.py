"""What others are told of stages: an overseer, which ones are running; whoever asks, what they have used."""

from __future__ import annotations

from pathlib import Path

import gevent
import pytest

from app.engine.stage_rules import StageRules
from app.engine.stage_runner import StageRunner
from app.errors import StageCrashed, StageRaised
from app.hub.per_hub import close_this_hub
from app.stages.base import RunsIn
from tests.support import placed_stages as placed
from tests.support.hubs import hub_until
from tests.support.noted import Noted
from tests.support.pages import make_page
from tests.support.placed_stages import in_place
from tests.support.stage_runs import PLACES, WIDE, run


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["about", "fails", "leaves", "no_json"])
def test_a_note_stands_only_while_the_stage_runs_here(runner: StageRunner, place: RunsIn, name: str) -> None:
    overseer = Noted()
    try:
        run(runner, in_place(getattr(placed, name), place), overseer=overseer)
    except (ValueError, TypeError, SystemExit, StageRaised):
        assert name != "about"
    assert overseer.begun == ([] if place == "process" else [(7, name)])
    assert overseer.running == []


def test_who_is_in_line_for_the_core_is_not_noted(runner: StageRunner, tmp_path: Path) -> None:
    gate, overseer = tmp_path / "gate", Noted()
    computing = gevent.spawn(run, runner, in_place(placed.waits_for_file, "worker"), make_page(str(gate)))
    try:
        hub_until(lambda: runner.scheduler_statistics().waiting == 1, "its slice was ended, and it is in line")
        # Both begin before the hub polls, and so before the next turn of the core.
        other = gevent.spawn(run, runner, in_place(placed.about, "worker"), None, overseer)
        looking = gevent.spawn(lambda: (runner.scheduler_statistics().waiting, overseer.begun[:]))
        assert looking.get() == (2, [])
    finally:
        gate.touch()
    gevent.joinall([computing, other], raise_error=True)
    assert overseer.begun == [(7, "about")]


def test_uses_tell_of_all_runs_and_which_came_to_a_value(tmp_path: Path) -> None:
    runner = StageRunner(StageRules(wide_cpus=WIDE))
    for place in PLACES:
        for _ in range(2):
            run(runner, in_place(placed.about, place))
        with pytest.raises((ValueError, StageRaised)):
            run(runner, in_place(placed.fails, place))
    run(runner, in_place(placed.sees, "worker", preempt=False))
    with pytest.raises(StageCrashed):
        run(runner, in_place(placed.crashes, "process"), make_page("crash"))
    uses = {(use.name, use.runs_in): use for use in runner.uses()}
    counts = {key: (use.runs, use.valued) for key, use in uses.items() if use.runs_in != "worker"}
    assert counts == {
        ("about", "thread"): (2, 2),
        ("about", "process"): (2, 2),
        ("fails", "thread"): (1, 0),
        ("fails", "process"): (1, 0),
        ("crashes", "process"): (1, 0),
    }
    assert uses["about", "process"].wall_s == uses["about", "process"].valued_s > 0
    assert uses["crashes", "process"].wall_s > uses["crashes", "process"].valued_s == 0
    worker = uses["about", "worker"]
    assert worker.runs >= 2
    assert worker.held.count >= 2
    assert worker.preempt
    assert not uses["sees", "worker"].preempt
    close_this_hub()
