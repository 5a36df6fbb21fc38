"""Native threads: real ones, held at gates that the test opens, under a clock that stands still."""

from __future__ import annotations

import _thread
import gc
import hashlib
import logging
import os
import signal
import threading
import traceback
import weakref
import zlib
from collections.abc import Callable, Iterator

import gevent
import pytest

from app.cpu.threads import NativeThreads
from app.errors import Draining, StageTimeout
from tests.support.clock import FakeClock
from tests.support.hubs import WIDE, hub_until, in_a_hub_of_its_own, thread_ids
from tests.support.processes import HANG_GUARD_S, wait_until


class Gate:
    """A function for a thread: says that it has begun, and waits until it is opened."""

    def __init__(self, name: str = "gate") -> None:
        self.name = name
        self.begun = 0
        self._lock = _thread.allocate_lock()
        self._lock.acquire()

    def __call__(self) -> str:
        self.begun += 1
        assert self._lock.acquire(timeout=HANG_GUARD_S)
        self._lock.release()
        return self.name

    def open(self) -> None:
        if self._lock.locked():
            self._lock.release()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def gates() -> Iterator[list[Gate]]:
    made = [Gate(f"gate {number}") for number in range(8)]
    yield made
    for gate in made:
        gate.open()


@pytest.fixture
def make(clock: FakeClock, gates: list[Gate]) -> Iterator[Callable[..., NativeThreads]]:
    made = []

    def make(threads: int = 1, queue: int = 0, spare: int | None = None) -> NativeThreads:
        pool = NativeThreads(threads=threads, wide_cpus=WIDE, queue=queue, spare=spare, clock=clock.clock)
        made.append(pool)
        return pool

    before = thread_ids()
    yield make
    for gate in gates:
        gate.open()
    for pool in made:
        pool.close()
    hub_until(lambda: thread_ids() <= before, "the threads ended")


def test_values_and_arguments(make: Callable[..., NativeThreads]) -> None:
    pool = make(2)
    assert pool.run(zlib.crc32, b"abc", 5) == zlib.crc32(b"abc", 5)
    data = os.urandom(1_000_000)
    found = [gevent.spawn(pool.run, lambda: hashlib.sha256(data).digest()) for _ in range(20)]
    assert {greenlet.get() for greenlet in found} == {hashlib.sha256(data).digest()}
    assert (pool.statistics().ended, pool.statistics().threads) == (21, 2)


def test_no_signal_is_taken_there_but_its_own_faults_are_seen(make: Callable[..., NativeThreads]) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    blocked = make().run(signal.pthread_sigmask, signal.SIG_BLOCK, ())
    assert {signal.SIGVTALRM, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP} <= blocked
    assert not {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT} & blocked
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3), KeyboardInterrupt(), StopIteration()])
def test_an_exception_comes_whole(make: Callable[..., NativeThreads], error: BaseException) -> None:
    def breaks() -> None:
        raise error

    pool = make()
    with pytest.raises(type(error)) as raised:
        pool.run(breaks)
    assert raised.value is error
    assert "breaks" in [step.name for step in traceback.extract_tb(error.__traceback__)]
    assert pool.run(int) == 0


def test_the_queue_is_bounded_and_the_line_in_order(make: Callable[..., NativeThreads], gates: list[Gate]) -> None:
    pool = make(1, queue=1)
    order: list[int] = []
    held = gevent.spawn(pool.run, gates[0])
    hub_until(lambda: gates[0].begun, "it began")
    later = [gevent.spawn(pool.run, order.append, number) for number in range(5)]
    gevent.idle()
    found = pool.statistics()
    assert (found.running, found.queued, found.waiting) == (1, 1, 4)
    later[0].kill()  # handed over, not begun
    later[2].kill()  # in line
    found = pool.statistics()
    assert (found.running, found.queued, found.waiting, found.overrun) == (1, 1, 2, 0)
    gates[0].open()
    gevent.joinall([held, *later])
    assert order == [1, 3, 4]


def test_a_thread_goes_on_with_the_queue_while_the_hub_is_busy(
    make: Callable[..., NativeThreads], gates: list[Gate]
) -> None:
    pool = make(1, queue=1)
    first, second = gevent.spawn(pool.run, gates[0]), gevent.spawn(pool.run, gates[1])
    hub_until(lambda: gates[0].begun, "it began")
    gates[0].open()
    with WithoutTheHub():
        begun = threading.Event()
        threading.Thread(target=lambda: _when(lambda: gates[1].begun > 0, begun)).start()
        assert begun.wait(HANG_GUARD_S)
    gates[1].open()
    assert (first.get(), second.get()) == ("gate 0", "gate 1")


def test_who_looks_before_the_bell_leaves_nobody_waiting(make: Callable[..., NativeThreads], gates: list[Gate]) -> None:
    pool = make(1, queue=0)
    greenlets = [gevent.spawn(pool.run, gate) for gate in gates[:2]]
    hub_until(lambda: gates[0].begun, "it began")
    gates[0].open()
    wait_until(lambda: len(pool._done), "it is done, and the hub has not turned")
    found = pool.statistics()
    assert (found.ended, found.waiting) == (1, 0)
    gates[1].open()
    assert [greenlet.get() for greenlet in greenlets] == ["gate 0", "gate 1"]


def test_time_in_line_is_not_counted(make: Callable[..., NativeThreads], clock: FakeClock, gates: list[Gate]) -> None:
    pool = make(1, queue=1)
    held = gevent.spawn(pool.run, gates[0])
    hub_until(lambda: gates[0].begun, "it began")
    queued = gevent.spawn(pool.run, gates[1], timeout_s=10.0)
    waiting = gevent.spawn(pool.run, gates[2], timeout_s=10.0)
    clock.advance(1000.0)
    gates[0].open()
    assert held.get() == "gate 0"
    hub_until(lambda: gates[1].begun, "it began")
    clock.advance(9.0)
    assert not queued.dead
    gates[1].open()
    gates[2].open()
    assert (queued.get(), waiting.get()) == ("gate 1", "gate 2")
    assert clock.timers == 0
    assert pool.statistics().timed_out == 0


def test_an_overrun_is_counted_and_replaced(
    make: Callable[..., NativeThreads], clock: FakeClock, gates: list[Gate]
) -> None:
    pool = make(1)
    stuck = gevent.spawn(pool.run, gates[0], timeout_s=10.0)
    hub_until(lambda: gates[0].begun, "it began")
    clock.advance(10.0)
    with pytest.raises(StageTimeout, match="10 s"):
        stuck.get()
    assert pool.run(int) == 0, "another thread is there"
    found = pool.statistics()
    assert (found.threads, found.overrun, found.overruns, found.timed_out) == (2, 1, 1, 1)
    gates[0].open()
    hub_until(lambda: pool.statistics().overrun == 0, "it came back")
    assert pool.statistics().threads == 1
    assert pool.run(int) == 0


def test_a_greenlet_killed_at_work_leaves_an_overrun(make: Callable[..., NativeThreads], gates: list[Gate]) -> None:
    pool = make(1)
    greenlet = gevent.spawn(pool.run, gates[0])
    hub_until(lambda: gates[0].begun, "it began")
    greenlet.kill()
    assert (pool.statistics().overrun, pool.statistics().running) == (1, 0)
    assert pool.run(int) == 0


def test_with_no_thread_left_nobody_waits(
    make: Callable[..., NativeThreads],
    clock: FakeClock,
    gates: list[Gate],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logging.getLogger("percore"), "propagate", True)
    pool = make(1, queue=1, spare=1)
    for gate in gates[:2]:
        greenlet = gevent.spawn(pool.run, gate, timeout_s=1.0)
        hub_until(lambda gate=gate: gate.begun, "it began")
        behind = [gevent.spawn(pool.run, int) for _ in range(3)] if gate is gates[1] else []
        clock.advance(1.0)
        with pytest.raises(StageTimeout):
            greenlet.get()
    for one in behind:
        with pytest.raises(StageTimeout, match=r"no native thread is left: 2 .*Gate"):
            one.get()
    with pytest.raises(StageTimeout, match="no native thread is left"):
        pool.run(int)
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1
    assert pool.statistics().timed_out == 6
    gates[0].open()
    hub_until(lambda: pool.statistics().overrun == 1, "one came back")
    assert pool.run(int) == 0


def test_close_gives_all_an_answer(make: Callable[..., NativeThreads], gates: list[Gate]) -> None:
    pool = make(1, queue=1)
    greenlets = [gevent.spawn(pool.run, gate) for gate in gates[:3]]
    hub_until(lambda: gates[0].begun, "it began")
    pool.close()
    pool.close()
    for greenlet in greenlets:
        with pytest.raises(Draining):
            greenlet.get()
    with pytest.raises(Draining):
        pool.run(int)
    gates[0].open()
    assert (gates[1].begun, gates[2].begun, pool.is_closed) == (0, 0, True)


def test_an_idle_thread_keeps_nothing_alive(make: Callable[..., NativeThreads]) -> None:
    class Large:
        pass

    pool = make()
    value = pool.run(lambda large: large, Large())
    seen = weakref.ref(value)
    del value
    gc.collect()
    assert seen() is None


def test_an_error_does_not_hold_its_task(make: Callable[..., NativeThreads]) -> None:
    class Seen(Exception):
        pass

    def breaks() -> None:
        raise Seen

    pool = make()
    gc.collect()
    gc.disable()
    try:
        seen = None
        try:
            pool.run(breaks)
        except Seen as error:
            seen = weakref.ref(error)
        assert seen is not None
        assert seen() is None
    finally:
        gc.enable()


def test_a_function_may_use_gevent_there(make: Callable[..., NativeThreads]) -> None:
    pool = make()
    assert pool.run(lambda: gevent.spawn(int).get()) == 0


def test_hubs_have_threads_of_their_own(make: Callable[..., NativeThreads]) -> None:
    pool = make()
    ours = pool.run(threading.get_native_id)

    def run() -> int:
        other = NativeThreads(threads=1, wide_cpus=WIDE, queue=0)
        try:
            return other.run(threading.get_native_id)
        finally:
            other.close()

    assert in_a_hub_of_its_own(run) != ours


@pytest.mark.parametrize("arguments", [{"threads": 0}, {"queue": -1}, {"spare": -1}])
def test_numbers_out_of_range(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError):
        NativeThreads(**{"threads": 1, "queue": 0, **arguments}, wide_cpus=WIDE)


class WithoutTheHub:
    """Marks a block in which this thread waits and no greenlet runs."""

    def __enter__(self) -> None:
        self._loops = gevent.get_hub().loop.iteration

    def __exit__(self, *_: object) -> None:
        assert gevent.get_hub().loop.iteration == self._loops


def _when(condition: Callable[[], bool], event: threading.Event) -> None:
    for _ in range(int(HANG_GUARD_S / 0.001)):
        if condition():
            event.set()
            return
        threading.Event().wait(0.001)
