"""Cache: stands before the network for the fetches of one hub: each hop asks here first, and comes back with what the
origin said. What may be used when is decided in `app.policy.caching`.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.fetching.answer import Answer
from app.fetching.cache_inquiry import Bypass, Forwarded, Inquiry, Known
from app.fetching.cache_store import CacheStore
from app.fetching.cached_answers import CachedAnswers
from app.fetching.page import Page
from app.fetching.presented_request import PresentedRequest, as_presented
from app.fetching.session import Session
from app.fetching.stored_answer import StoredAnswer
from app.fetching.turnstile import Turnstile
from app.fetching.visit import Hop
from app.hub.clock import Clock
from app.model.caching import CacheCounts, CacheUse
from app.model.request import Request
from app.model.timing import Timing
from app.policy.caching import Use, concerns_cache, use_of

# Together they take some two milliseconds.
_ANSWERS_PER_TURN = 32

_NOT_CACHED: Sequence[bytes] = (b"HTTP/1.1 504 Gateway Timeout\r\n", b"Content-Length: 0\r\n", b"\r\n")
"""RFC 9111 section 5.2.1.7."""


class HttpCache:
    """The cache of one hub's session. Safe to share among greenlets.

    scope          see CacheOptions, as `reuses_errors`
    counts         what has come of it so far
    """

    def __init__(
        self,
        store: CacheStore,
        session: Session,
        *,
        scope: str = "",
        reuses_errors: bool = True,
        clock: Clock | None = None,
    ) -> None:
        self.counts = CacheCounts()
        self._session = session
        self._clock = clock or Clock()
        self._answers = CachedAnswers(store, session, scope=scope, reuses_errors=reuses_errors)
        self._turnstile = Turnstile(_ANSWERS_PER_TURN)

    def inquire(self, request: Request | Hop) -> Inquiry:
        """What is there for one hop. Yields to the hub."""
        presented = as_presented(request, self._session)
        if (
            presented is None
            or presented.wishes.no_store
            or not concerns_cache(presented.method, presented.headers, has_body=presented.has_body)
        ):
            return Bypass(self._answers, request, presented)
        self._turnstile.go_through()
        now_s = self._clock.wall_s()
        found = self._answers.find(presented, "GET")
        first = found
        use = self._use(found.stored, presented, now_s)
        if presented.method == "HEAD" and use is Use.VALIDATE:
            # What is stored for GET answers HEAD as well (RFC 9110 section 9.3.2); not the other way round.
            found = self._answers.find(presented, "HEAD")
            use = self._use(found.stored, presented, now_s)
        if found.stored is not None and use is not Use.VALIDATE:
            self.counts.hits += 1
            return Known(
                self._answers.page(presented, found.stored, age_s=found.stored.terms.age_s(now_s)), CacheUse.HIT
            )
        if presented.wishes.only_if_cached:
            self.counts.misses += 1
            return Known(_not_cached(presented), CacheUse.MISS)
        found_for_get = None if first is found else first
        return Forwarded(self._answers, self.counts, self._clock, request, presented, found, found_for_get)

    def _use(self, stored: StoredAnswer | None, presented: PresentedRequest, now_s: float) -> Use:
        return Use.VALIDATE if stored is None else use_of(stored.terms, presented.wishes, now_s)


def _not_cached(presented: PresentedRequest) -> Page:
    timing = Timing(0.0, 0.0, 0.0, 0.0, 0.0, False, "")
    page = Page.of_answer(
        Answer(_NOT_CACHED, b"", None, timing), presented.method, presented.page_url, presented.make_request
    )
    page.timing = None
    if presented.hop is not None:
        page.history = presented.hop.history
    return page
