"""A cache before a real origin, in this process, under a clock that a test moves on."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from app.engine.engine import Engine
from app.engine.stage_rules import StageRules
from app.engine.stage_runner import StageRunner
from app.fetching.cache import HttpCache
from app.fetching.cache_store import CacheStore
from app.fetching.page import Page
from app.fetching.robots import Robots
from app.fetching.session import Session, Transport
from app.fetching.slots import Slots
from app.files.cache_folder import open_folder
from app.model.caching import CacheCounts
from app.model.job import FetchOptions
from app.model.outcome import Outcome
from app.model.request import Entry, Request
from app.policy.politeness import PolitenessRules
from tests.support.clock import FakeClock

HOUR = "Cache-Control: max-age=3600"
NEVER = "Cache-Control: no-cache"
TAG = 'ETag: "v1"'


def told(key: str, *headers: str, news: tuple[str, ...] = (), **query: object) -> str:
    """A path of the origin whose answers have these headers, its 304 those of `news`: see its fault `told`."""
    pairs = [("h", header) for header in headers] + [("n", header) for header in news]
    return f"/told/{key}?{urlencode([*pairs, *query.items()])}"


class CachedEngine:
    """An engine whose fetches go through the cache in `folder`. pages: the final pages of the last fetch."""

    def __init__(
        self,
        folder: Path,
        transport: Transport = "curl",
        *,
        clock: FakeClock | None = None,
        session: dict[str, Any] | None = None,
        rules: dict[str, Any] | None = None,
        concurrency: int = 8,
        **cache: Any,
    ) -> None:
        open_folder(folder)
        self.clock = clock or FakeClock(time.time())
        self.warnings: list[str] = []
        self.session = Session(transport=transport, **(session or {}))
        self.slots = Slots(PolitenessRules(**(rules or {})), 8, self.clock.clock)
        self.store = CacheStore(folder, 10**9, writers=1, warn=self.warnings.append, wall_s=lambda: self.clock.now_s)
        self.cache = HttpCache(self.store, self.session, clock=self.clock.clock, **cache)
        self.engine = Engine(
            self.session,
            self.slots,
            Robots(self.session, self.slots, retries=0, clock=self.clock.clock),
            StageRunner(StageRules(wide_cpus=())),
            concurrency=concurrency,
            clock=self.clock.clock,
            cache=self.cache,
        )
        self.pages: list[Page] = []

    @property
    def counts(self) -> CacheCounts:
        return self.cache.counts

    def fetch(self, url: str, *, headers: dict[str, str] | None = None, method: str = "GET", **options: Any) -> Outcome:
        """One request's outcome, its body as text with it."""
        request = Request(url=url, method=method, headers=headers or {})
        self.pages.clear()
        lots = self.engine.run_in_lots(
            [Entry(0, request, url)],
            stages=(),
            options=FetchOptions(body="text", retries=0, **options),
            keep_page=lambda _, page: self.pages.append(page) or {},  # type: ignore[func-returns-value]
        )
        ((outcome,),) = lots
        return outcome

    def close(self) -> None:
        self.session.close()


Make = Callable[..., CachedEngine]


def said(*outcomes: Outcome) -> list[tuple[Any, Any]]:
    """Of each, what the cache had to do with it, and the number of the origin's answer."""
    return [(each.cache, int(str(each.body).split()[1])) for each in outcomes]
