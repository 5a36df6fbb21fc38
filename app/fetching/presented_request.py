"""Presented request: one hop's request as it is presented to the cache (RFC 9111 section 4)."""

from __future__ import annotations

import msgspec
import requests
from requests.exceptions import InvalidURL

from app.errors import InvalidRequest
from app.fetching.cached_pages import MakeRequest
from app.fetching.merged_headers import store_of
from app.fetching.session import Session
from app.fetching.stored_answer import variant_of
from app.fetching.visit import Hop, Visit
from app.fetching.wire_form import plain_target, target_of
from app.model.request import Request
from app.policy.caching import Headers, Terms
from app.policy.caching_directives import Wishes, wishes_of


class PresentedRequest(msgspec.Struct, frozen=True):
    """
    url       canonical, without user and fragment: by which answers are told apart
    page_url  as the page has it
    headers   that go out, by lower-case name
    identity  of them, those that say who asks: what was answered to somebody else is not used
    """

    method: str
    url: str
    page_url: str
    headers: Headers
    identity: tuple[tuple[str, str | None], ...]
    has_body: bool
    wishes: Wishes
    make_request: MakeRequest
    hop: Hop | None

    def variant(self, terms: Terms) -> bytes:
        """Of what an answer on these terms depends on."""
        headers = self.headers
        return variant_of((*self.identity, *((name, headers.get(name)) for name in terms.vary)))


def as_presented(request: Request | Hop, session: Session) -> PresentedRequest | None:
    """None for a request that can't be sent: whoever sends it will say so."""
    if isinstance(request, Hop):
        return _of_prepared(request.prepared, request)
    target = plain_target(request.url)
    if target is None:
        try:
            return _of_prepared(Visit(session).prepare(request), None)
        except InvalidRequest:
            return None
    own = {name: value for name, (_, value) in store_of(session.headers).items() if value is not None}
    headers = own | {name.lower(): value for name, value in request.headers.items()} if request.headers else own
    return PresentedRequest(
        request.method.upper(),
        target.url,
        target.url,
        headers,
        _identity(headers, is_first=True),
        request.body is not None,
        wishes_of(headers),
        lambda: Visit(session).prepare(request),
        None,
    )


def _of_prepared(prepared: requests.PreparedRequest, hop: Hop | None) -> PresentedRequest | None:
    url = prepared.url or ""
    try:
        target = plain_target(url) or target_of(url)
    except InvalidURL:
        return None
    headers = {name.lower(): _text(value) for name, value in prepared.headers.items()}
    return PresentedRequest(
        (prepared.method or "GET").upper(),
        target.url,
        url,
        headers,
        _identity(headers, is_first=hop is None),
        bool(prepared.body),
        wishes_of(headers),
        lambda: prepared,
        hop,
    )


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _identity(headers: Headers, *, is_first: bool) -> tuple[tuple[str, str | None], ...]:
    """Cookies that an earlier hop has set are the origin's own doing, and follow from the answer there."""
    names = ("authorization", "cookie") if is_first else ("authorization",)
    return tuple((name, headers[name]) for name in names if name in headers)
