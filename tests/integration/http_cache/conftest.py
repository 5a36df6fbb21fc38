"""Engines that share a cache, over both transports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from app.fetching.session import Transport
from app.hub.per_hub import close_this_hub
from tests.support.caches import CachedEngine, Make


@pytest.fixture(params=get_args(Transport))
def transport(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def make(tmp_path: Path, transport: Any) -> Iterator[Make]:
    made: list[CachedEngine] = []

    def make_one(transport: Any = transport, **options: Any) -> CachedEngine:
        made.append(CachedEngine(tmp_path / "cache", transport, **options))
        return made[-1]

    yield make_one
    for each in made:
        each.close()
    close_this_hub()


@pytest.fixture
def engine(make: Make) -> CachedEngine:
    return make()
