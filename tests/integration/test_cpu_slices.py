"""Slices with the real timer. Each stage below ends only if what it shows works; none asks how long that took."""

from __future__ import annotations

import contextvars
import decimal
import fcntl
import io
import itertools
import os
import re
import signal
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from struct import unpack
from typing import Any

import gevent
import pytest
from gevent.threadpool import ThreadPool

from app.cpu import checkpoint
from app.cpu.scheduler import Scheduler
from app.cpu.slice_timer import SIGNAL
from app.errors import StageTimeout


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    made = Scheduler()
    yield made
    made.close()


def run_both(scheduler: Scheduler, one: Callable[[], object], other: Callable[[], object]) -> None:
    gevent.joinall([gevent.spawn(scheduler.run, one), gevent.spawn(scheduler.run, other)], raise_error=True)


# --- forced ends ------------------------------------------------------------------------------------------------------


def test_a_loop_without_any_call_is_preempted(scheduler: Scheduler) -> None:
    is_over = False

    def waits_and_never_yields() -> None:
        while not is_over:
            pass

    def ends_it() -> None:
        nonlocal is_over
        is_over = True

    run_both(scheduler, waits_and_never_yields, ends_it)
    assert scheduler.statistics().forced > 0


@pytest.mark.parametrize(("before", "after", "limit"), [(0.0, 2.0, 1.0), (0, 2, 1), ("a", "c", "b")])
def test_a_loop_that_only_calls_and_compares_is_preempted(
    scheduler: Scheduler, before: Any, after: Any, limit: Any
) -> None:
    """CPython 3.11 makes one instruction of the comparison and the jump, once the function was called often."""
    state = [after]
    get = state.__getitem__

    def waits() -> None:
        while get(0) < limit:
            pass

    for _ in range(20):
        waits()
    state[0] = before
    run_both(scheduler, waits, lambda: state.__setitem__(0, after))
    assert scheduler.statistics().forced > 0


def test_the_hub_s_timers_are_served_meanwhile(scheduler: Scheduler) -> None:
    rung: list[int] = []
    gevent.spawn_later(0.001, rung.append, 1)
    gevent.spawn_later(0.01, rung.append, 2)

    def waits() -> None:
        while len(rung) < 2:
            pass

    scheduler.run(waits)


def test_sockets_are_served_meanwhile(scheduler: Scheduler) -> None:
    reading, writing = os.pipe()
    got: list[bytes] = []

    def read() -> None:
        watcher = gevent.get_hub().loop.io(reading, 1)
        gevent.get_hub().wait(watcher)
        watcher.close()
        got.append(os.read(reading, 9))

    def stage() -> None:
        os.write(writing, b"word")
        while not got:
            pass

    reader = gevent.spawn(read)
    try:
        scheduler.run(stage)
        reader.get()
    finally:
        os.close(reading)
        os.close(writing)


def test_each_stage_has_its_own_context(scheduler: Scheduler) -> None:
    variable = contextvars.ContextVar("variable", default=0)
    turns: list[int] = []

    def stage(number: int) -> None:
        variable.set(number)
        decimal.getcontext().prec = number
        try:
            raise KeyError(number)
        except KeyError as error:
            turns.append(number)
            # Until the other one has been here.
            while len(set(turns)) < 2:
                assert (variable.get(), decimal.getcontext().prec) == (number, number)
            handled = sys.exc_info()[1] is error
        assert handled
        assert (variable.get(), decimal.getcontext().prec) == (number, number)

    run_both(scheduler, lambda: stage(4), lambda: stage(5))
    assert scheduler.statistics().forced > 0


def test_a_stage_that_takes_our_signal_loses_it_at_the_next_slice(scheduler: Scheduler) -> None:
    is_looping = is_over = False

    def takes_it() -> None:
        nonlocal is_looping
        signal.signal(SIGNAL, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.001, 0.001)
        gevent.sleep(0.01)  # the other one runs, and this gets the core anew
        is_looping = True
        while not is_over:
            pass
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    def ends_it() -> None:
        nonlocal is_over
        while not is_looping:
            pass
        is_over = True

    run_both(scheduler, takes_it, ends_it)


def test_nothing_is_armed_while_nobody_runs(scheduler: Scheduler) -> None:
    run_both(scheduler, lambda: sum(range(100_000)), lambda: sum(range(100_000)))
    gevent.sleep(0)
    assert not scheduler.statistics().is_armed


# --- C functions ------------------------------------------------------------------------------------------------------


def test_a_sleep_that_holds_the_hub_is_not_cut_in_two(scheduler: Scheduler) -> None:
    """Python takes an interrupted system call up again; a switch away from there would leave it half done."""
    is_asleep = False

    def sleeps() -> None:
        nonlocal is_asleep
        is_asleep = True
        time.sleep(0.02)
        is_asleep = False
        checkpoint()

    def other() -> None:
        assert not is_asleep

    run_both(scheduler, sleeps, other)


def test_a_write_that_is_interrupted_again_and_again(scheduler: Scheduler) -> None:
    """With the buffer's lock held, and no frame that would tell: the next writer would get "reentrant call"."""
    reading, writing = os.pipe()
    shared = io.BufferedWriter(io.FileIO(writing, "w"), 16)
    size = fcntl.fcntl(writing, fcntl.F_GETPIPE_SZ)
    main = threading.get_native_id()
    pool = ThreadPool(1)
    before = signal.signal(signal.SIGUSR1, lambda *_: None)

    def interrupt_and_drain() -> None:
        while unpack("i", fcntl.ioctl(reading, termios.FIONREAD, b"\0" * 4))[0] < size:
            pass
        for _ in range(5):
            time.sleep(0.004)  # longer than a slice, so that the timer has interrupted it too
            os.kill(main, signal.SIGUSR1)
        left = 2 * (size + 1)
        while left:
            left -= len(os.read(reading, min(left, 1 << 16)))

    def write() -> None:
        shared.write(b"x" * (size + 1))
        shared.flush()

    draining = pool.spawn(interrupt_and_drain)
    try:
        run_both(scheduler, write, write)
        draining.get()
    finally:
        signal.signal(signal.SIGUSR1, before)
        pool.kill()
        shared.close()
        os.close(reading)


# --- budgets ----------------------------------------------------------------------------------------------------------


def endless_loop() -> None:
    while True:
        pass


def endless_generator() -> int:
    return sum(1 for _ in itertools.count())


def endless_sort() -> list[int]:
    return sorted([1, 2, 3], key=lambda _: endless_loop())  # type: ignore[arg-type, return-value]


def endless_match() -> object:
    return re.match(r"(a+)+$", "a" * 64 + "b")


def endless_number() -> int:
    return pow(7, 10**9)


@pytest.mark.parametrize("preempt", [True, False])
@pytest.mark.parametrize(
    "function", [endless_loop, endless_generator, endless_sort, endless_match, endless_number], ids=lambda f: f.__name__
)
def test_the_budget_ends(scheduler: Scheduler, function: Callable[[], object], preempt: bool) -> None:
    with pytest.raises(StageTimeout, match=f"^{function.__name__} used "):
        scheduler.run(function, preempt=preempt, cpu_budget_s=0.02)


def test_who_swallows_it_is_raised_at_again(scheduler: Scheduler) -> None:
    swallowed: list[BaseException] = []

    def stage() -> str:
        while len(swallowed) < 5:
            try:
                endless_loop()
            except BaseException as error:
                swallowed.append(error)
        return "done"

    with pytest.raises(StageTimeout):
        scheduler.run(stage, cpu_budget_s=0.005)
    assert {type(error) for error in swallowed} == {StageTimeout}
