"""The pipeline under a clock that stands still: from when a deadline counts, and how long attempts may take."""

from __future__ import annotations

from typing import Any

import gevent
from gevent.event import Event

from app.engine.pipeline import Pipeline
from app.engine.stage_rules import StageRules
from app.engine.stage_runner import StageRunner
from app.errors import FetchError
from app.fetching.robots import Robots
from app.fetching.slots import Slots
from app.model.job import FetchOptions
from app.model.outcome import ErrorKind
from app.model.request import Entry, Request
from app.policy.breaker import BreakerRules
from app.policy.politeness import PolitenessRules
from tests.support.clock import FakeClock
from tests.support.pages import make_page


class Session:
    """Answers with `answers` in turn, each once its gate is open, if there is one for that URL; what it was asked for,
    and in how many seconds.
    """

    def __init__(self, *answers: Exception | int) -> None:
        self.answers = list(answers)
        self.gates: dict[str, Event] = {}
        self.asked: list[tuple[str, float]] = []

    def fetch_hop(self, request: Request, *, timeout_s: float, limit_s: float) -> object:
        assert timeout_s <= limit_s
        self.asked.append((request.url, timeout_s))
        answer = self.answers.pop(0)
        if request.url in self.gates:
            self.gates[request.url].wait()
        if isinstance(answer, Exception):
            raise answer
        return make_page(status=answer)

    def next_hop(self, page: object) -> None:
        """Nothing here leads anywhere else."""


def pipeline(clock: FakeClock, session: Any, per_origin: int = 8, **options: Any) -> Pipeline:
    # The circuit stays out of this.
    rules = PolitenessRules(per_origin=per_origin, adapts=False, breaker=BreakerRules(failures=0))
    slots = Slots(rules, None, clock.clock)
    robots = Robots(session, slots, retries=0, timeout_s=1.0, clock=clock.clock)
    runner = StageRunner(StageRules(wide_cpus=frozenset({0})))
    return Pipeline(session, slots, robots, runner, options=FetchOptions(**options), clock=clock.clock)


def entry(url: str, **fields: Any) -> Entry:
    return Entry(0, Request(url=url, **fields), url)


def test_waiting_for_a_permit_is_on_nobodys_time() -> None:
    clock, session = FakeClock(), Session(200, 200)
    session.gates = {"http://a/1": Event(), "http://a/2": Event()}
    running = pipeline(clock, session, per_origin=1, timeout_s=10.0)
    first, second = (gevent.spawn(running.run, entry(url)) for url in session.gates)
    clock.advance(7.0)
    session.gates["http://a/1"].set()
    clock.settle()
    clock.advance(2.5)
    session.gates["http://a/2"].set()
    clock.settle()
    assert session.asked == [("http://a/1", 10.0), ("http://a/2", 10.0)]
    assert [run.get().elapsed_s for run in (first, second)] == [7.0, 2.5]


def test_attempts_share_one_deadline() -> None:
    refused = FetchError(ErrorKind.CONNECT_FAILED, "refused")
    clock, session = FakeClock(chance=0.5), Session(refused, 503, 200)
    running = gevent.spawn(pipeline(clock, session, timeout_s=10.0, retries=2).run, entry("http://a/"))
    clock.advance(60.0)
    # Half of 0.5 s, and then of 1 s.
    assert [timeout_s for _, timeout_s in session.asked] == [10.0, 9.75, 9.25]
    outcome = running.get()
    assert (outcome.ok, outcome.status, outcome.attempts, outcome.elapsed_s) == (True, 200, 3, 0.75)


def test_the_last_answer_or_failure_stands() -> None:
    lost = FetchError(ErrorKind.CONNECTION_LOST, "gone")
    for answers, kind, status in (([lost, 503], "http_status", 503), ([503, lost], "connection_lost", None)):
        clock, session = FakeClock(), Session(*answers)
        running = gevent.spawn(pipeline(clock, session, retries=1).run, entry("http://a/"))
        clock.advance(60.0)
        outcome = running.get()
        assert outcome.error is not None
        assert (outcome.error.kind, outcome.status, outcome.attempts) == (kind, status, 2)


def test_no_attempt_begins_after_the_deadline() -> None:
    clock, session = FakeClock(chance=0.75), Session(*[FetchError(ErrorKind.CONNECT_FAILED, "refused")] * 9)
    # The request's own limit goes before the job's.
    asked = entry("http://a/", timeout_s=1.0)
    running = gevent.spawn(pipeline(clock, session, timeout_s=100.0, retries=8).run, asked)
    clock.advance(60.0)
    assert [timeout_s for _, timeout_s in session.asked] == [1.0, 0.625]
    assert running.get().attempts == 2


def test_what_is_no_url_never_reaches_the_network() -> None:
    clock, session = FakeClock(), Session()
    outcome = pipeline(clock, session).run(entry("ftp://a/"))
    assert outcome.error is not None
    assert (outcome.error.kind, outcome.attempts, outcome.elapsed_s) == ("unsupported_scheme", 0, 0.0)
    assert session.asked == []
