"""Bodies of a few kilobytes that would unpack to a hundred megabytes: they end at the limit, and not in memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest

from app.errors import FetchError
from app.fetching import Session
from app.fetching.session import Transport
from app.hub.per_hub import close_this_hub
from app.model.outcome import ErrorKind
from tests.support.origin import Origin

DECODED_BYTES = 100_000_000
LIMIT_BYTES = 1_000_000

# The limit, the packed body, and what a decoder and a reader hold of both at once.
HELD_BYTES = 10_000_000


@pytest.fixture(params=["curl", "requests"])
def session(request: pytest.FixtureRequest) -> Iterator[Session]:
    transport: Transport = request.param
    with Session(transport=transport, max_body_bytes=LIMIT_BYTES) as made:
        made._environment_proxies = {}
        yield made
    close_this_hub()


@pytest.mark.parametrize("coding", ["gzip", "br"])
def test_a_bomb_stops_at_the_limit(session: Session, origin: Origin, coding: str) -> None:
    url = origin.url(f"/{coding}-bomb/{DECODED_BYTES}")
    session.fetch(origin.url(f"/{coding}/1000"))  # what is made once is made
    tracemalloc.start()
    try:
        with pytest.raises(FetchError) as raised:
            session.fetch(url)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert raised.value.kind is ErrorKind.BODY_TOO_LARGE
    assert peak_bytes < HELD_BYTES
