"""Advice: each rule at its thresholds, and none in doubt."""

from __future__ import annotations

import pytest

from app.policy.advice import ENOUGH, HOLD_SLICES, SHORT_S, Advice, StageUse, added_up, advise
from app.policy.held import Held, bucket_of, top_of

SLICE_S = 0.002

# The longest that is still no reason, as it is read from the counts, and the next one that is.
_LIMIT = bucket_of(HOLD_SLICES * SLICE_S)
FINE, TOO_LONG = _LIMIT - 1, _LIMIT


def worker(held: Held, *, preempt: bool = True) -> StageUse:
    return StageUse(name="score", runs_in="worker", runs=held.count, held=held, preempt=preempt)


def process(runs: int, each_s: float) -> StageUse:
    """With as many runs more that failed at once."""
    seconds = runs * each_s
    return StageUse(name="score", runs_in="process", runs=2 * runs, wall_s=seconds, valued=runs, valued_s=seconds)


def texts(*uses: StageUse) -> list[str]:
    return [advice.text for advice in advise(uses, SLICE_S)]


def test_who_holds_the_hub_is_to_go_elsewhere() -> None:
    [advice] = advise([worker(Held(0, {bucket_of(0.041): ENOUGH}))], SLICE_S)
    assert advice == Advice(
        "score",
        "worker",
        "process",
        "stage 'score' held the hub 46.9 ms at p99: give it runs_in='process' (or 'thread', if it releases the "
        "GIL), or checkpoints",
    )


def test_who_forbids_it_to_be_interrupted_is_told_that_first() -> None:
    [advice] = advise([worker(Held(0, {bucket_of(0.041): ENOUGH}), preempt=False)], SLICE_S)
    assert advice.better == "preempt"
    assert advice.text.endswith("give it preempt=True, or runs_in='process'")


@pytest.mark.parametrize(
    ("held", "is_advised"),
    [
        (Held(0, {TOO_LONG: ENOUGH}), True),
        (Held(0, {TOO_LONG: ENOUGH - 1}), False),
        (Held(1, {TOO_LONG: ENOUGH - 1}), True),
        (Held(0, {FINE: 1000}), False),
        (Held(98, {TOO_LONG: 2}), True),
        (Held(99, {TOO_LONG: 1}), False),
        (Held(1000, {}), False),
        (Held(), False),
    ],
)
def test_holding_is_advised_about_where_there_is_no_doubt(held: Held, is_advised: bool) -> None:
    assert top_of(FINE) <= HOLD_SLICES * SLICE_S < top_of(TOO_LONG)
    assert bool(texts(worker(held))) is is_advised


def test_the_length_of_the_slice_counts() -> None:
    use = worker(Held(0, {bucket_of(0.04): 1000}))
    assert advise([use], 0.002)
    assert not advise([use], 0.02)


@pytest.mark.parametrize(
    ("runs", "each_s", "is_advised"),
    [
        (ENOUGH, SHORT_S * 0.99, True),
        (ENOUGH - 1, SHORT_S * 0.99, False),
        (ENOUGH, SHORT_S * 1.01, False),
        (0, 0.0, False),
    ],
)
def test_a_short_stage_is_not_worth_its_way_to_a_process(runs: int, each_s: float, is_advised: bool) -> None:
    assert bool(texts(process(runs, each_s))) is is_advised


def test_it_says_what_the_way_to_a_process_takes() -> None:
    assert texts(process(100, 0.00034)) == [
        "stage 'score' takes 0.34 ms a page with its way to a process: give it runs_in='worker'"
    ]


def test_what_runs_in_threads_is_let_alone() -> None:
    assert texts(StageUse(name="image", runs_in="thread", runs=10_000, wall_s=0.001)) == []
    assert texts(StageUse(name="image", runs_in="thread", runs=10_000, wall_s=1e6)) == []


def test_one_piece_for_each_stage_that_needs_one() -> None:
    bad = Held(0, {TOO_LONG: ENOUGH})
    uses = [worker(bad), StageUse(name="fine", runs_in="worker", runs=9, held=Held(99, {})), process(ENOUGH, 0.0001)]
    assert [advice.text.split()[2] for advice in advise(uses, SLICE_S)] == ["held", "takes"]


def test_what_several_workers_have_measured_is_added_up() -> None:
    one = StageUse(name="a", runs_in="worker", runs=1, cpu_s=0.5, held=Held(1, {3: 1}))
    two = StageUse(name="a", runs_in="worker", runs=2, cpu_s=0.25, held=Held(2, {3: 2, 4: 1}), preempt=False)
    elsewhere = StageUse(name="a", runs_in="process", runs=7, wall_s=1.5, valued=4, valued_s=1.25)
    other = StageUse(name="b", runs_in="process", runs=1, wall_s=2.0)
    assert added_up([one, elsewhere, two, other, elsewhere]) == [
        StageUse(name="a", runs_in="worker", runs=3, cpu_s=0.75, held=Held(3, {3: 3, 4: 1}), preempt=False),
        StageUse(name="a", runs_in="process", runs=14, wall_s=3.0, valued=8, valued_s=2.5),
        other,
    ]
    assert added_up([]) == []


def test_workers_that_have_too_few_each_have_enough_together() -> None:
    part = worker(Held(0, {TOO_LONG: ENOUGH // 2}))
    assert not texts(part)
    assert texts(*added_up([part, part]))
