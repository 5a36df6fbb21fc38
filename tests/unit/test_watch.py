"""Watch: each step in its time; time is handed in."""

from __future__ import annotations

import pytest

from workers.watch import Step, Watch

DEADMAN_S = 30.0


def looks(watch: Watch, from_s: float, to_s: float, deadman_s: float = DEADMAN_S) -> list[tuple[float, Step]]:
    """What it says that is not NOTHING, looked at twice a second from `from_s` on, before `to_s`."""
    found = []
    for half in range(round(from_s * 2), round(to_s * 2)):
        step = watch.look(half / 2, deadman_s)
        if step is not Step.NOTHING:
            found.append((half / 2, step))
    return found


def test_a_silent_child_is_asked_then_told_of_then_replaced() -> None:
    assert looks(Watch(0.0), 0, 30.5) == [(10.0, Step.ASK), (10.5, Step.TELL), (30.0, Step.REPLACE)]


def test_one_that_reports_is_let_alone() -> None:
    watch = Watch(0.0)
    for second in range(0, 100, 9):
        watch.heard(float(second))
        assert looks(watch, second, second + 9) == []


def test_one_that_goes_on_after_it_was_asked_is_not_told_of() -> None:
    watch = Watch(0.0)
    assert looks(watch, 0, 10.5) == [(10.0, Step.ASK)]
    watch.heard(10.2)
    assert looks(watch, 10.5, 20) == []


def test_one_that_gets_stuck_again_is_asked_again() -> None:
    watch = Watch(0.0)
    looks(watch, 0, 12)
    watch.heard(12.0)
    assert looks(watch, 12, 43) == [(22.0, Step.ASK), (22.5, Step.TELL), (42.0, Step.REPLACE)]


def test_it_is_not_told_of_before_it_can_have_answered() -> None:
    watch = Watch(0.0)
    for second in range(1, 10):
        watch.look(float(second), DEADMAN_S)
    assert watch.look(10.0, DEADMAN_S) is Step.ASK
    assert watch.look(10.01, DEADMAN_S) is Step.NOTHING
    assert watch.look(10.24, DEADMAN_S) is Step.NOTHING
    assert watch.look(10.25, DEADMAN_S) is Step.TELL
    assert watch.look(10.5, DEADMAN_S) is Step.NOTHING


@pytest.mark.parametrize("last_words", [True, False])
def test_it_is_replaced_once_however_long_it_takes_to_die(last_words: bool) -> None:
    watch = Watch(0.0)
    assert looks(watch, 0, 30.5)[-1] == (30.0, Step.REPLACE)
    if last_words:
        watch.heard(30.5)
    assert looks(watch, 30.5, 100) == []


def test_how_long_it_was_silent() -> None:
    watch = Watch(5.0)
    assert watch.silent_s(7.5) == 2.5
    watch.heard(7.0)
    assert watch.silent_s(7.5) == 0.5


@pytest.mark.parametrize(
    ("deadman_s", "gap_s"), [(30.0, 5.5), (30.0, 100.0), (12.0, 4.5), (3.0, 1.5), (1.0, 1.5), (0.1, 60.0)]
)
def test_a_watcher_that_was_held_up_begins_anew(deadman_s: float, gap_s: float) -> None:
    watch = Watch(0.0)
    assert watch.look(gap_s, deadman_s) is Step.NOTHING
    assert watch.silent_s(gap_s) == 0.0


@pytest.mark.parametrize(("deadman_s", "gap_s"), [(30.0, 4.5), (12.0, 3.5), (3.0, 0.9), (1.0, 0.9)])
def test_one_that_looks_often_enough_was_not_held_up(deadman_s: float, gap_s: float) -> None:
    watch = Watch(0.0)
    watch.look(gap_s, deadman_s)
    assert watch.silent_s(gap_s) == gap_s


@pytest.mark.parametrize("deadman_s", [0.3, 1.0, 2.0, 3.0, 60.0])
def test_a_stuck_child_is_replaced_whatever_the_deadline(deadman_s: float) -> None:
    steps = looks(Watch(0.0), 0, deadman_s + 1, deadman_s)
    when_s = next(when_s for when_s, step in steps if step is Step.REPLACE)
    assert deadman_s <= when_s < deadman_s + 0.5
    assert deadman_s < 1 or steps[0][1] is Step.ASK
