"""The scheduler's law, in a time that passes only when a stage says so."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest

from tests.support.slices import Slices


@pytest.fixture
def slices() -> Iterator[Slices]:
    made = Slices()
    yield made
    made.scheduler.close()


@pytest.fixture
def seen() -> list[object]:
    return []


def test_it_gives_what_the_function_returns(slices: Slices) -> None:
    assert slices.scheduler.run(divmod, 7, 3) == (2, 1)


def test_it_raises_what_the_function_raises(slices: Slices) -> None:
    with pytest.raises(ZeroDivisionError):
        slices.scheduler.run(divmod, 7, 0)
    assert slices.scheduler.statistics().runs == 1


def test_a_run_within_a_run_is_part_of_it(slices: Slices) -> None:
    scheduler = slices.scheduler
    assert scheduler.run(lambda: scheduler.run(lambda: scheduler.statistics().running), name="outer") == "outer"
    assert scheduler.statistics().runs == 1


def test_a_slice_that_is_used_up_ends_and_others_get_theirs(slices: Slices, seen: list[object]) -> None:
    def stage(name: str) -> None:
        for part in range(3):
            seen.append((name, part))
            slices.spend(1)

    gevent.joinall([gevent.spawn(slices.scheduler.run, stage, name) for name in "ab"], raise_error=True)
    assert seen == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]
    assert slices.scheduler.statistics().forced == 6


def test_a_tick_before_its_time_changes_nothing(slices: Slices) -> None:
    def stage() -> float:
        slices.spend(0.25)
        return slices.timer.armed_s

    assert slices.scheduler.run(stage) == 0.75
    assert slices.scheduler.statistics().forced == 0


def test_the_hub_polls_between_slices(slices: Slices, seen: list[object]) -> None:
    """A timer that is due is an I/O event as any other; callbacks are not enough."""

    def stage() -> None:
        for part in range(3):
            slices.spend(1)
            seen.append(part)

    def ticker() -> None:
        for _ in range(3):
            gevent.sleep(0.000001)
            seen.append("polled")

    gevent.joinall([gevent.spawn(ticker), gevent.spawn(slices.scheduler.run, stage)], raise_error=True)
    assert seen == ["polled", 0, "polled", 1, "polled", 2]
