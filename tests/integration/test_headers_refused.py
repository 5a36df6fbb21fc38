"""Headers of a request that no request can have: the request is at fault, whatever would have carried it."""

from __future__ import annotations

import pytest

from tests.support.fetch_child import Ask, running_fetcher
from tests.support.origin import Origin

REFUSED = [
    {"X-A": "a\r\nX-B: b"},
    {"X-A": "\u2713"},
    {"X-A\r\nX-B": "b"},
    {"X-\xe9": "a"},
    {"X-\u2713": "a"},
    {"": "a"},
]


@pytest.mark.parametrize("transport", ["curl", "requests"])
def test_headers_that_can_not_be_sent_are_the_requests_own_fault(transport: str, origin: Origin) -> None:
    asks = [
        Ask(origin.url("/ok"), method=method, body=body, headers=headers)
        for headers in REFUSED
        for method, body in (("GET", None), ("POST", "body"))
    ]
    with running_fetcher(transport) as fetcher:  # type: ignore[arg-type]
        assert {told.word for told in fetcher.fetch(asks)} == {"invalid_request"}
    assert origin.counts().total == 0


def test_a_nul_is_refused_where_libcurl_is_to_send_it(origin: Origin) -> None:
    asks = [
        Ask(origin.url("/ok"), method=method, body=body, headers={"X-A": "a\0b"})
        for method, body in (("GET", None), ("POST", "body"))
    ]
    with running_fetcher("curl") as fetcher:
        assert {told.word for told in fetcher.fetch(asks)} == {"invalid_request"}
    assert origin.counts().total == 0
