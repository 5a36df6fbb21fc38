"""Assembly: settings -> wired objects. The only place where parts are put together."""

from __future__ import annotations

import logging
import resource
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from app.engine.engine import Engine
from app.engine.stage_rules import StageRules
from app.engine.stage_runner import StageRunner
from app.fetching.cache import HttpCache
from app.fetching.cache_store import CacheStore
from app.fetching.robots import Robots
from app.fetching.session import Session
from app.fetching.slots import Slots
from app.model.caching import CacheOptions
from app.policy.addresses import AddressPolicy, service_policy
from app.policy.breaker import BreakerRules
from app.policy.politeness import PolitenessRules
from app.settings import Settings

if TYPE_CHECKING:
    from app.api.application import Application

_log = logging.getLogger("percore")


def build_engine(
    settings: Settings,
    policy: AddressPolicy | None = None,
    *,
    cache: CacheOptions | None = None,
    warn: Callable[[str], None] = _log.warning,
) -> Engine:
    """The engine of this process. Call it after monkey patching; it opens no connection.

    policy  which addresses may be contacted; None is all of them
    cache   what its fetches go through first; the folder is there already
    warn    told, in one line, of what a person should know and the work goes on without
    """
    session = Session(
        origins=_origins_kept(settings),
        per_origin=settings.per_origin,
        max_body_bytes=settings.max_body_bytes,
        max_redirects=settings.max_redirects,
        ca_bundle=settings.ca_bundle,
        policy=policy,
        transport=settings.transport,
        http=settings.http,
        tls_groups=settings.tls_groups,
    )
    slots = Slots(politeness_rules(settings), total=settings.concurrency)
    robots = Robots(session, slots, retries=settings.retries, timeout_s=settings.timeout_s)
    runner = StageRunner(StageRules.of(settings))
    http_cache = None if cache is None else _http_cache(cache, session, warn)
    return Engine(session, slots, robots, runner, concurrency=settings.concurrency, cache=http_cache)


def build_application(settings: Settings) -> Application:
    """The service's WSGI application of this process, with an engine of its own. As `build_engine`."""
    # Only now: a batch has no use for a web framework, and starts faster without.
    from app.api.application import Application

    return Application(build_engine(settings, service_policy(settings)), settings)


def politeness_rules(settings: Settings) -> PolitenessRules:
    """What the settings say about every origin."""
    return PolitenessRules(
        per_origin=settings.per_origin,
        delay_s=settings.delay_s,
        max_crawl_delay_s=settings.max_crawl_delay_s,
        max_retry_after_s=settings.max_retry_after_s,
        # Whoever starts several of us says how many; "auto" is somebody with a single engine of their own.
        share=1 if settings.workers == "auto" else settings.workers,
        adapts=settings.adapt == "on",
        breaker=BreakerRules(settings.breaker_failures, settings.breaker_cool_down_s),
    )


def _http_cache(options: CacheOptions, session: Session, warn: Callable[[str], None]) -> HttpCache:
    store = CacheStore(Path(options.folder), options.limit_bytes, writers=options.writers, warn=warn)
    return HttpCache(store, session, scope=options.scope, reuses_errors=options.reuses_errors)


def _origins_kept(settings: Settings) -> int:
    """To how many origins idle connections are kept: all of them together take no more than half our descriptors."""
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(1, min(settings.concurrency, descriptors // 2 // settings.per_origin))
