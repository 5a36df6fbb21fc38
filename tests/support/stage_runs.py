"""Stages run by a runner, or by a whole engine on pages of an origin, in each of the three places."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from app.engine.engine import Engine
from app.engine.overseer import NOBODY, Overseer
from app.engine.stage_runner import StageRunner
from app.fetching.page import Page
from app.model.job import FetchOptions
from app.model.outcome import ErrorKind, Outcome
from app.model.request import Entry, Request
from app.stages import Stage
from app.stages.base import RunsIn
from tests.support.origin import Origin
from tests.support.pages import make_page

PLACES: tuple[RunsIn, ...] = ("worker", "thread", "process")

WIDE = frozenset(os.sched_getaffinity(0))


def run(
    runner: StageRunner, stage: Stage, page: Page | None = None, overseer: Overseer = NOBODY, **earlier: bytes
) -> Any:
    return json.loads(bytes(runner.bound(stage, overseer)(page or make_page("body"), earlier, 7)))


def outcomes(engine: Engine, origin: Origin, stages: Sequence[Stage], *paths: str, **options: Any) -> list[Outcome]:
    urls = [origin.url(path) for path in paths or ["/html/one"]]
    entries = [Entry(index, Request(url=url), url) for index, url in enumerate(urls)]
    found = list(engine.run(entries, stages=stages, options=FetchOptions(**options)))
    return sorted(found, key=lambda outcome: outcome.index)


def failure(engine: Engine, origin: Origin, stage: Stage) -> tuple[ErrorKind, str]:
    [outcome] = outcomes(engine, origin, [stage])
    assert not outcome.ok
    assert outcome.error is not None
    assert outcome.error.stage == stage.name
    assert outcome.stages == {}
    return outcome.error.kind, outcome.error.message
