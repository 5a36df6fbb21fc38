"""Each hazard of ending a slice inside of something: shown by the harm that it does, or by who gets in between."""

from __future__ import annotations

import gc
import importlib
import io
import logging
import queue
import signal
import sys
import threading
import weakref
from _thread import interrupt_main
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path

import gevent
import gevent.util
import pytest
from gevent import get_hub
from greenlet import greenlet

from app.cpu import no_preempt, run_sliced
from app.cpu.safe_points import SafePoints
from app.cpu.slice_timer import SIGNAL
from app.hub.per_hub import of_this_hub
from tests.support.slices import Slices


@pytest.fixture
def slices() -> Iterator[Slices]:
    made = Slices()
    yield made
    made.scheduler.close()


class Between:
    """Runs a stage that has a tick in the middle of something, and another one that would run then if it could."""

    def __init__(self, slices: Slices) -> None:
        self.slices = slices
        self.order: list[str] = []

    def tick(self, *_: object) -> None:
        """To be called in the middle."""
        self.order.append("begin")
        self.slices.spend(1)
        self.order.append("end")

    def run(self, stage: Callable[[], object], other: Callable[[], object] | None = None) -> dict[str, int]:
        """Both to their ends; gives the reasons why slices were not ended."""

        def second() -> None:
            self.order.append("other")
            if other is not None:
                other()

        scheduler = self.slices.scheduler
        gevent.joinall([gevent.spawn(scheduler.run, stage), gevent.spawn(scheduler.run, second)], raise_error=True)
        return scheduler.statistics().postponed

    @property
    def was_cut(self) -> bool:
        """Whether the other one ran in the middle."""
        return self.order[:3] == ["begin", "other", "end"]


@pytest.fixture
def between(slices: Slices) -> Between:
    return Between(slices)


def test_ordinary_code_is_cut(between: Between) -> None:
    """Else the tests below would prove nothing."""
    assert between.run(between.tick) == {}
    assert between.was_cut


# --- the interpreter ------------------------------------------------------------------------------------------------


def test_the_collector(between: Between) -> None:
    """By a weak reference's callback: a plain function, which the stack does not tell from others."""

    class Cycle:
        def __init__(self) -> None:
            self.me = self

    def stage() -> None:
        cycle = Cycle()
        kept = weakref.ref(cycle, between.tick)
        del cycle
        gc.collect()
        assert kept() is None

    gc.collect()
    assert between.run(stage) == {"gc": 1}
    assert not between.was_cut


def test_a_finalizer(between: Between) -> None:
    class Closing:
        def __del__(self) -> None:
            between.tick()

    def stage() -> None:
        Closing()

    assert between.run(stage) == {"finalizer": 1}
    assert not between.was_cut


@pytest.mark.parametrize("method", ["__eq__", "__hash__"])
def test_a_lookup(between: Between, method: str) -> None:
    """A shared functools.lru_cache is destroyed by who comes in between: a crash, so this asks for the reason only."""

    class Key:
        def __eq__(self, other: object) -> bool:
            if method == "__eq__":
                between.tick()
            return True

        def __hash__(self) -> int:
            if method == "__hash__" and not between.order:
                between.tick()
            return 1

    assert between.run(lambda: {Key(): 1}.get(Key())) == {"lookup": 1}  # type: ignore[call-overload]
    assert not between.was_cut


def test_a_generator_that_is_being_closed(between: Between) -> None:
    """Who drops it does not hear of what it raises: a kill would be lost."""

    def closes() -> Generator[int, None, None]:
        try:
            yield 1
        finally:
            between.tick()

    def stage() -> None:
        next(closes())

    assert between.run(stage) == {"generator": 1}
    assert not between.was_cut


def test_a_container_that_is_being_written(between: Between) -> None:
    """The interpreter notes per thread what it is writing, and takes a second writer for a loop."""
    texts: list[str] = []

    class Item:
        def __repr__(self) -> str:
            if not between.order:
                between.tick()
            return "item"

    shared = [Item()]
    reasons = between.run(lambda: texts.append(repr(shared)), lambda: texts.append(repr(shared)))
    assert texts == ["[item]", "[item]"]
    assert reasons == {"repr": 1}


def test_an_import(between: Between, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "percore_half_done.py").write_text("import sys\nsys.percore_tick()\nvalue = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "percore_tick", between.tick, raising=False)

    def stage() -> None:
        import percore_half_done  # type: ignore[import-not-found]  # noqa: F401

    try:
        assert between.run(stage) == {"import": 1}
    finally:
        sys.modules.pop("percore_half_done", None)
    assert not between.was_cut


# --- the standard library -------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    ("module", "hazard"),
    [
        ("importlib.util", "import"),
        ("_weakrefset", "weakref"),
        ("_pyio", "io"),
        ("socket", "io"),
        ("ssl", "io"),
        ("greenlet", "gevent"),
        ("app.cpu.scheduler", "percore"),
        ("workers.drain", "percore"),
        ("app.policy.feedback", None),
        ("json.decoder", None),
    ],
)
def test_code_is_known_by_its_file(module: str, hazard: str | None) -> None:
    points = SafePoints(boundary.__code__)
    found: list[str | None] = []
    filename = str(importlib.import_module(module).__file__)
    code = compile("look()", filename, "exec")
    boundary(lambda: exec(code, {"look": lambda: found.append(points.hazard(sys._getframe()))}))
    assert found == [hazard]


# --- gevent and ourselves -------------------------------------------------------------------------------------------


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


# --- signals that come together -------------------------------------------------------------------------------------


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
        # As if the handler had asked for it: this one is the second call, and ends the slice.
        slices.scheduler._preemption._asked = (0, 0)
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


# --- generators -----------------------------------------------------------------------------------------------------


def test_a_generator_is_cut(between: Between) -> None:
    def numbers() -> Generator[int, None, None]:
        yield 1
        between.tick()
        yield 2

    assert between.run(lambda: sum(numbers())) == {}
    assert between.was_cut


def test_a_generator_that_is_shared_needs_no_preempt(between: Between) -> None:
    def numbers() -> Generator[int, None, None]:
        while True:
            if not between.order:
                between.tick()
            yield len(between.order)

    shared = numbers()

    def stage() -> None:
        with no_preempt():
            next(shared)

    assert between.run(stage, stage) == {"no_preempt": 1}


# --- deep stacks ----------------------------------------------------------------------------------------------------


def boundary(function: Callable[[], object]) -> object:
    return function()


def unsafe(function: Callable[[], object]) -> object:
    return threading.Thread(target=function).run()  # type: ignore[func-returns-value]


def dive(depth: int, function: Callable[[], object]) -> object:
    return dive(depth - 1, function) if depth else function()


@pytest.mark.parametrize("below", [0, 1, 63, 64, 65, 200, 500])
@pytest.mark.parametrize("above", [0, 1, 63, 64, 65, 200])
def test_a_hazard_is_found_at_any_depth_again_and_again(below: int, above: int) -> None:
    points = SafePoints(boundary.__code__)
    found: list[str | None] = []

    def look() -> None:
        found.append(points.hazard(sys._getframe()))

    def look_twice() -> None:
        look()
        dive(40, look)

    boundary(lambda: (dive(100, look), dive(below, lambda: unsafe(lambda: dive(above, look_twice))), dive(100, look)))
    assert found == [None, "threading", "threading", None]


def test_a_generator_s_callers_are_looked_at_again() -> None:
    """It may have been taken up by somebody else since."""
    points = SafePoints(boundary.__code__)
    found: list[str | None] = []

    def chain(depth: int) -> Generator[None, None, None]:
        inner = chain(depth - 1) if depth else None
        for _ in range(2):
            if inner is None:
                dive(70, lambda: found.append(points.hazard(sys._getframe())))
            else:
                next(inner)
            yield

    running = chain(200)
    boundary(lambda: next(running))
    boundary(lambda: unsafe(lambda: next(running)))
    assert found == [None, "threading"]


def test_deep_frames_are_looked_at_once() -> None:
    points = SafePoints(boundary.__code__)
    looked: list[int] = []

    class Counting(dict[int, object]):
        def get(self, key: int, default: object = None) -> object:
            looked[-1] += 1
            return super().get(key, default)

    def look() -> None:
        for _ in range(2):
            looked.append(0)
            assert points.hazard(sys._getframe()) is None

    points._verdicts = Counting()  # type: ignore[assignment]
    boundary(lambda: dive(900, look))
    first, second = looked
    assert first > 900
    assert second < 150


def test_marks_keep_nothing_alive() -> None:
    points = SafePoints(boundary.__code__)

    class Thing:
        pass

    kept: list[weakref.ref[Thing]] = []

    def holds(depth: int) -> None:
        thing = Thing()
        kept.append(weakref.ref(thing))
        if depth:
            holds(depth - 1)
        else:
            assert points.hazard(sys._getframe()) is None

    boundary(lambda: holds(300))
    assert [one() for one in kept] == [None] * 301
