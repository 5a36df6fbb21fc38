"""Own doing: every way in which GreenletExit, KeyboardInterrupt and Draining come out of a run, by whose will."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import gevent
import pytest
from gevent import GreenletExit
from gevent.event import Event

from app.cpu.own_doing import is_own_doing
from app.errors import Draining
from tests.support.slices import Slices


@pytest.fixture
def handler() -> Iterator[Callable[[object], object]]:
    """Sets the handler of SIGINT, for the test's time."""
    before = signal.getsignal(signal.SIGINT)
    yield lambda wanted: signal.signal(signal.SIGINT, wanted)  # type: ignore[arg-type]
    signal.signal(signal.SIGINT, before)


def judged(slices: Slices, function: Callable[[], object]) -> tuple[type[BaseException], bool]:
    """What comes out of it as a run, and what is said of that."""

    def stage() -> tuple[type[BaseException], bool]:
        try:
            function()
        except BaseException as error:
            return type(error), is_own_doing(error)
        raise AssertionError("nothing came out")

    return slices.scheduler.run(stage)


def raises(error: BaseException | type[BaseException]) -> Callable[[], object]:
    def function() -> None:
        raise error

    return function


@pytest.mark.parametrize("error", [GreenletExit, GreenletExit("one"), KeyboardInterrupt, Draining("so it says")])
def test_what_it_raises_is_its_own(slices: Slices, error: BaseException | type[BaseException]) -> None:
    kind = error if isinstance(error, type) else type(error)
    assert judged(slices, raises(error)) == (kind, True)


def test_a_kill_while_it_waits_is_not(slices: Slices) -> None:
    waiting = gevent.spawn(judged, slices, Event().wait)
    gevent.idle()
    waiting.kill()
    assert waiting.value == (GreenletExit, False)


def test_a_kill_in_line_is_not(slices: Slices) -> None:
    in_line = None

    def first() -> None:
        slices.spend(1)  # the other one begins, and ends its slice in turn
        assert in_line is not None
        in_line.kill(block=False)
        slices.spend(1)

    def second() -> None:
        while True:
            slices.spend(1)

    running = gevent.spawn(slices.scheduler.run, first)
    in_line = gevent.spawn(judged, slices, second)
    gevent.joinall([running, in_line])
    assert in_line.value == (GreenletExit, False)


def test_a_kill_that_it_hands_on_after_waiting_for_something_else_is_not(slices: Slices) -> None:
    def tidies() -> None:
        try:
            Event().wait()
        except GreenletExit:
            with gevent.Timeout(0.001, False):
                Event().wait()
            raise

    waiting = gevent.spawn(judged, slices, tidies)
    gevent.idle()
    waiting.kill()
    assert waiting.value == (GreenletExit, False)


def test_an_exit_after_a_time_out_of_its_own_is_its_own(slices: Slices) -> None:
    def gives_up() -> None:
        with gevent.Timeout(0.001, False):
            Event().wait()
        raise GreenletExit

    assert judged(slices, gives_up) == (GreenletExit, True)


def test_the_end_of_the_scheduler_is_not(slices: Slices) -> None:
    def goes_on() -> None:
        while True:
            slices.spend(1)

    cut = gevent.spawn(judged, slices, goes_on)
    closing = gevent.spawn(slices.scheduler.run, slices.scheduler.close)
    gevent.joinall([cut, closing], raise_error=True)
    assert cut.value == (Draining, False)


# --- ctrl-C -----------------------------------------------------------------------------------------------------------


def ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    while True:
        pass


def test_ctrl_c_is_not(slices: Slices, handler: Callable[[object], object]) -> None:
    handler(signal.default_int_handler)
    assert judged(slices, ctrl_c) == (KeyboardInterrupt, False)


def test_ctrl_c_that_is_handed_on_is_not(slices: Slices, handler: Callable[[object], object]) -> None:
    handler(signal.default_int_handler)

    def tidies() -> None:
        try:
            ctrl_c()
        except KeyboardInterrupt:
            raise

    assert judged(slices, tidies) == (KeyboardInterrupt, False)


class Handlers:
    def method(self, *_: object) -> None:
        raise KeyboardInterrupt


def function(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("own", [function, Handlers().method])
def test_ctrl_c_by_the_programs_own_handler_is_not(
    slices: Slices, handler: Callable[[object], object], own: object
) -> None:
    handler(own)
    assert judged(slices, ctrl_c) == (KeyboardInterrupt, False)


def test_ctrl_c_in_the_hub_while_it_waits_is_not(slices: Slices, handler: Callable[[object], object]) -> None:
    """The hub hands it to the main greenlet, whose run this is."""
    handler(signal.default_int_handler)

    def waits() -> None:
        gevent.get_hub().loop.run_callback(os.kill, os.getpid(), signal.SIGINT)
        Event().wait(1000)

    assert judged(slices, waits) == (KeyboardInterrupt, False)


def test_outside_of_a_run_only_the_statement_tells() -> None:
    for error, is_own in ((GreenletExit(), True), (KeyboardInterrupt(), False)):
        assert is_own_doing(error) is is_own  # neither was raised at all
