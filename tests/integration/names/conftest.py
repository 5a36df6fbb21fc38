"""Names by a resolver that does as it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from app.fetching.names import Names
from tests.support.resolver import Clock, Resolver


@pytest.fixture
def resolver() -> Iterator[Resolver]:
    made = Resolver()
    yield made
    for gate in made.gates.values():
        gate.set()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_names(resolver: Resolver, clock: Clock) -> Iterator[Callable[[int], Names]]:
    made: list[Names] = []

    def make(threads: int) -> Names:
        made.append(Names(threads=threads, look_up=resolver, clock_s=clock))
        return made[-1]

    yield make
    for names in made:
        names.close()


@pytest.fixture
def names(make_names: Callable[[int], Names]) -> Names:
    return make_names(2)
