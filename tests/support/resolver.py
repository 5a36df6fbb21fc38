"""A resolver and a clock that do as tests tell them, and greenlets that ask for names."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import gevent
import pytest

from app.errors import FetchError
from app.fetching.names import Names
from app.model.outcome import ErrorKind
from tests.support.processes import HANG_GUARD_S


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Resolver:
    """A look-up whose names each have an answer, or an error to raise, and perhaps a gate to wait at."""

    def __init__(self) -> None:
        self.answers: dict[str, Sequence[str] | BaseException] = {}
        self.gates: dict[str, threading.Event] = {}
        self.asked: list[str] = []
        self.thread_ids: set[int] = set()

    def __call__(self, name: str) -> Sequence[str]:
        self.asked.append(name)
        self.thread_ids.add(threading.get_native_id())
        if name in self.gates:
            assert self.gates[name].wait(HANG_GUARD_S)
        answer = self.answers.get(name, ["192.0.2.1"])
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def gate(self, name: str) -> threading.Event:
        """From now on look-ups of `name` wait until this is set."""
        return self.gates.setdefault(name, threading.Event())


def asking(names: Names, *hosts: str) -> list[gevent.Greenlet]:
    """Greenlets that ask for these hosts, in this order, and have got as far as they can."""
    greenlets = [gevent.spawn(names.resolve, host) for host in hosts]
    gevent.idle()
    return greenlets


def results(greenlets: Sequence[gevent.Greenlet]) -> list[object]:
    return [greenlet.get(timeout=HANG_GUARD_S) for greenlet in greenlets]


def failure_of(call: Callable[[], object]) -> FetchError:
    with pytest.raises(FetchError) as raised:
        call()
    assert raised.value.kind is ErrorKind.NAME_NOT_RESOLVED
    return raised.value


def until_idle(names: Names) -> None:
    """Lets the hub turn until no look-up is pending."""
    with gevent.Timeout(HANG_GUARD_S):
        while names.statistics().pending:
            gevent.sleep(0.001)
