"""Runs that are cut off from outside: killed, timed out, or in line when the scheduler closes."""

from __future__ import annotations

import gevent
import pytest
from gevent import GreenletExit, get_hub
from gevent.event import Event
from greenlet import greenlet

from app.cpu import checkpoint
from app.errors import Draining
from tests.support.slices import Slices


def rests(slices: Slices) -> bool:
    statistics = slices.scheduler.statistics()
    return (statistics.waiting, statistics.asleep, statistics.running) == (0, 0, None)


def test_killed_in_line(slices: Slices, seen: list[object]) -> None:
    victims: list[gevent.Greenlet] = []

    def kills() -> None:
        slices.spend(1)
        assert slices.scheduler.statistics().waiting == 1
        victims[0].kill()

    killer = gevent.spawn(slices.scheduler.run, kills)
    slices_left = gevent.spawn(slices.scheduler.run, slices.spend, 1)
    victims.append(gevent.spawn(slices.scheduler.run, seen.append, "ran"))
    gevent.joinall([killer, slices_left, *victims], raise_error=True)
    assert rests(slices)


def test_killed_before_its_first_turn(slices: Slices, seen: list[object]) -> None:
    def uses_it_up() -> None:
        slices.use(1)

    first = gevent.spawn(slices.scheduler.run, uses_it_up)
    victim = gevent.spawn(slices.scheduler.run, seen.append, "ran")
    get_hub().loop.run_callback(lambda: gevent.spawn(victim.kill))
    gevent.joinall([first, victim])
    assert isinstance(victim.value, GreenletExit)
    assert seen == []
    assert rests(slices)


def test_killed_where_it_was_preempted(slices: Slices, seen: list[object]) -> None:
    def victim() -> None:
        try:
            slices.spend(1)
        finally:
            seen.append("cleaned up")
            checkpoint()

    dying = gevent.spawn(slices.scheduler.run, victim)
    gevent.spawn(dying.kill)
    gevent.joinall([dying])
    assert isinstance(dying.value, GreenletExit)
    assert seen == ["cleaned up"]
    assert rests(slices)


def test_killed_while_it_waits(slices: Slices) -> None:
    dying = gevent.spawn(slices.scheduler.run, Event().wait)
    gevent.sleep(0)
    dying.kill()
    assert rests(slices)
    assert slices.scheduler.statistics().runs == 1


def test_killed_behind_our_back(slices: Slices) -> None:
    """By greenlet's own throw, past what the run has put in place of it."""
    dying = gevent.spawn(slices.scheduler.run, Event().wait)
    gevent.sleep(0)
    get_hub().loop.run_callback(greenlet.throw, dying, GreenletExit)
    dying.join()
    assert rests(slices)


def test_a_timeout_around_it_passes_through(slices: Slices) -> None:
    def stage() -> None:
        while True:
            slices.spend(1)

    with pytest.raises(gevent.Timeout), gevent.Timeout(0.001):
        slices.scheduler.run(stage)
    assert rests(slices)


def test_a_stage_that_catches_a_timeout_goes_on_under_the_scheduler(slices: Slices) -> None:
    def stage() -> str | None:
        with gevent.Timeout(0.001, False):
            Event().wait()
        slices.spend(1)
        return slices.scheduler.statistics().running

    assert slices.scheduler.run(stage, name="stage") == "stage"
    assert slices.scheduler.statistics().forced == 1


def test_closing_wakes_who_is_in_line(slices: Slices, seen: list[object]) -> None:
    def closes() -> None:
        slices.use(1)
        gevent.sleep(0)
        slices.scheduler.close()
        slices.scheduler.close()
        slices.spend(1)
        checkpoint()
        seen.append("went on")

    first = gevent.spawn(slices.scheduler.run, closes)
    second = gevent.spawn(slices.scheduler.run, seen.append, "ran")
    gevent.joinall([first, second])
    assert seen == ["went on"]
    assert isinstance(second.exception, Draining)
    with pytest.raises(Draining, match="closed"):
        slices.scheduler.run(divmod, 7, 3)
