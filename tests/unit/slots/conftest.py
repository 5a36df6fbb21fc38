"""A clock that stands still, and fetches that are ended with their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import gevent
import pytest

from app.fetching.slots import Slots
from tests.support.clock import FakeClock
from tests.support.slots import Fetches


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def fetching() -> Iterator[Callable[..., Fetches]]:
    """Makes Fetches, and ends whatever of them is left."""
    made: list[Fetches] = []

    def new(slots: Slots, clock: FakeClock) -> Fetches:
        made.append(Fetches(slots, clock))
        return made[-1]

    yield new
    for fetches in made:
        gevent.killall(list(fetches.greenlets.values()))
