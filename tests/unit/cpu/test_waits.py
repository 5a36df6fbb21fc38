"""Runs that wait: they give up the core, go on when woken, and are found out when they leave unseen."""

from __future__ import annotations

from collections.abc import Callable

import gevent
import pytest
from gevent import get_hub
from gevent.event import Event
from gevent.lock import Semaphore
from greenlet import getcurrent, greenlet

from app.cpu import checkpoint
from tests.support.slices import Slices, run_all


def test_who_waits_gives_up_the_core(slices: Slices, seen: list[object]) -> None:
    gate = Event()

    def waits() -> None:
        seen.append("waits")
        gate.wait()
        seen.append("woken")

    def opens() -> None:
        statistics = slices.scheduler.statistics()
        seen.append((statistics.running, statistics.asleep))
        gate.set()

    one = gevent.spawn(slices.scheduler.run, waits)
    other = gevent.spawn(slices.scheduler.run, opens, name="opens")
    gevent.joinall([one, other], raise_error=True)
    assert seen == ["waits", ("opens", 1), "woken"]
    assert slices.scheduler.statistics().asleep == 0


def test_a_stage_that_waits_for_what_another_holds_lets_it_go_on(slices: Slices, seen: list[object]) -> None:
    lock = Semaphore()

    def stage(name: str) -> None:
        with lock:
            seen.append(name)
            slices.spend(1)
            seen.append(name)

    run_all(slices, *[lambda name=name: stage(name) for name in "abc"])  # type: ignore[misc]
    assert seen == ["a", "a", "b", "b", "c", "c"]


def test_who_was_woken_is_accounted_and_its_slice_ends(slices: Slices, seen: list[object]) -> None:
    def sleeper() -> None:
        gevent.sleep(0)
        slices.spend(1)
        seen.append("sleeper")

    def other() -> None:
        slices.spend(1)
        seen.append("other")

    gevent.joinall(
        [
            gevent.spawn(slices.scheduler.run, sleeper, name="sleeper"),
            gevent.spawn(slices.scheduler.run, other, name="other"),
        ],
        raise_error=True,
    )
    statistics = slices.scheduler.statistics()
    assert statistics.forced == 2
    assert statistics.cpu_s == {"sleeper": 1, "other": 1}


def test_who_is_woken_gets_a_little_at_least(slices: Slices) -> None:
    gate = Event()

    def uses_it_up() -> None:
        slices.use(1)
        gate.set()

    def woken() -> float:
        gate.wait()
        return slices.timer.armed_s

    waits = gevent.spawn(slices.scheduler.run, woken)
    gevent.spawn(slices.scheduler.run, uses_it_up)
    assert waits.get() == pytest.approx(0.1)


def test_the_timer_rests_while_all_stages_wait(slices: Slices) -> None:
    gate = Event()
    waiting = gevent.spawn(slices.scheduler.run, gate.wait)
    gevent.sleep(0)
    gevent.sleep(0)
    statistics = slices.scheduler.statistics()
    assert (statistics.asleep, statistics.is_armed) == (1, False)
    gate.set()
    waiting.get()


def test_a_wake_that_comes_while_it_is_in_line_is_kept_until_it_waits(slices: Slices, seen: list[object]) -> None:
    """As of any greenlet that asks the hub for a switch, goes on for a while and then waits for it."""

    def stage() -> None:
        get_hub().loop.run_callback(getcurrent().switch, "the wake")
        slices.spend(1)
        seen.append("went on")
        seen.append(get_hub().switch())

    run_all(slices, stage)
    assert seen == ["went on", "the wake"]


@pytest.mark.parametrize("is_main", [True, False])
def test_who_waits_behind_our_back_is_found_out_by_the_tick(slices: Slices, seen: list[object], is_main: bool) -> None:
    gate = Event()

    def in_hub() -> None:
        slices.spend(1)

    def waits() -> None:
        get_hub().loop.run_callback(in_hub)
        gate.wait()

    def stage() -> None:
        slices.spend(1)
        greenlet(waits).switch()

    def opens() -> None:
        slices.spend(1)
        gate.set()
        seen.append("opened")

    second = gevent.spawn(slices.scheduler.run, opens)
    if is_main:  # which the hub is a child of
        slices.scheduler.run(stage)
    else:
        gevent.joinall([gevent.spawn(slices.scheduler.run, stage), second], raise_error=True)
    assert seen == ["opened"]


@pytest.mark.parametrize("begins", ["by its turn", "woken"])
def test_a_tick_just_before_it_is_switched_to_does_not_take_it_for_gone(
    slices: Slices, monkeypatch: pytest.MonkeyPatch, begins: str
) -> None:
    """The process may have been held up there, for longer than a slice."""

    preemption = slices.scheduler._preemption
    began, late = preemption.began, []

    def began_with_delay(slice_ends_s: float, now_s: float) -> None:
        began(slice_ends_s, now_s)
        if getcurrent() is get_hub() and not late:
            late.append(slices.scheduler.current)
            slices.spend(2)

    def stage() -> str | None:
        slices.spend(1) if begins == "by its turn" else gevent.sleep(0)
        return slices.scheduler.statistics().running

    monkeypatch.setattr(preemption, "began", began_with_delay)
    assert slices.scheduler.run(stage, name="stage") == "stage"
    assert len(late) == 1
    assert slices.scheduler.statistics().postponed == {"percore": 1}


def test_a_greenlet_that_a_stage_made_waits_in_its_place(slices: Slices, seen: list[object]) -> None:
    """It switches to the hub without the scheduler being told; others go on all the same."""

    def child() -> None:
        gevent.sleep(0)
        seen.append("child")

    def stage() -> None:
        greenlet(child).switch()
        seen.append("stage")
        slices.spend(1)
        checkpoint()

    run_all(slices, stage, lambda: seen.append("other"))
    assert sorted(map(str, seen)) == ["child", "other", "stage"]
    statistics = slices.scheduler.statistics()
    assert (statistics.asleep, statistics.waiting, statistics.running) == (0, 0, None)


def in_a_greenlet_of_its_own(slices: Slices, waits: Callable[[], object]) -> Callable[[], None]:
    def stage() -> None:
        slices.use(0.25)
        greenlet(waits).switch()

    return stage


def test_a_stage_that_left_unseen_is_accounted_when_another_begins(slices: Slices) -> None:
    scheduler = slices.scheduler
    scheduler.run(in_a_greenlet_of_its_own(slices, lambda: scheduler.run(slices.use, 0.5)), name="left")
    assert scheduler.statistics().cpu_s == {"left": 0.25, "Slices.use": 0.5}


def test_a_stage_that_left_unseen_is_accounted_at_the_next_turn(slices: Slices) -> None:
    gate = Event()
    leaves = in_a_greenlet_of_its_own(slices, lambda: gevent.sleep(0.000001))

    def woken() -> None:
        gate.wait()
        leaves()

    def next_in_line() -> None:
        gate.set()
        slices.spend(1)

    one = gevent.spawn(slices.scheduler.run, woken, name="left")
    other = gevent.spawn(slices.scheduler.run, next_in_line, name="other")
    gevent.joinall([one, other], raise_error=True)
    assert slices.scheduler.statistics().cpu_s == {"left": 0.25, "other": 1}


def test_a_stage_that_left_unseen_is_accounted_when_another_is_woken(slices: Slices) -> None:
    gate = Event()

    def woken() -> None:
        gate.wait()
        slices.use(0.5)

    one = gevent.spawn(slices.scheduler.run, woken, name="woken")
    leaves = in_a_greenlet_of_its_own(slices, lambda: (gate.set(), gevent.sleep(0.000001)))
    other = gevent.spawn(slices.scheduler.run, leaves, name="left")
    gevent.joinall([one, other], raise_error=True)
    assert slices.scheduler.statistics().cpu_s == {"woken": 0.5, "left": 0.25}


def test_it_is_not_preempted_while_a_greenlet_of_its_own_runs(slices: Slices) -> None:
    slices.scheduler.run(lambda: greenlet(lambda: slices.spend(1)).switch())
    assert slices.scheduler.statistics().postponed == {"greenlet": 1}
