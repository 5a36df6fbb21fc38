"""Hazards of ending a slice inside of the standard library, of gevent, of Percore itself and of signal handlers."""

from __future__ import annotations

import io
import logging
import queue
import signal
import threading
import weakref
from _thread import interrupt_main
from functools import partial

import gevent
import gevent.util
import pytest
from gevent import get_hub
from greenlet import greenlet

from app.cpu import run_sliced
from app.cpu.slice_timer import SIGNAL
from app.hub.per_hub import of_this_hub
from tests.support.between import Between
from tests.support.slices import Slices


def test_logging(between: Between) -> None:
    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            between.tick()

    log = logging.Logger("of this test")
    log.addHandler(Handler())
    assert between.run(lambda: log.error("word")) == {"logging": 1}
    assert not between.was_cut


def test_threading(between: Between) -> None:
    barrier = threading.Barrier(1, action=between.tick)
    assert between.run(barrier.wait) == {"threading": 1}
    assert not between.was_cut


def test_queues(between: Between) -> None:
    class Slow(queue.Queue[int]):
        def _put(self, item: int) -> None:
            between.tick()
            super()._put(item)

    assert between.run(lambda: Slow().put(1)) == {"queue": 1}
    assert not between.was_cut


def test_weak_references(between: Between) -> None:
    class Thing:
        pass

    def stage() -> None:
        thing = Thing()
        weakref.finalize(thing, between.tick)
        del thing

    assert between.run(stage) == {"weakref": 1}
    assert not between.was_cut


def test_a_raw_stream_beneath_a_buffer(between: Between) -> None:
    """The buffer's lock knows threads, not greenlets: whoever comes next gets "reentrant call"."""

    class Raw(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            if not between.order:
                between.tick()
            return len(memoryview(data))  # type: ignore[arg-type]

    shared = io.BufferedWriter(Raw(), 1)

    def write() -> None:
        shared.write(b"word")
        shared.flush()

    assert between.run(write, write) == {"io": 1}


def test_a_buffer_that_looks_for_signals_after_each_piece(between: Between) -> None:
    """By then no frame of the raw stream is on the stack, and the lock is still held."""

    class Raw(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            length = len(memoryview(data))  # type: ignore[arg-type]
            if not between.order:
                between.order.append("begin")
                between.slices.use(1)
                signal.raise_signal(SIGNAL)
            return length

    shared = io.BufferedWriter(Raw(), 1)

    def write() -> None:
        shared.write(b"word")
        shared.flush()

    between.run(write, write)
    assert between.order == ["begin", "other"]


def test_gevent(between: Between) -> None:
    assert between.run(gevent.util.wrap_errors(ValueError, between.tick)) == {"gevent": 1}
    assert not between.was_cut


def test_percore(between: Between) -> None:
    class Kept:
        is_closed = True

        def __init__(self) -> None:
            between.tick()

        def close(self) -> None:
            pass

        abandon = close

    assert between.run(lambda: of_this_hub("of this test", Kept)) == {"percore": 1}
    assert not between.was_cut


def test_a_run_within_a_run_is_cut(between: Between) -> None:
    assert between.run(lambda: run_sliced(between.slices.scheduler.run, between.tick)) == {}
    assert between.was_cut


def test_the_hub(slices: Slices) -> None:
    """It may run while a stage has the core by our account: a greenlet of the stage's own waits."""
    caught: list[object] = []

    def in_hub() -> None:
        slices.use(2)
        try:
            slices.tick()
            slices.tick()
        except BaseException as error:
            caught.append(error)

    def stage() -> None:
        get_hub().loop.run_callback(in_hub)
        greenlet(lambda: gevent.sleep(0)).switch()

    slices.scheduler.run(stage)
    gevent.sleep(0)
    assert caught == []
    assert slices.scheduler.statistics().forced == 0


def test_another_greenlet_than_a_stage_s(slices: Slices) -> None:
    def stage() -> None:
        other.switch()

    def outsider() -> None:
        slices.use(2)
        slices.tick()
        slices.tick()

    other = greenlet(outsider, get_hub())
    leaves = gevent.spawn(slices.scheduler.run, stage)
    gevent.idle()
    assert slices.scheduler.statistics().forced == 0
    leaves.kill()


@pytest.mark.parametrize("form", ["function", "method", "partial", "object"])
def test_somebody_elses_signal_handler(between: Between, form: str) -> None:
    """Who sent the signal waits for what it does."""

    class Called:
        def __call__(self, *_: object) -> None:
            between.tick()

        def method(self, *_: object) -> None:
            between.tick()

    def function(*_: object) -> None:
        between.tick()

    handlers = {
        "function": function,
        "method": Called().method,
        "partial": partial(function, "more"),
        "object": Called(),
    }
    before = signal.signal(signal.SIGUSR2, handlers[form])
    try:
        postponed = between.run(lambda: signal.raise_signal(signal.SIGUSR2))
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert "handler" in postponed
    assert not between.was_cut


def test_signals_with_higher_numbers_are_not_left_behind(slices: Slices) -> None:
    """One that is found in the very look in which the slice ends is handled before anybody's next slice."""
    seen: list[str] = []

    def stage() -> None:
        slices.use(1)
        both, loop = map(interrupt_main, (SIGNAL, signal.SIGWINCH)), iter("ab")
        _, _ = both
        for _ in loop:
            pass  # and here both are found
        seen.append("stage goes on")

    scheduler = slices.scheduler
    before = signal.signal(signal.SIGWINCH, lambda *_: seen.append("handler"))
    try:
        stages = [gevent.spawn(scheduler.run, stage), gevent.spawn(scheduler.run, seen.append, "other stage")]
        gevent.joinall(stages, raise_error=True)
    finally:
        signal.signal(signal.SIGWINCH, before)
    assert seen == ["handler", "other stage", "stage goes on"]
    assert scheduler.statistics().forced == 1
