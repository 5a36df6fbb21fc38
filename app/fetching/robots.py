"""Robots: each origin's robots.txt, fetched once for all who ask, and kept.

What it means is decided in `app.policy.robots`; here it is fetched: through the session, so under the same address
policy, and in a slot of its origin like every other fetch, so at its distance and under its circuit. Failures are
repeated as `app.policy.retry` says. One fetch an origin at a time: whoever asks meanwhile waits for it. It ends when
nobody waits for it any more.

Bounded: MAX_ENTRIES origins and MAX_BYTES of text; the one that was asked for longest ago makes room.
"""

from __future__ import annotations

from collections import OrderedDict

import gevent
import msgspec
from gevent.event import AsyncResult

from app.errors import FetchError
from app.fetching.permit import Permit
from app.fetching.session import Session
from app.fetching.slots import Slots
from app.hub.clock import Clock
from app.model.outcome import ErrorKind
from app.model.request import Request
from app.policy.deadline import Deadline
from app.policy.retry import Attempt, parse_retry_after_s, pause_s
from app.policy.robots import UNREACHABLE_TTL_S, RobotsRules, robots_url, rules_of_answer, rules_of_failure
from app.policy.urls import Origin

MAX_ENTRIES = 10_000
MAX_BYTES = 32 * 1024 * 1024


class RobotsStatistics(msgspec.Struct, frozen=True):
    """A snapshot. cached: origins whose rules are kept; pending: fetches under way; waiting: greenlets that wait."""

    cached: int
    pending: int
    waiting: int


class Robots:
    """All robots.txt files of one hub.

    retries    attempts after the first
    timeout_s  deadline of one fetch, attempts included
    """

    def __init__(
        self,
        session: Session,
        slots: Slots,
        *,
        retries: int = 2,
        timeout_s: float = 30.0,
        clock: Clock | None = None,
        max_entries: int = MAX_ENTRIES,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._session = session
        self._slots = slots
        self._retries = retries
        self._timeout_s = timeout_s
        self._clock = clock or Clock()
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        # Mutable state, changed in this hub's thread only, and never across a switch: origin -> (rules, until when
        # they are good), the longest unused first; and the fetches under way.
        self._kept: OrderedDict[Origin, tuple[RobotsRules, float]] = OrderedDict()
        self._kept_bytes = 0
        self._pending: dict[Origin, _Asking] = {}

    def admit(self, url: str, origin: Origin) -> float:
        """Seconds of Crawl-delay that `origin` asks for (0 for none), if its robots.txt allows `url`.

        Raises FetchError: ROBOTS_DENIED, or the origin's own failure when it can't be reached at all. Draining after
        the slots were drained. Yields to the hub unless the file is known.
        """
        rules = self._rules_of(origin)
        denial = rules.denial_of(url)
        if denial is not None:
            raise FetchError(*denial)
        return rules.crawl_delay_s

    def statistics(self) -> RobotsStatistics:
        """Counts at this moment."""
        return RobotsStatistics(
            cached=len(self._kept),
            pending=len(self._pending),
            waiting=sum(asking.waiters for asking in self._pending.values()),
        )

    def _rules_of(self, origin: Origin) -> RobotsRules:
        kept = self._kept.get(origin)
        if kept is not None:
            self._kept.move_to_end(origin)
            if self._clock.monotonic_s() < kept[1]:
                return kept[0]
        asking = self._pending.get(origin)
        if asking is None:
            asking = self._pending[origin] = _Asking()
            asking.greenlet = gevent.spawn(self._ask, origin, asking)
        asking.waiters += 1
        try:
            rules = asking.result.get()
            assert rules is not None, "there is no time limit"
            return rules
        finally:
            asking.waiters -= 1
            if not asking.waiters and self._pending.get(origin) is asking:
                del self._pending[origin]
                asking.greenlet.kill(block=False)

    def _ask(self, origin: Origin, asking: _Asking) -> None:
        """In a greenlet of its own, so that it does not end with the first who asked."""
        try:
            rules = self._keep(origin, self._fetch(origin))
        except Exception as error:  # Draining, or a defect: each who waits is told
            asking.result.set_exception(error)
        else:
            asking.result.set(rules)
        if self._pending.get(origin) is asking:
            del self._pending[origin]

    def _keep(self, origin: Origin, rules: RobotsRules) -> RobotsRules:
        """Keep what was just fetched, and return what is to be gone by."""
        now_s = self._clock.monotonic_s()
        old = self._kept.pop(origin, None)
        if old is not None:
            self._kept_bytes -= old[0].size_bytes
            # RFC 9309 section 2.4: an old copy may be used for longer while there is no new one to be had.
            if rules.denial is not None and old[0].denial is None:
                return self._put(origin, old[0], now_s + UNREACHABLE_TTL_S)
        return self._put(origin, rules, now_s + rules.ttl_s)

    def _put(self, origin: Origin, rules: RobotsRules, until_s: float) -> RobotsRules:
        self._kept[origin] = (rules, until_s)
        self._kept_bytes += rules.size_bytes
        while len(self._kept) > self._max_entries or self._kept_bytes > self._max_bytes:
            _, (dropped, _) = self._kept.popitem(last=False)
            self._kept_bytes -= dropped.size_bytes
        return rules

    def _fetch(self, origin: Origin) -> RobotsRules:
        request = Request(url=robots_url(origin))
        try:
            with self._slots.hold(origin) as permit:
                rules = self._try(request, permit)
                if rules.crawl_delay_s:
                    permit.raise_delay(rules.crawl_delay_s)
                return rules
        except FetchError as error:
            return rules_of_failure(error.kind, str(error), is_local=error.is_local)

    def _try(self, request: Request, permit: Permit) -> RobotsRules:
        """Try until an answer stands."""
        clock = self._clock
        deadline = Deadline(clock.monotonic_s(), self._timeout_s)
        number = 0
        while True:
            number += 1
            try:
                remaining_s = deadline.remaining_s(clock.monotonic_s())
                page = self._session.fetch(request, timeout_s=remaining_s, limit_s=self._timeout_s)
            except FetchError as error:
                permit.failed(error)
                rules = rules_of_failure(error.kind, str(error), is_local=error.is_local)
                attempt = Attempt(number, request.method, error.kind)
            else:
                retry_after_s = parse_retry_after_s(page.headers.get("Retry-After"), clock.wall_s())
                permit.answered(page.status_code, retry_after_s)
                rules = rules_of_answer(page.status_code, page.body)
                attempt = Attempt(number, request.method, ErrorKind.HTTP_STATUS, page.status_code, retry_after_s)
            if rules.denial is None:
                return rules
            remaining_s = deadline.remaining_s(clock.monotonic_s())
            wait_s = pause_s(attempt, retries=self._retries, remaining_s=remaining_s, chance=clock.chance())
            if wait_s is None or not permit.pause(wait_s, remaining_s):
                return rules


class _Asking:
    """One fetch under way, and how many wait for it."""

    __slots__ = ("greenlet", "result", "waiters")

    greenlet: gevent.Greenlet[..., None]

    def __init__(self) -> None:
        self.result: AsyncResult[RobotsRules] = AsyncResult()
        self.waiters = 0
