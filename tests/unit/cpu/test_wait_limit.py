"""How long a run may wait for anything but the core: `timeout_s` of Scheduler.run. What is short here is over at once,
what is long is never waited for; the clock of `Slices` stands still until a test moves it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import gevent
import pytest
from gevent import get_hub
from gevent.event import Event
from gevent.lock import Semaphore
from gevent.queue import Queue

from app.cpu.scheduler import Scheduler
from app.errors import StageTimeout
from tests.support.slices import Slices

SHORT_S = 0.001
LONG_S = 1e6


class Timers:
    """The hub's loop as the scheduler sees it, and the timers of runs that wait."""

    def __init__(self, slices: Slices) -> None:
        self._loop = slices.scheduler._loop
        self._made: list[Any] = []
        slices.scheduler._loop = self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def timer(self, *arguments: Any, **options: Any) -> Any:
        self._made.append(self._loop.timer(*arguments, **options))
        return self._made[-1]

    @property
    def active(self) -> int:
        return sum(timer.active for timer in self._made)

    @property
    def made(self) -> int:
        return len(self._made)


def rests(scheduler: Scheduler) -> bool:
    statistics = scheduler.statistics()
    return (statistics.waiting, statistics.asleep, statistics.running) == (0, 0, None)


WAITS: dict[str, Callable[[], object]] = {
    "event": lambda: Event().wait(),
    "lock": lambda: Semaphore(0).acquire(),
    "queue": lambda: Queue().get(),
    "sleep": lambda: gevent.sleep(LONG_S),
    "greenlet": lambda: gevent.spawn(gevent.sleep, LONG_S).join(),
    "hub": lambda: get_hub().switch(),
}


@pytest.mark.parametrize("kind", WAITS)
def test_who_waits_for_too_long_gets_stage_timeout(slices: Slices, kind: str) -> None:
    """Also where nothing else keeps the loop alive: then gevent would raise LoopExit."""
    with pytest.raises(StageTimeout, match=r"^score waited for 0.001 s in all, which is its limit$"):
        slices.scheduler.run(WAITS[kind], name="score", timeout_s=SHORT_S)
    assert rests(slices.scheduler)
    assert slices.scheduler.statistics().timeouts == 1


def test_what_the_stage_has_to_give_back_is_given_back(slices: Slices) -> None:
    lock = Semaphore(1)

    def stage() -> None:
        with lock:
            Event().wait()

    with pytest.raises(StageTimeout):
        slices.scheduler.run(stage, timeout_s=SHORT_S)
    assert lock.counter == 1


def test_it_does_not_help_to_swallow_it(slices: Slices) -> None:
    def stage() -> str:
        with suppress(StageTimeout):
            Event().wait()
        return "got away with it"

    with pytest.raises(StageTimeout):
        slices.scheduler.run(stage, timeout_s=SHORT_S)


def test_who_swallows_it_and_waits_again_has_it_again(slices: Slices) -> None:
    caught: list[str] = []

    def stage() -> None:
        for _ in range(3):
            try:
                gevent.sleep(LONG_S)
            except StageTimeout as error:
                caught.append(str(error))

    with pytest.raises(StageTimeout):
        slices.scheduler.run(stage, timeout_s=SHORT_S)
    assert len(caught) == 3
    assert rests(slices.scheduler)


def test_who_raises_something_else_for_it_is_late_all_the_same(slices: Slices) -> None:
    def stage() -> None:
        try:
            Event().wait()
        except StageTimeout:
            raise ValueError("no luck") from None

    with pytest.raises(StageTimeout) as raised:
        slices.scheduler.run(stage, timeout_s=SHORT_S)
    assert isinstance(raised.value.__cause__, ValueError)


def test_who_is_woken_in_time_pays_nothing(slices: Slices) -> None:
    gate = Event()

    def stage() -> str:
        gate.wait()
        slices.spend(1)
        gevent.sleep(0)
        return "done"

    running = gevent.spawn(slices.scheduler.run, stage, timeout_s=LONG_S)
    gevent.idle()
    gate.set()
    assert running.get() == "done"
    assert slices.scheduler.statistics().timeouts == 0


def test_no_limit_is_no_timer(slices: Slices) -> None:
    timers, gate = Timers(slices), Event()
    running = gevent.spawn(slices.scheduler.run, gate.wait)
    gevent.idle()
    assert timers.made == 0
    limited = gevent.spawn(slices.scheduler.run, gate.wait, timeout_s=LONG_S)
    gevent.idle()
    assert (timers.made, timers.active) == (1, 1)
    gate.set()
    gevent.joinall([running, limited], raise_error=True)


@pytest.mark.parametrize("how", ["woken", "killed", "killed behind our back", "too late"])
def test_the_timer_is_gone_afterwards(slices: Slices, how: str) -> None:
    timers, gate = Timers(slices), Event()
    limit_s = SHORT_S if how == "too late" else LONG_S
    running = gevent.spawn(slices.scheduler.run, gate.wait, timeout_s=limit_s)
    if how == "too late":
        with pytest.raises(StageTimeout):
            running.get()
    else:
        gevent.idle()
        assert timers.active == 1
        if how == "woken":
            gate.set()
        elif how == "killed":
            running.kill()
        else:
            get_hub().loop.run_callback(type(running).throw, running, gevent.GreenletExit)
        running.join()
    assert (timers.made, timers.active) == (1, 0)
    assert rests(slices.scheduler)


def test_the_timer_is_gone_while_it_computes(slices: Slices) -> None:
    timers, gate = Timers(slices), Event()
    seen: list[int] = []

    def stage() -> None:
        gate.wait()
        seen.append(timers.active)

    running = gevent.spawn(slices.scheduler.run, stage, timeout_s=LONG_S)
    gevent.idle()
    gate.set()
    running.get()
    assert seen == [0]


def test_waits_add_up(slices: Slices) -> None:
    """Each is shorter than the limit; the third passes it."""
    gates = [Event() for _ in range(3)]
    woken: list[int] = []

    def stage() -> None:
        for number, gate in enumerate(gates):
            gate.wait()
            woken.append(number)

    running = gevent.spawn(slices.scheduler.run, stage, name="score", timeout_s=1000)
    for gate in gates:
        gevent.idle()
        slices.now_s += 400
        gate.set()
    with pytest.raises(StageTimeout, match="score waited for 1000 s in all"):
        running.get()
    assert woken == [0, 1, 2]


def test_what_is_left_is_what_the_next_wait_has(slices: Slices) -> None:
    gate = Event()

    def stage() -> None:
        gate.wait()
        Event().wait()

    running = gevent.spawn(slices.scheduler.run, stage, timeout_s=LONG_S)
    gevent.idle()
    slices.now_s += LONG_S - SHORT_S
    gate.set()
    with pytest.raises(StageTimeout):
        running.get()


def test_waiting_in_line_does_not_count(slices: Slices) -> None:
    others = [gevent.spawn(slices.scheduler.run, lambda: [slices.spend(1) for _ in range(5)]) for _ in range(3)]
    running = gevent.spawn(slices.scheduler.run, lambda: slices.spend(1) or "done", timeout_s=0.5)
    gevent.joinall([*others, running], raise_error=True)
    assert running.value == "done"


def test_computing_does_not_count(slices: Slices) -> None:
    def stage() -> str:
        for _ in range(5):
            slices.spend(1)
        gevent.sleep(0)
        return "done"

    assert slices.scheduler.run(stage, timeout_s=0.5) == "done"


def test_others_go_on_while_one_waits_for_too_long(slices: Slices) -> None:
    running = gevent.spawn(slices.scheduler.run, Event().wait, timeout_s=SHORT_S)
    other = gevent.spawn(slices.scheduler.run, lambda: [slices.spend(1) for _ in range(3)] and "done")
    with pytest.raises(StageTimeout):
        running.get()
    assert other.get() == "done"


def test_a_kill_is_a_kill_also_when_it_is_late(slices: Slices) -> None:
    """Who waits for longer than it may, and then is killed, is not held back by that."""

    def stage() -> None:
        try:
            Event().wait()
        except StageTimeout:
            raise gevent.GreenletExit from None

    running = gevent.spawn(slices.scheduler.run, stage, timeout_s=SHORT_S)
    running.join()
    assert isinstance(running.value, gevent.GreenletExit)


def test_a_closed_scheduler_keeps_the_limit_of_who_runs_on() -> None:
    scheduler = Scheduler()

    def stage() -> None:
        scheduler.close()
        Event().wait()

    with pytest.raises(StageTimeout):
        scheduler.run(stage, timeout_s=SHORT_S)
