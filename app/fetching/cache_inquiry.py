"""Cache inquiry: one hop before the cache: what is there, what the origin is asked, and what its answer comes to."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urljoin

import msgspec
import requests

from app.errors import FetchError, InvalidRequest
from app.fetching.cached_answers import CachedAnswers, Found
from app.fetching.cached_pages import Material, material_of
from app.fetching.head import fields_of, joined_headers_of, status_of
from app.fetching.page import Page
from app.fetching.presented_request import PresentedRequest
from app.fetching.stored_answer import StoredAnswer
from app.fetching.visit import Hop
from app.fetching.wire_form import target_of
from app.hub.clock import Clock
from app.model.caching import CacheCounts, CacheUse
from app.model.outcome import ErrorKind
from app.model.request import Request
from app.policy.caching import Headers, conditions, invalidated_by, is_error, may_stand_in, may_store, terms_of
from app.policy.caching_update import freshened, is_about, is_confirmed, stored_fields
from app.policy.urls import origin_of

# An origin that can't be reached, as RFC 5861 means it. What we refuse, and what TLS refuses, is none.
_UNREACHED = frozenset(
    {
        ErrorKind.NAME_NOT_RESOLVED,
        ErrorKind.CONNECT_FAILED,
        ErrorKind.CONNECTION_LOST,
        ErrorKind.CIRCUIT_OPEN,
        ErrorKind.TIMEOUT,
    }
)


class Inquiry:
    """What the cache has for one hop.

    page     the answer; None if the origin has to be asked
    use      how the answer came about, for its record; None where the cache had nothing to do with it
    to_send  what to ask the origin
    """

    page: Page | None = None
    use: CacheUse | None = None
    to_send: Request | Hop

    def take(self, page: Page) -> Page | None:
        """What the origin's answer comes to; None if `to_send`, as it is now, has to be asked once more."""
        raise NotImplementedError

    def in_place_of(self, error: FetchError) -> Page | None:
        """What may stand in when the origin failed."""
        return None


class Known(Inquiry):
    """An answer that is here."""

    def __init__(self, page: Page, use: CacheUse) -> None:
        self.page = page
        self.use = use


class Bypass(Inquiry):
    """A request that the cache has no answers for. It may make untrue what is stored."""

    def __init__(self, answers: CachedAnswers, request: Request | Hop, presented: PresentedRequest | None) -> None:
        self.to_send = request
        self._answers = answers
        self._presented = presented

    def take(self, page: Page) -> Page:
        """See Inquiry."""
        presented = self._presented
        if presented is not None and invalidated_by(presented.method, page.status_code):
            self._answers.forget_url(presented.url)
            for name in ("Location", "Content-Location"):
                other = _same_origin_url(presented.url, page.headers.get(name))
                if other is not None:
                    self._answers.forget_url(other)
        return page


class Forwarded(Inquiry):
    """A request that the origin has to answer, or to confirm."""

    def __init__(
        self,
        answers: CachedAnswers,
        counts: CacheCounts,
        clock: Clock,
        request: Request | Hop,
        presented: PresentedRequest,
        found: Found,
        found_for_get: Found | None,
    ) -> None:
        self._answers = answers
        self._counts = counts
        self._clock = clock
        self._request = request
        self._presented = presented
        self._found = found
        # Of a HEAD: its answer may tell of what is stored for GET.
        self._found_for_get = found_for_get
        self._headers = joined_headers_of(found.stored.head) if found.stored is not None else {}
        asking = conditions(self._headers, clock.wall_s())
        self._is_conditional = bool(asking)
        self.to_send = _with_headers(request, asking) if asking else request

    def take(self, page: Page) -> Page | None:
        """See Inquiry."""
        stored = self._found.stored
        if page.status_code == 304 and self._is_conditional and stored is not None:
            return self._confirmed(page, stored)
        if is_error(page.status_code) and (stale := self._stale()) is not None:
            return stale
        self.use = CacheUse.MISS
        self._counts.misses += 1
        self._keep(page)
        return page

    def in_place_of(self, error: FetchError) -> Page | None:
        """See Inquiry."""
        return self._stale() if error.kind in _UNREACHED else None

    def _confirmed(self, page: Page, stored: StoredAnswer) -> Page | None:
        news = material_of(page)
        if not is_about(self._headers, joined_headers_of(news.head)):
            # It is about an answer that is not here (RFC 9111 section 4.3.4).
            self._is_conditional = False
            self.to_send = self._request
            return None
        fresh = self._freshen(self._found, stored, news, page)
        self._counts.revalidated += 1
        self.use = CacheUse.REVALIDATED
        made = self._answers.page(self._presented, fresh, age_s=None)
        made.timing = page.timing
        return made

    def _freshen(self, found: Found, stored: StoredAnswer, news: Material, page: Page) -> StoredAnswer:
        """Store what is stored anew, with the headers that came."""
        told = joined_headers_of(news.head)
        fields = freshened(fields_of(stored.head), fields_of(news.head))
        # What is not told counts from now on.
        fields = [field for field in fields if field[0].lower() != "age" or "age" in told]
        head = [stored.head[0], *_lines(fields)]
        requested_s, received_s = self._times(page)
        headers = joined_headers_of(head) | {"date": told.get("date", "")}
        terms = terms_of(status_of(head), headers, requested_s=requested_s, received_s=received_s)
        material = Material(head, stored.body, stored.is_decoded, stored.protocol)
        self._answers.keep(self._presented, found, material, requested_s, terms)
        return msgspec.structs.replace(stored, head=tuple(head), requested_s=requested_s, terms=terms)

    def _stale(self) -> Page | None:
        stored, now_s = self._found.stored, self._clock.wall_s()
        if stored is None or not may_stand_in(stored.terms, self._presented.wishes, now_s):
            return None
        self.use = CacheUse.STALE
        self._counts.stale += 1
        return self._answers.page(self._presented, stored, age_s=stored.terms.age_s(now_s))

    def _keep(self, page: Page) -> None:
        """Store what came, if it may be; else it may show that what is stored is out of date."""
        presented, found = self._presented, self._found
        material = material_of(page)
        headers = joined_headers_of(material.head)
        if self._found_for_get is not None and page.status_code == 200:
            self._head_tells(self._found_for_get, material, headers, page)
        requested_s, received_s = self._times(page)
        terms = terms_of(page.status_code, headers, requested_s=requested_s, received_s=received_s)
        if may_store(presented.wishes, page.status_code, headers, terms):
            head = [material.head[0], *_lines(stored_fields(fields_of(material.head)))]
            if self._answers.keep(presented, found, material._replace(head=head), requested_s, terms):
                self._counts.stored += 1
        elif found.stored is not None and page.status_code < 500:
            self._answers.forget(found.stored.name)

    def _head_tells(self, found: Found, material: Material, headers: Headers, page: Page) -> None:
        if found.stored is None:
            return
        if is_confirmed(joined_headers_of(found.stored.head), headers):
            self._freshen(found, found.stored, material, page)
        else:
            self._answers.forget(found.stored.name)

    def _times(self, page: Page) -> tuple[float, float]:
        """Wall clock at which it was asked for, and now."""
        now_s = self._clock.wall_s()
        return (now_s if page.began_s is None else page.began_s), now_s


def _with_headers(request: Request | Hop, more: dict[str, str]) -> Request | Hop:
    if isinstance(request, Request):
        return msgspec.structs.replace(request, headers=request.headers | more)
    prepared = request.prepared.copy()
    prepared.headers.update(more)
    return Hop(request.visit, prepared, request.history)


def _lines(fields: Sequence[tuple[str, str]]) -> list[bytes]:
    return [*(f"{name}: {value}\r\n".encode("latin-1") for name, value in fields), b"\r\n"]


def _same_origin_url(url: str, reference: str | None) -> str | None:
    """The canonical URL of what `reference` names, if that is of the same origin (RFC 9111 section 4.4)."""
    if not reference:
        return None
    try:
        joined = urljoin(url, reference)
        if origin_of(joined) != origin_of(url):
            return None
        prepared = requests.Request("GET", joined).prepare()
        return target_of(prepared.url or "").url
    except (InvalidRequest, ValueError):
        return None
