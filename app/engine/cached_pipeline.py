"""Cached pipeline: the pipeline with an HTTP cache before each hop.

The law: what the cache answers costs its origin nothing: no permit, no delay, no attempt, and nothing that its circuit
or its limits are told. Leave by robots.txt is asked for all the same: that decides what is in a record. An answer of
304 is an attempt like any other.
"""

from __future__ import annotations

from typing import Any

import msgspec

from app.engine.pipeline import Pipeline, _Draft
from app.errors import FetchError
from app.fetching.cache import HttpCache
from app.fetching.page import Page
from app.fetching.visit import Hop
from app.model.caching import CacheUse
from app.model.origin import Origin
from app.model.request import Request

_WITHOUT_TRANSFER = (CacheUse.HIT, CacheUse.STALE)


class CachedPipeline(Pipeline):
    """Arguments as Pipeline's."""

    def __init__(self, cache: HttpCache, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._cache = cache

    def _fetched(self, request: Request, origin: Origin, draft: _Draft) -> Page:
        began_s = self._now_s()
        page = super()._fetched(request, origin, draft)
        if draft.began_s is None:
            # Nothing was waited for.
            draft.began_s = began_s
        return page

    def _hop(self, request: Request | Hop, origin: Origin, draft: _Draft, limit_s: float) -> Page:
        if self._obeys_robots:
            self._robots.admit(request.url, origin)
        inquiry = self._cache.inquire(request)
        page = inquiry.page
        try:
            while page is None:
                page = inquiry.take(super()._hop(inquiry.to_send, origin, draft, limit_s))
        except FetchError as error:
            page = inquiry.in_place_of(error)
            if page is None:
                raise
        # Of the final hop: each takes the place of the one before.
        draft.kept = {} if inquiry.use is None else {"cache": inquiry.use}
        if inquiry.use in _WITHOUT_TRANSFER:
            draft.kept["timing"] = msgspec.UNSET
        return page
