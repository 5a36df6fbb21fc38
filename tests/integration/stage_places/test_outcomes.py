"""What comes of stages in all three places: values, failures, limits. Real slices, threads, processes and origin."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from app.engine.engine import Engine
from app.engine.overseer import NOBODY
from app.engine.stage_rules import StageRules
from app.engine.stage_runner import StageRunner
from app.errors import StageTimeout
from app.hub.per_hub import close_this_hub
from app.model.outcome import ErrorKind, Failure
from app.stages.base import RunsIn
from tests.support import placed_stages as placed
from tests.support.origin import Origin
from tests.support.pages import make_page
from tests.support.placed_stages import in_place
from tests.support.stage_runs import PLACES, WIDE, failure, outcomes, run

# Values ---------------------------------------------------------------------------------------------------------------


def test_each_runs_where_it_wants(runner: StageRunner) -> None:
    page = make_page("four")
    found = {place: run(runner, in_place(placed.about, place), page) for place in PLACES}
    assert {length for length, _, _ in found.values()} == {4}
    assert found["worker"][1:] == [os.getpid(), threading.get_native_id()]
    assert found["thread"][1] == os.getpid()
    assert found["thread"][2] != threading.get_native_id()
    assert found["process"][1] != os.getpid()


@pytest.mark.parametrize("place", PLACES)
def test_a_bound_stage_outlives_what_its_hub_had_for_it(runner: StageRunner, place: RunsIn) -> None:
    bound, page = runner.bound(in_place(placed.about, place), NOBODY), make_page("body")
    for _ in range(2):
        assert json.loads(bytes(bound(page, {}, 7)))[0] == 4
        close_this_hub()


@pytest.mark.parametrize("place", PLACES)
def test_each_sees_the_values_before_it(runner: StageRunner, place: RunsIn) -> None:
    assert run(runner, in_place(placed.sees, place), a=b'{"x":[1,null]}', b=b'"text"') == {
        "a": {"x": [1, None]},
        "b": "text",
    }


@pytest.mark.parametrize("order", [PLACES, PLACES[::-1], ("process", "worker", "thread")])
def test_a_chain_through_all_places_on_one_page(engine: Engine, origin: Origin, order: Sequence[RunsIn]) -> None:
    first, second, third = (in_place(placed.sees, place).called(place) for place in order)
    [outcome] = outcomes(engine, origin, [first, second, third])
    assert outcome.ok, outcome
    values = {name: json.loads(bytes(value)) for name, value in outcome.stages.items()}
    assert list(values) == list(order)
    assert values[second.name] == {first.name: {}}
    assert values[third.name] == {first.name: {}, second.name: {first.name: {}}}


@pytest.mark.parametrize("place", PLACES)
def test_what_failed_ends_the_chain_and_what_came_before_stays(engine: Engine, origin: Origin, place: RunsIn) -> None:
    after = in_place(placed.about, "worker").called("after")
    [outcome] = outcomes(engine, origin, [placed.sees, in_place(placed.fails, place), after], body="text")
    assert (outcome.ok, list(outcome.stages)) == (False, ["sees"])
    assert outcome.error is not None
    assert outcome.error.stage == "fails"


def test_what_a_stage_does_to_the_page_in_a_process_stays_there(runner: StageRunner) -> None:
    page = make_page("clean", url="http://clean.example/")
    assert run(runner, in_place(placed.spoils, "process"), page) == "spoilt"
    assert (page.text, page.url, page.memo) == ("clean", "http://clean.example/", {})
    assert "X-Spoilt" not in page.headers


# Failures -------------------------------------------------------------------------------------------------------------

RAISED = {
    "fails": "ValueError: no luck at all",
    "fails_wordlessly": "KeyError",
    "fails_unspeakably": "NoText: (its text can't be had: RuntimeError)",
    "leaves": "SystemExit: 3",
    "interrupts": "KeyboardInterrupt",
    "kills_its_greenlet": "GreenletExit",
    "cancels": "CancelledError",
    "times_out": "Timeout: 7 seconds",
    "drains": "Draining: so it says",
    "stops": "StopIteration",
    "closes": "GeneratorExit",
    "panics": "Panic: of native code",
}


@pytest.mark.parametrize("name", RAISED)
def test_what_a_stage_raises_reads_the_same_from_everywhere_and_costs_one_record(
    engine: Engine, origin: Origin, name: str
) -> None:
    for place in PLACES:
        stages = [placed.sees.called("before"), in_place(getattr(placed, name), place), placed.sees.called("after")]
        found = outcomes(engine, origin, stages, *["/html/one", "/html/two", "/html/three"] * 2)
        assert [outcome.index for outcome in found] == list(range(6)), place
        for outcome in found:
            assert list(outcome.stages) == ["before"], place
            assert outcome.error == Failure(ErrorKind.STAGE_FAILED, RAISED[name], name), place


def test_a_value_that_is_no_json_is_named_from_everywhere(engine: Engine, origin: Origin) -> None:
    messages = {failure(engine, origin, in_place(placed.no_json, place)) for place in PLACES}
    [(kind, message)] = messages
    assert kind is ErrorKind.STAGE_FAILED
    assert message.startswith("TypeError: the value is no JSON: value['found'][0] is a type")


def test_ctrl_c_in_the_worker_is_not_taken_for_the_stages(engine: Engine, origin: Origin) -> None:
    """In a program of one's own it comes in whatever runs just then."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            outcomes(engine, origin, [placed.is_interrupted])
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_crash_costs_one_record(engine: Engine, origin: Origin) -> None:
    paths = ["/html/a", "/html/crash", "/html/b", "/html/c"]
    found = outcomes(engine, origin, [in_place(placed.crashes, "process"), placed.sees], *paths)
    assert [outcome.ok for outcome in found] == [True, False, True, True]
    error = found[1].error
    assert error is not None
    assert (error.kind, error.stage) == (ErrorKind.STAGE_FAILED, "crashes")
    assert error.message == "the isolated process that ran crashes died by SIGSEGV"


# Limits ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["spins", "backtracks"])
def test_the_cpu_budget_ends_a_worker_stage(engine: Engine, origin: Origin, name: str) -> None:
    kind, message = failure(engine, origin, in_place(getattr(placed, name), "worker", cpu_budget_s=0.05))
    assert kind is ErrorKind.STAGE_TIMEOUT
    assert message.startswith(f"{name} used 0.")
    assert message.endswith(" s of CPU time; its budget is 0.05 s")


def test_a_worker_stage_waits_no_longer_than_its_time(engine: Engine, origin: Origin) -> None:
    found = failure(engine, origin, in_place(placed.waits, "worker", timeout_s=0.01))
    assert found == (ErrorKind.STAGE_TIMEOUT, "waits waited for 0.01 s in all, which is its limit")


def test_its_time_ends_a_stage_elsewhere(engine: Engine, origin: Origin, tmp_path: Path) -> None:
    stage = in_place(placed.spins, "process", timeout_s=0.05)
    kind, message = failure(engine, origin, stage)
    assert (kind, message) == (ErrorKind.STAGE_TIMEOUT, "spins was not done after 0.05 s; its process was killed")


def test_its_time_ends_the_wait_for_a_thread(runner: StageRunner, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    stage = in_place(placed.waits_for_file, "thread", timeout_s=0.01)
    try:
        with pytest.raises(StageTimeout, match=r"^waits_for_file was not done after 0\.01 s"):
            run(runner, stage, make_page(str(gate)))
        assert run(runner, in_place(placed.about, "thread"))[0] == 4  # another thread is there
    finally:
        gate.touch()


def test_what_is_done_aside_does_not_need_the_threads_that_stages_keep(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    runner = StageRunner(StageRules(wide_cpus=WIDE))
    stage = in_place(placed.waits_for_file, "thread", timeout_s=0.01)
    try:
        for _ in range(2):  # its thread, and the one that takes its place
            with pytest.raises(StageTimeout):
                run(runner, stage, make_page(str(gate)))
        with pytest.raises(StageTimeout, match="no native thread is left"):
            run(runner, stage, make_page(str(gate)))
        assert runner.aside(threading.get_native_id) != threading.get_native_id()
    finally:
        gate.touch()
        close_this_hub()


def test_what_is_done_aside_is_done_here_if_the_system_gives_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("app.cpu.threads.start_thread", no_more)
    runner = StageRunner(StageRules(wide_cpus=WIDE))
    try:
        assert runner.aside(threading.get_native_id) == threading.get_native_id()
    finally:
        close_this_hub()
