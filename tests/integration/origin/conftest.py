"""One origin for a module of tests, its memory wiped before each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.origin import Origin, running_origin


@pytest.fixture(scope="module")
def shared_origin() -> Iterator[Origin]:
    with running_origin() as origin:
        yield origin


@pytest.fixture
def origin(shared_origin: Origin) -> Origin:
    """The module's origin with its memory wiped."""
    shared_origin.reset()
    return shared_origin
