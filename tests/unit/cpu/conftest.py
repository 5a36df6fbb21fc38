"""Fixtures of the scheduler's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.between import Between
from tests.support.slices import Slices


@pytest.fixture
def slices() -> Iterator[Slices]:
    made = Slices()
    yield made
    made.scheduler.close()


@pytest.fixture
def seen() -> list[object]:
    return []


@pytest.fixture
def between(slices: Slices) -> Between:
    return Between(slices)
