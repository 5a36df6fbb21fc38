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
from pathlib import Path
from struct import unpack
from typing import Any

import gevent
import pytest
from gevent.threadpool import ThreadPool

from app.cpu import checkpoint, run_sliced
from app.cpu.scheduler import Scheduler
from app.cpu.slice_timer import SIGNAL, SliceTimer
from app.cpu.sliced import scheduler_of_this_hub
from app.errors import StageTimeout
from app.hub.per_hub import close_this_hub
from tests.support.processes import running_process, wait_until


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


# --- the timer --------------------------------------------------------------------------------------------------------


def timers() -> list[str]:
    """Who gets the signals of this process's POSIX timers: proc_pid_timers(5)."""
    text = Path("/proc/self/timers").read_text()
    return [line.partition(": ")[2] for line in text.splitlines() if line.startswith("notify")]


def test_its_signal_is_sent_to_the_main_thread_only() -> None:
    before = timers()
    timer = SliceTimer(lambda _: None)
    try:
        assert timers() == [*before, f"signal/tid.{threading.get_native_id()}"]
    finally:
        timer.close()
        timer.close()
    assert timers() == before


def test_it_ticks_once_for_each_setting() -> None:
    ticks: list[object] = []
    timer = SliceTimer(ticks.append)
    try:
        assert timer.remaining_s() == 0
        timer.arm(100)
        assert 99 < timer.remaining_s() <= 100
        timer.disarm()
        assert timer.remaining_s() == 0
        timer.arm(0.0001)
        wait_until(lambda: ticks, "a tick")
        assert timer.remaining_s() == 0
        assert len(ticks) == 1
    finally:
        timer.close()
    assert timer.remaining_s() == 0
    timer.arm(0.0001)
    signal.raise_signal(SIGNAL)
    assert len(ticks) == 1


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


# --- hubs, threads, processes -----------------------------------------------------------------------------------------


def test_each_hub_has_one() -> None:
    try:
        mine = scheduler_of_this_hub(0.001)
        assert scheduler_of_this_hub() is mine
        assert run_sliced(divmod, 7, 3) == (2, 1)
        assert mine.statistics().runs == 1
    finally:
        close_this_hub()
    assert mine.is_closed
    try:
        assert scheduler_of_this_hub() is not mine
    finally:
        close_this_hub()


def test_in_another_thread_slices_end_at_checkpoints_only() -> None:
    found: list[object] = []

    def in_thread() -> None:
        scheduler = Scheduler(slice_s=0.0001)
        turns: list[str] = []

        def stage(name: str) -> None:
            while len(set(turns)) < 2:
                turns.append(name)
                checkpoint()

        gevent.joinall([gevent.spawn(scheduler.run, stage, name) for name in "ab"], raise_error=True)
        with pytest.raises(StageTimeout):
            scheduler.run(lambda: [checkpoint() for _ in itertools.count()], cpu_budget_s=0.001)
        statistics = scheduler.statistics()
        found.extend([statistics.forced, statistics.voluntary > 0, statistics.is_armed])
        scheduler.close()
        gevent.get_hub().destroy()

    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join()
    assert found == [0, True, False]


_FORKING = """
from gevent import monkey; monkey.patch_all()
import os
import gevent
from app.cpu import run_sliced
from app.cpu.sliced import scheduler_of_this_hub

def spin_until(list_):
    while len(list_) < 2:
        pass

def both_are_preempted():
    met = []
    gevent.joinall([gevent.spawn(run_sliced, lambda: (met.append(1), spin_until(met))) for _ in "ab"], raise_error=True)

def forks():
    scheduler = scheduler_of_this_hub()
    while scheduler.statistics().waiting < 2:
        pass
    child = os.fork()
    if child:
        assert os.waitpid(child, 0)[1] == 0
        return "parent"
    assert open("/proc/self/timers").read() == ""
    assert scheduler.is_closed
    sum(range(10**6))
    return "child"

both_are_preempted()
ran_in = []
def long():
    while not ran_in:
        pass
    ran_in.append(os.getpid())
in_line = [gevent.spawn(run_sliced, long) for _ in range(2)]
where = run_sliced(forks)
if where == "child":
    assert scheduler_of_this_hub().statistics().runs == 0
    both_are_preempted()
    ran_in.append("all may end")
    gevent.sleep(0.01)
    os._exit(0 if ran_in == ["all may end"] else 1)
ran_in.append("all may end")
gevent.joinall(in_line, raise_error=True)
assert ran_in[1:] == [os.getpid()] * 2

# And where somebody else forks, who is in line has its turn in the parent only.
ran_in.clear()
in_line = [gevent.spawn(run_sliced, long) for _ in range(2)]
while scheduler_of_this_hub().statistics().waiting < 2:
    gevent.sleep(0)
child = os.fork()
ran_in.append("all may end")
if not child:
    gevent.sleep(0.01)
    os._exit(0 if ran_in == ["all may end"] else 1)
assert os.waitpid(child, 0)[1] == 0
gevent.joinall(in_line, raise_error=True)
both_are_preempted()
print(where)
"""


def test_a_forked_child_starts_with_no_timer_and_nobody_in_line() -> None:
    with running_process([sys.executable, "-c", _FORKING]) as running:
        assert running.wait() == 0, running.stderr
    assert running.stdout.splitlines()[-1] == "parent"
