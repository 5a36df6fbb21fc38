"""Robots with a clock that stands still and a session that answers as told; tests/integration has real servers."""

from __future__ import annotations

import gevent
import pytest
from gevent.event import Event

from app.engine.pipeline import Pipeline
from app.engine.stage_rules import StageRules
from app.engine.stage_runner import StageRunner
from app.errors import Draining, FetchError, InvalidRequest
from app.fetching.robots import Robots, RobotsStatistics
from app.fetching.slots import Slots
from app.model.job import FetchOptions
from app.model.outcome import ErrorKind
from app.model.request import Entry, Request
from app.policy.politeness import PolitenessRules
from app.policy.robots import TTL_S, UNREACHABLE_TTL_S
from app.policy.urls import Origin, origin_of
from tests.support.clock import FakeClock
from tests.support.pages import make_page

A = Origin("http", "a", 80)

DENY = "User-agent: *\nDisallow: /no\nCrawl-delay: 4"


class FakeSession:
    """answers: by URL, a page's (status, text) or an error; fetched: the URLs asked for; limits_s: the time that each
    had, and the limit of the whole; gate: all wait for it.
    """

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, str] | Exception] = {}
        self.fetched: list[str] = []
        self.limits_s: list[tuple[float, float | None]] = []
        self.gate = Event()
        self.gate.set()

    def fetch(self, request: Request, *, timeout_s: float, limit_s: float | None = None) -> object:
        self.fetched.append(request.url)
        self.limits_s.append((timeout_s, limit_s))
        self.gate.wait()
        answer = self.answers.get(request.url, (404, ""))
        if isinstance(answer, Exception):
            raise answer
        return make_page(answer[1], status=answer[0])

    fetch_hop = fetch

    def next_hop(self, page: object) -> None:
        """Nothing here leads anywhere else."""


class World:
    """Robots and all that they need. retries: 0, so that each question is one fetch."""

    def __init__(self, **options: int) -> None:
        self.clock = FakeClock()
        self.session = FakeSession()
        self.slots = Slots(PolitenessRules(), None, self.clock.clock)
        self.robots = Robots(
            self.session,
            self.slots,
            clock=self.clock.clock,
            **({"retries": 0} | options),  # type: ignore[arg-type]
        )

    def admit(self, url: str = "http://a/yes") -> float:
        return self.robots.admit(url, origin_of(url))

    def ask(self, url: str = "http://a/yes") -> gevent.Greenlet[..., float]:
        greenlet = gevent.spawn(self.admit, url)
        self.clock.settle()
        return greenlet


@pytest.fixture
def world() -> World:
    return World()


def test_rules_are_asked_for_once_and_kept_for_a_day(world: World) -> None:
    world.session.answers["http://a/robots.txt"] = (200, DENY)
    assert world.admit() == 4.0
    with pytest.raises(FetchError) as caught:
        world.admit("http://a/no/x")
    assert caught.value.kind is ErrorKind.ROBOTS_DENIED
    world.clock.now_s += TTL_S - 1
    world.admit()
    assert world.session.fetched == ["http://a/robots.txt"]
    world.clock.now_s += 1
    world.admit()
    assert len(world.session.fetched) == 2


def test_all_who_ask_meanwhile_wait_for_one_fetch(world: World) -> None:
    world.session.gate.clear()
    greenlets = [world.ask(f"http://a/{n}") for n in range(100)]
    assert world.robots.statistics() == RobotsStatistics(cached=0, pending=1, waiting=100)
    world.session.gate.set()
    gevent.joinall(greenlets)
    assert world.session.fetched == ["http://a/robots.txt"]
    assert world.robots.statistics() == RobotsStatistics(cached=1, pending=0, waiting=0)


def test_the_fetch_outlives_the_first_who_asked_but_not_the_last(world: World) -> None:
    world.session.gate.clear()
    first, second = world.ask(), world.ask()
    first.kill()
    world.clock.settle()
    assert world.slots.statistics().in_flight == 1
    second.kill()
    world.clock.settle()
    assert world.slots.statistics().in_flight == 0
    assert world.robots.statistics() == RobotsStatistics(cached=0, pending=0, waiting=0)
    world.session.gate.set()
    assert world.ask().get() == 0.0, "the next one asks anew"
    assert len(world.session.fetched) == 2


def test_what_could_not_be_had_is_asked_for_again_soon(world: World) -> None:
    world.session.answers["http://a/robots.txt"] = (503, "")
    for _ in range(3):
        with pytest.raises(FetchError, match="answered 503"):
            world.admit()
    assert len(world.session.fetched) == 1
    world.session.answers["http://a/robots.txt"] = (404, "")
    world.clock.now_s += UNREACHABLE_TTL_S
    world.admit()
    assert len(world.session.fetched) == 2


def test_what_failed_for_want_of_something_here_is_asked_for_again_at_once(world: World) -> None:
    world.session.answers["http://a/robots.txt"] = FetchError(ErrorKind.CONNECT_FAILED, "no socket", is_local=True)
    for _ in range(2):
        with pytest.raises(FetchError, match="no socket"):
            world.admit()
    assert len(world.session.fetched) == 2
    assert world.slots.statistics().remembered == 0, "and nothing is held against the origin"
    world.session.answers["http://a/robots.txt"] = (404, "")
    assert world.admit() == 0.0


def test_an_old_copy_goes_on_while_there_is_no_new_one(world: World) -> None:
    world.session.answers["http://a/robots.txt"] = (200, DENY)
    world.admit()
    world.clock.now_s += TTL_S
    world.session.answers["http://a/robots.txt"] = FetchError(ErrorKind.CONNECTION_LOST, "lost")
    assert world.admit() == 4.0
    with pytest.raises(FetchError, match="disallows"):
        world.admit("http://a/no")
    assert len(world.session.fetched) == 2
    world.clock.now_s += UNREACHABLE_TTL_S
    world.session.answers["http://a/robots.txt"] = (404, "")
    assert world.admit("http://a/no") == 0.0


@pytest.mark.parametrize(
    ("answer", "attempts"),
    [
        ((503, ""), 3),
        ((404, ""), 1),
        ((200, DENY), 1),
        (FetchError(ErrorKind.CONNECT_FAILED, "refused"), 3),
        (FetchError(ErrorKind.TLS_FAILED, "expired"), 1),
    ],
)
def test_failures_are_repeated_as_with_any_fetch(answer: tuple[int, str] | Exception, attempts: int) -> None:
    world = World(retries=2)
    world.session.answers["http://a/robots.txt"] = answer
    asking = world.ask()
    world.clock.advance(10.0)
    assert asking.dead
    assert len(world.session.fetched) == attempts


def test_each_attempt_knows_the_limit_of_them_all() -> None:
    """For its words: what is left by then means nothing to who set the limit."""
    world = World(retries=1, timeout_s=30)
    world.clock.chance = 0.5
    world.session.answers["http://a/robots.txt"] = (503, "")
    asking = world.ask()
    del world.session.answers["http://a/robots.txt"]
    world.clock.advance(0.25)
    assert asking.get() == 0.0
    assert world.session.limits_s == [(30.0, 30), (29.75, 30)]


def test_the_crawl_delay_counts_from_the_fetch_of_robots_txt(world: World) -> None:
    world.session.answers["http://a/robots.txt"] = (200, DENY)
    began: list[float] = []

    def fetch() -> None:
        with world.slots.hold(A, world.admit()):
            began.append(world.clock.now_s)

    greenlets = [gevent.spawn(fetch) for _ in range(2)]
    world.clock.advance(20.0)
    assert began == [1004.0, 1008.0]
    gevent.joinall(greenlets)


def test_requests_bring_the_crawl_delay_to_a_slot_that_has_forgotten_it(world: World) -> None:
    world.session.answers["http://a/robots.txt"] = (200, DENY)
    world.session.answers["http://a/yes"] = (200, "")
    world.admit()
    world.clock.now_s += 100.0
    assert world.slots.statistics().origins == 0
    pipeline = Pipeline(
        world.session,  # type: ignore[arg-type]
        world.slots,
        world.robots,
        StageRunner(StageRules(wide_cpus=frozenset({0}))),
        options=FetchOptions(robots="obey"),
        clock=world.clock.clock,
    )
    runs = [gevent.spawn(pipeline.run, Entry(0, Request(url="http://a/yes"), "http://a/yes")) for _ in range(2)]
    world.clock.settle()
    assert world.session.fetched.count("http://a/yes") == 1
    world.clock.advance(4.0)
    assert world.session.fetched.count("http://a/yes") == 2
    assert [run.get().ok for run in runs] == [True, True]


def test_an_open_circuit_is_no_answer_to_keep(world: World) -> None:
    with world.slots.hold(A) as permit:
        for _ in range(5):
            permit.failed(FetchError(ErrorKind.CONNECT_FAILED, "refused"))
    asking = world.ask()
    assert not world.session.fetched, "it waits for the cool-down"
    world.session.answers["http://a/robots.txt"] = FetchError(ErrorKind.CONNECT_FAILED, "refused")
    world.clock.advance(1.0)
    assert "refused" in str(asking.exception)
    for _ in range(2):
        world.clock.advance(UNREACHABLE_TTL_S - 1)
        with world.slots.hold(A) as permit:
            permit.failed(FetchError(ErrorKind.CONNECT_FAILED, "refused"))
    world.clock.now_s += 1
    with pytest.raises(FetchError) as caught:
        world.admit()
    assert caught.value.kind is ErrorKind.CIRCUIT_OPEN
    assert len(world.session.fetched) == 1
    world.session.answers["http://a/robots.txt"] = (404, "")
    world.clock.now_s += 20.0
    assert world.admit() == 0.0, "the circuit decides when it is asked again"


def test_draining_and_defects_reach_all_who_wait_and_are_not_kept(world: World) -> None:
    world.session.answers["http://a/robots.txt"] = InvalidRequest("no")
    with pytest.raises(InvalidRequest):
        world.admit()
    world.slots.drain()
    with pytest.raises(Draining):
        world.admit()
    assert world.robots.statistics() == RobotsStatistics(cached=0, pending=0, waiting=0)


@pytest.mark.parametrize("options", [{"max_entries": 3}, {"max_bytes": 3 * len(DENY) + 9}])
def test_the_longest_unused_make_room(options: dict[str, int]) -> None:
    world = World(**options)
    for host in "abcd":
        world.session.answers[f"http://{host}/robots.txt"] = (200, DENY.replace("Crawl-delay", "Nothing"))
        world.admit(f"http://{host}/")
        world.admit("http://a/")
    assert world.robots.statistics().cached == 3
    world.admit("http://a/")
    assert world.session.fetched.count("http://a/robots.txt") == 1
    world.admit("http://b/")
    assert world.session.fetched.count("http://b/robots.txt") == 2
