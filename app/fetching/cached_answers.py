"""Cached answers: what is stored, found by request, kept, forgotten.

An answer's file is found by its URL. Where answers differ by the request (Vary, and who asks), the others lie beside,
under names that only the URL's own file leads to: so forgetting the URL forgets all of them, at once.
"""

from __future__ import annotations

import os

import msgspec
from requests.cookies import extract_cookies_to_jar

from app.fetching.cache_store import CacheStore
from app.fetching.cached_pages import Material, page_of
from app.fetching.head import names_header, status_of
from app.fetching.page import Page
from app.fetching.presented_request import PresentedRequest
from app.fetching.session import Session
from app.fetching.stored_answer import FAMILY_BYTES, StoredAnswer, name_of, stored_answer_of, variant_name
from app.policy.caching import Terms


class Found(msgspec.Struct, frozen=True):
    """What there is for a URL. name: of its own file; own: what is in there; stored: what fits the request."""

    name: str
    own: StoredAnswer | None
    stored: StoredAnswer | None


class CachedAnswers:
    """All that is stored, for one session. scope, reuses_errors: see app.model.caching.CacheOptions."""

    def __init__(self, store: CacheStore, session: Session, *, scope: str, reuses_errors: bool) -> None:
        self._store = store
        self._session = session
        self._scope = scope
        self._reuses_errors = reuses_errors

    def find(self, presented: PresentedRequest, method: str) -> Found:
        """What is stored for that method and fits the request."""
        name = name_of(self._scope, method, presented.url)
        own = self._read(name)
        if own is None:
            return Found(name, None, None)
        variant = presented.variant(own.terms)
        stored = own if own.variant == variant else self._read(variant_name(own, variant))
        if stored is not None and not self._reuses_errors and status_of(stored.head) >= 400:
            stored = None
        return Found(name, own, stored)

    def keep(
        self, presented: PresentedRequest, found: Found, material: Material, requested_s: float, terms: Terms
    ) -> bool:
        """Store an answer. Yields to the hub if it is large."""
        own, variant = found.own, presented.variant(terms)
        name = found.name
        if own is not None and own.variant != variant and own.terms.vary == terms.vary:
            name = variant_name(own, variant)
        family = os.urandom(FAMILY_BYTES) if own is None else own.family
        head, body, is_decoded, protocol = material
        stored = StoredAnswer(name, family, variant, tuple(head), is_decoded, protocol, requested_s, terms, body)
        older = found.stored
        if older is not None and older.body is body and (amendment := older.amendment(stored)) is not None:
            return self._store.amend(name, amendment)
        return self._store.write(name, stored.pieces())

    def forget(self, name: str) -> None:
        """Of a URL's own file: of all its variants."""
        self._store.remove(name)

    def forget_url(self, url: str) -> None:
        """What is stored for it by any method, in all variants."""
        for method in ("GET", "HEAD"):
            self.forget(name_of(self._scope, method, url))

    def page(self, presented: PresentedRequest, stored: StoredAnswer, *, age_s: float | None) -> Page:
        """The page of a stored answer as this hop's. Raises FetchError."""
        limit_bytes = self._session.max_body_bytes
        page = page_of(
            stored, presented.method, presented.page_url, presented.make_request, limit_bytes=limit_bytes, age_s=age_s
        )
        hop = presented.hop
        if hop is not None:
            page.visit = hop.visit
            page.history = hop.history
            if names_header(stored.head, b"set-cookie"):
                extract_cookies_to_jar(hop.visit.cookies, hop.prepared, page.raw)
        return page

    def _read(self, name: str) -> StoredAnswer | None:
        data = self._store.read(name)
        return None if data is None else stored_answer_of(data, name)
