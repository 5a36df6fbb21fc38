"""Functions that are known to be short have no slice of their own, and yet their time is that of slices."""

from __future__ import annotations

import gevent
import pytest
from gevent import get_hub
from greenlet import getcurrent

from app.cpu.run import RUN
from app.errors import Draining
from tests.support.slices import Slices


def test_it_is_called_at_once_and_nothing_is_made_for_it(slices: Slices) -> None:
    def short(number: int) -> tuple[int, bool, str | None]:
        return number, RUN in getcurrent().__dict__, slices.scheduler.statistics().running

    assert slices.scheduler.run_short(short, 7, name="short") == (7, False, None)
    assert slices.timer.settings == 0
    assert slices.scheduler.statistics().slices == 0


def test_it_is_counted_as_a_stage_is(slices: Slices) -> None:
    slices.scheduler.run_short(slices.use, 0.125, name="short")
    with pytest.raises(ZeroDivisionError):
        slices.scheduler.run_short(divmod, 7, 0, name="short")
    use = slices.scheduler.statistics().uses["short"]
    assert (use.runs, use.cpu_s, use.held.count) == (2, 0.125, 2)
    assert slices.scheduler.statistics().runs == 2


def test_all_that_are_called_between_two_polls_have_one_slice_together(slices: Slices) -> None:
    polls: list[int] = []
    loop = get_hub().loop

    def short() -> None:
        slices.use(0.25)
        polls.append(loop.iteration)

    callers = [gevent.spawn(slices.scheduler.run_short, short, name="short") for _ in range(9)]
    gevent.joinall(callers, raise_error=True)
    counted = [polls.count(iteration) for iteration in sorted(set(polls))]
    assert counted[0] == 4
    assert sum(counted) == 9
    assert max(counted) == 4


def test_a_stage_gets_what_they_have_left(slices: Slices) -> None:
    slices.scheduler.run_short(slices.use, 0.75, name="short")
    assert slices.scheduler.run(lambda: slices.timer.armed_s) == 0.25


def test_who_is_in_line_goes_before_it(slices: Slices) -> None:
    seen: list[str] = []
    first = gevent.spawn(slices.scheduler.run, slices.use, 1)
    second = gevent.spawn(slices.scheduler.run, seen.append, "in line")
    third = gevent.spawn(slices.scheduler.run_short, seen.append, "short", name="short")
    gevent.joinall([first, second, third], raise_error=True)
    assert seen == ["in line", "short"]


def test_within_a_run_it_is_part_of_it(slices: Slices) -> None:
    scheduler = slices.scheduler
    assert scheduler.run(lambda: scheduler.run_short(divmod, 7, 3, name="short")) == (2, 1)
    assert "short" not in scheduler.statistics().uses


def test_a_closed_scheduler_calls_nothing(slices: Slices) -> None:
    slices.scheduler.close()
    with pytest.raises(Draining):
        slices.scheduler.run_short(divmod, 7, 3, name="short")
