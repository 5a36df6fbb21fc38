"""Assembly: settings -> wired objects. The only place where parts are put together."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

from app.engine.engine import Engine
from app.engine.stage_rules import StageRules
from app.engine.stage_runner import StageRunner
from app.fetching.robots import Robots
from app.fetching.session import Session
from app.fetching.slots import Slots
from app.policy.addresses import AddressPolicy, service_policy
from app.policy.breaker import BreakerRules
from app.policy.politeness import PolitenessRules
from app.settings import Settings

if TYPE_CHECKING:
    from app.api.application import Application


def build_engine(settings: Settings, policy: AddressPolicy | None = None) -> Engine:
    """The engine of this process. Call it after monkey patching; it opens no connection.

    policy  which addresses may be contacted; None is all of them
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
    return Engine(session, slots, robots, StageRunner(StageRules.of(settings)), concurrency=settings.concurrency)


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


def _origins_kept(settings: Settings) -> int:
    """To how many origins idle connections are kept: all of them together take no more than half our descriptors."""
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(1, min(settings.concurrency, descriptors // 2 // settings.per_origin))
