from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing

import gevent
import pytest
from gevent.event import Event

from app.engine import crew
from app.model.outcome import Outcome
from app.model.request import Entry, Request


def entries(count: int) -> Iterator[Entry]:
    return (Entry(index, Request(url="http://a/"), "http://a/") for index in range(count))


def run_all(run: Callable[[Entry], Outcome], taken: Iterator[Entry], concurrency: int) -> Generator[Outcome]:
    with closing(crew.run_all(run, taken, concurrency)) as lots:
        for lot in lots:
            assert lot
            yield from lot


def done(entry: Entry) -> Outcome:
    return Outcome(index=entry.index, url=entry.url, ok=True)


@pytest.mark.parametrize(("count", "concurrency"), [(0, 3), (1, 3), (10, 3), (10, 1), (3, 10)])
def test_every_entry_has_one_outcome(count: int, concurrency: int) -> None:
    assert sorted(outcome.index for outcome in run_all(done, entries(count), concurrency)) == list(range(count))


def test_outcomes_come_in_the_order_of_completion() -> None:
    gate = Event()

    def run(entry: Entry) -> Outcome:
        if entry.index == 0:
            gate.wait()
        return done(entry)

    outcomes = run_all(run, entries(3), 2)
    assert [next(outcomes).index, next(outcomes).index] == [1, 2]
    gate.set()
    assert [outcome.index for outcome in outcomes] == [0]


def test_a_slow_reader_slows_the_crew() -> None:
    taken = 0

    def endless() -> Iterator[Entry]:
        nonlocal taken
        for entry in entries(10_000):
            taken += 1
            yield entry

    outcomes = run_all(done, endless(), 4)
    for _ in range(100):
        next(outcomes)
        gevent.idle()
    assert taken <= 100 + 2 * 4 + 1
    outcomes.close()


def test_closing_ends_what_is_in_flight() -> None:
    ended = []

    def run(entry: Entry) -> Outcome:
        if entry.index == 0:
            return done(entry)
        try:
            Event().wait()
        finally:
            ended.append(entry.index)
        raise AssertionError

    outcomes = run_all(run, entries(10), 4)
    next(outcomes)
    gevent.idle()
    outcomes.close()
    assert sorted(ended) == [1, 2, 3, 4]


def test_what_the_entries_raise_is_raised() -> None:
    def broken() -> Iterator[Entry]:
        yield from entries(2)
        raise OSError("input gone")

    with pytest.raises(OSError, match="input gone"):
        list(run_all(done, broken(), 3))


def test_entries_may_wait_on_the_hub() -> None:
    more = Event()

    def slow() -> Iterator[Entry]:
        yield from entries(1)
        more.wait()
        yield from entries(1)

    outcomes = run_all(done, slow(), 3)
    next(outcomes)
    more.set()
    assert len(list(outcomes)) == 1
