"""The scheduler's law, in a time that passes only when a stage says so: calls, slices, whose turn it is."""

from __future__ import annotations

import gc
import sys

import gevent
import pytest
from gevent import get_hub
from greenlet import getcurrent

from app.cpu.run import Run
from app.cpu.scheduler import Scheduler
from tests.support.slices import Slices, run_all


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


def test_the_hub_itself_runs_nothing(slices: Slices) -> None:
    caught: list[str] = []

    def callback() -> None:
        try:
            slices.scheduler.run(divmod, 7, 3)
        except RuntimeError as error:
            caught.append(str(error))

    get_hub().loop.run_callback(callback)
    gevent.sleep(0)
    assert caught == ["the hub can't run a stage"]


def test_greenlet_and_memory_are_left_as_they_were(slices: Slices) -> None:
    def runs() -> list[Run]:
        return [one for one in gc.get_objects() if isinstance(one, Run)]

    before = runs()
    gc.disable()
    try:
        slices.scheduler.run(slices.spend, 1)
        assert not getcurrent().__dict__.keys() & {"switch", "throw", "switch_out", "_percore_run"}
        gevent.sleep(0)  # the hub is still at switching to us
        assert len(runs()) == len(before)
    finally:
        gc.enable()


def test_a_turn_serves_as_many_as_the_slice_has_room_for(slices: Slices) -> None:
    """Else each short one in line costs a poll, and a line that has once formed stays."""
    polls: list[int] = []

    def short() -> None:
        polls.append(slices.scheduler.hub.loop.iteration)

    run_all(slices, lambda: slices.spend(1), *[short] * 10)
    assert len(polls) == 10
    assert len(set(polls)) == 1


def test_a_slice_that_is_used_up_ends_and_others_get_theirs(slices: Slices, seen: list[object]) -> None:
    def stage(name: str) -> None:
        for part in range(3):
            seen.append((name, part))
            slices.spend(1)

    run_all(slices, lambda: stage("a"), lambda: stage("b"))
    assert seen == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]
    assert slices.scheduler.statistics().forced == 6


def test_a_tick_before_its_time_changes_nothing(slices: Slices) -> None:
    def stage() -> float:
        slices.spend(0.25)
        return slices.timer.armed_s

    assert slices.scheduler.run(stage) == 0.75
    assert slices.scheduler.statistics().forced == 0


def test_the_hub_polls_between_slices(slices: Slices, seen: list[object]) -> None:
    """A timer that is due is an event as any of I/O; callbacks are not enough."""

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


def test_a_short_stage_passes_the_long_ones(slices: Slices, seen: list[object]) -> None:
    def long(number: int) -> None:
        for _ in range(4):
            slices.spend(1)
            seen.append(number)

    crowd = [gevent.spawn(slices.scheduler.run, long, number) for number in range(10)]
    short = gevent.spawn_later(0, slices.scheduler.run, seen.append, "short")
    gevent.joinall([short])
    turns_before = len(seen)
    gevent.joinall(crowd, raise_error=True)
    assert turns_before <= 3
    assert sorted(map(str, seen)) == sorted([str(number) for number in range(10)] * 4 + ["short"])


def test_short_stages_start_at_once_and_share_one_slice_between_two_polls(slices: Slices, seen: list[object]) -> None:
    polls: list[int] = []
    loop = get_hub().loop

    def stage() -> None:
        slices.use(0.25)
        polls.append(loop.iteration)

    run_all(slices, *[stage] * 9)
    counted = [polls.count(iteration) for iteration in sorted(set(polls))]
    assert counted[0] == 4
    assert sum(counted) == 9
    assert max(counted) == 4


def test_nothing_is_armed_while_nothing_runs(slices: Slices) -> None:
    def stage() -> bool:
        return slices.scheduler.statistics().is_armed

    assert slices.scheduler.run(stage)
    gevent.sleep(0)
    assert not slices.scheduler.statistics().is_armed
    run_all(slices, *[lambda: slices.spend(1)] * 3)
    gevent.sleep(0)
    assert not slices.scheduler.statistics().is_armed


def test_the_timer_is_set_once_for_many_short_stages(slices: Slices) -> None:
    for _ in range(4):
        slices.scheduler.run(slices.use, 0.125)
    assert slices.timer.settings == 1
    gevent.sleep(0)
    assert slices.timer.settings == 2
    assert slices.timer.armed_s == 0
    armed_s = slices.scheduler.run(lambda: slices.timer.armed_s)
    assert armed_s == 0.5  # what is left until the hub polls


def test_who_comes_last_is_last_though_there_is_time_left(slices: Slices, seen: list[object]) -> None:
    def comes_by_io() -> None:
        gevent.sleep(0.000001)
        slices.scheduler.run(seen.append, "last")

    comes = gevent.spawn(comes_by_io)
    first = gevent.spawn(slices.scheduler.run, slices.use, 1)
    second = gevent.spawn(slices.scheduler.run, seen.append, "in line")
    gevent.joinall([first, second, comes], raise_error=True)
    assert seen == ["in line", "last"]


def test_statistics_name_the_longest_stretch(slices: Slices) -> None:
    slices.scheduler.run(slices.use, 0.5, name="short")
    slices.scheduler.run(slices.use, 7, name="long")
    longest = slices.scheduler.statistics().longest
    assert longest is not None
    assert (longest.seconds, longest.name) == (7, "long")


def test_a_function_s_own_name_is_its_name(slices: Slices) -> None:
    slices.scheduler.run(sys.getrecursionlimit)
    assert list(slices.scheduler.statistics().cpu_s) == ["getrecursionlimit"]
    assert isinstance(slices.scheduler, Scheduler)
