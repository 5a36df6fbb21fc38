"""The origin, and sessions over our transport."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from app.fetching import CurlAdapter
from app.hub.per_hub import close_this_hub
from tests.support.origin import Origin, running_origin


@pytest.fixture(scope="session")
def shared_origin() -> Iterator[Origin]:
    with running_origin() as running:
        yield running


@pytest.fixture
def origin(shared_origin: Origin) -> Iterator[Origin]:
    shared_origin.reset()
    yield shared_origin
    close_this_hub()


def on_curl(session: requests.Session) -> requests.Session:
    """The same session, on our transport."""
    for prefix in ("http://", "https://"):
        session.mount(prefix, CurlAdapter())
    return session
