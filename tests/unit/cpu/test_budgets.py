"""Budgets: a run that uses more CPU time than it may is a StageTimeout, whatever it does."""

from __future__ import annotations

import sys
import threading

import gevent
import pytest
from gevent import GreenletExit
from greenlet import greenlet

from app.cpu import checkpoint, no_preempt
from app.errors import StageTimeout
from tests.support.slices import Slices, no_signals


def test_beyond_its_budget_a_stage_times_out_inside(slices: Slices, seen: list[object]) -> None:
    def stage() -> None:
        try:
            while True:
                slices.spend(1)
        except StageTimeout as error:
            seen.append(str(error))
            raise

    with pytest.raises(StageTimeout):
        slices.scheduler.run(stage, name="greedy", cpu_budget_s=2.5)
    assert seen == ["greedy used 3.000 s of CPU time; its budget is 2.5 s"]
    assert slices.scheduler.statistics().timeouts == 1


def test_who_swallows_it_gets_it_again_and_is_reported(slices: Slices, seen: list[object]) -> None:
    def stage() -> str:
        for _ in range(5):
            try:
                slices.spend(1)
            except BaseException as error:
                seen.append(type(error))
        return "as if nothing had been"

    with pytest.raises(StageTimeout):
        slices.scheduler.run(stage, cpu_budget_s=1.5)
    assert seen == [StageTimeout] * 4


def test_who_swallows_it_does_not_hold_the_hub(slices: Slices, seen: list[object]) -> None:
    def stage() -> None:
        for _ in range(3):
            try:
                slices.spend(1)
            except StageTimeout:
                seen.append("swallowed")

    def ticker() -> None:
        for _ in range(3):
            gevent.sleep(0.000001)
            seen.append("polled")

    running = gevent.spawn(slices.scheduler.run, stage, cpu_budget_s=0.5)
    gevent.joinall([gevent.spawn(ticker), running])
    assert seen == ["polled", "swallowed"] * 3
    assert isinstance(running.exception, StageTimeout)


def test_what_it_raises_instead_is_the_cause(slices: Slices) -> None:
    def stage() -> None:
        try:
            slices.spend(1)
        except StageTimeout:
            raise KeyError("instead") from None

    with pytest.raises(StageTimeout) as caught:
        slices.scheduler.run(stage, cpu_budget_s=0.5)
    assert isinstance(caught.value.__cause__, KeyError)


def test_one_c_function_that_used_more_than_the_budget_is_reported(slices: Slices) -> None:
    with pytest.raises(StageTimeout):
        slices.scheduler.run(slices.use, 3, cpu_budget_s=2)


def test_killing_it_is_not_hidden_by_its_budget(slices: Slices) -> None:
    def stage() -> None:
        slices.use(3)
        raise GreenletExit

    with pytest.raises(GreenletExit):
        slices.scheduler.run(stage, cpu_budget_s=2)


def test_time_in_line_and_asleep_costs_no_budget(slices: Slices) -> None:
    def stage() -> None:
        slices.spend(1)
        gevent.sleep(0)
        slices.spend(1)

    running = [gevent.spawn(slices.scheduler.run, stage, cpu_budget_s=2) for _ in range(4)]
    gevent.joinall(running, raise_error=True)


def test_the_budget_holds_without_preemption(slices: Slices) -> None:
    def stage() -> None:
        while True:
            slices.spend(1)

    with pytest.raises(StageTimeout):
        slices.scheduler.run(stage, preempt=False, cpu_budget_s=3)


def test_the_budget_is_raised_at_checkpoints_too(slices: Slices) -> None:
    def stage() -> None:
        while True:
            slices.use(1)
            checkpoint()

    with pytest.raises(StageTimeout):
        slices.scheduler.run(stage, cpu_budget_s=3)


def test_in_no_preempt_the_budget_has_a_second_of_grace(slices: Slices, seen: list[object]) -> None:
    def stage() -> None:
        with no_preempt():
            while True:
                slices.spend(0.5)
                seen.append(slices.cpu_s)

    with pytest.raises(StageTimeout):
        slices.scheduler.run(stage, cpu_budget_s=2)
    assert seen == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]


def test_the_budget_is_not_raised_where_it_would_be_swallowed(slices: Slices, seen: list[object]) -> None:
    class Closing:
        def __del__(self) -> None:
            slices.spend(9)
            seen.append("closed")

    def stage() -> None:
        Closing()
        slices.tick()
        seen.append("went on")

    with pytest.raises(StageTimeout):
        slices.scheduler.run(stage, cpu_budget_s=1)
    assert seen == ["closed"]


def test_where_it_could_leave_something_half_done_the_budget_has_grace(slices: Slices) -> None:
    """An action of a barrier is called with its lock held."""

    def action() -> None:
        slices.spend(1.5)
        slices.spend(0.4)
        reached.append(slices.cpu_s)
        slices.spend(0.2)
        reached.append(slices.cpu_s)

    reached: list[float] = []
    with pytest.raises(StageTimeout):
        slices.scheduler.run(threading.Barrier(1, action=action).wait, cpu_budget_s=1)
    assert reached == [1.9]


def test_a_c_function_that_seldom_looks_for_signals_is_left_by_the_budget(slices: Slices) -> None:
    def stage() -> None:
        slices.use(1)
        frame = sys._getframe().f_back
        with no_signals():
            for _ in range(5):
                slices.use(0.25)
                slices.timer.on_tick(frame)
                reached.append(slices.cpu_s)

    reached: list[float] = []
    with pytest.raises(StageTimeout):
        slices.scheduler.run(stage, cpu_budget_s=1.5)
    assert reached == [1.25, 1.5]


def test_a_stage_s_own_greenlet_uses_its_budget(slices: Slices) -> None:
    def endless() -> None:
        while True:
            slices.spend(1)

    with pytest.raises(StageTimeout):
        slices.scheduler.run(lambda: greenlet(endless).switch(), cpu_budget_s=2)
