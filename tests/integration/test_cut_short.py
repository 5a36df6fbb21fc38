"""An answer cut short after each of its bytes, and one that comes in pieces cut at each: nothing is ever made up.

What a cut answer may be is worked out from RFC 9112 section 8: whole only if its framing says that it is.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import pytest

from tests.support.fetch_child import Ask, Fetcher, How, Transport, running_fetcher
from tests.support.raw_origin import Ending, RawOrigin, Script, running_raw_origin

TEXT = b"high tide at noon\n" * 3
ZIPPED = gzip.compress(TEXT, mtime=0)

ANSWERS = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 54\r\n\r\n" + TEXT,
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n%b\r\n16\r\n%b\r\n0\r\nX-T: 1\r\n\r\n"
    % (TEXT[:32], TEXT[32:]),
    "closed": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + TEXT,
    "gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(ZIPPED) + ZIPPED,
    "interim": b"HTTP/1.1 103 Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 54\r\n\r\n" + TEXT,
}

HOWS: list[How] = ["fetch", "whole", "stream"]


@pytest.fixture(scope="module", params=["curl", "requests"])
def fetcher(request: pytest.FixtureRequest) -> Iterator[Fetcher]:
    with running_fetcher(request.param) as running:
        yield running


@pytest.fixture(scope="module")
def raw() -> Iterator[RawOrigin]:
    with running_raw_origin() as origin:
        yield origin


def allowed(name: str, size: int, how: How, ending: Ending, transport: Transport) -> set[str]:
    """What may come of the first `size` bytes of that answer."""
    answer = ANSWERS[name]
    lost = {"connection_lost"} if how == "fetch" else {"ConnectionError", "ChunkedEncodingError"}
    whole = {"200 54 bytes"}
    refused = {"bad_response"} if how == "fetch" else set()
    body_begin = answer.index(b"\r\n\r\n") + 4
    cut_body = answer[body_begin:size]
    up_to_the_cut = {f"200 {len(cut_body)} bytes" if len(cut_body) > 20 else f"200 {cut_body!r}"}
    if transport == "requests":
        # http.client takes the connection's end for the end of a line, of a head, of the last chunk and of trailers,
        # and 103 for a final answer.
        if name == "interim":
            return lost | refused | {"103 b''"}
        if size < body_begin:
            return lost | refused | {"200 b''"}
        last_chunk = answer.find(b"\r\n0\r\n")
        if name == "chunked" and size >= last_chunk + 3:
            return whole | lost
    if size == len(answer):
        return whole if ending == "close" or name == "length" else whole | lost
    if name == "closed" and size >= body_begin and ending == "close":
        return up_to_the_cut
    # A status line that is cut is none at all.
    return lost if b"\n" in answer[:size] else lost | refused


@pytest.mark.parametrize("ending", ["close", "reset"])
@pytest.mark.parametrize("name", ANSWERS)
def test_cut_after_each_byte(raw: RawOrigin, fetcher: Fetcher, name: str, ending: Ending) -> None:
    answer = ANSWERS[name]
    asks, sizes = [], []
    for size in range(len(answer) + 1):
        url = raw.serve(Script.of(answer[:size], ending))
        asks += [Ask(url, how) for how in HOWS]
        sizes += [(size, how) for how in HOWS]
    told = []
    for begin in range(0, len(asks), 60):
        told += fetcher.fetch(asks[begin : begin + 60])
    wrong = [
        (size, how, one.word, one.said)
        for (size, how), one in zip(sizes, told, strict=True)
        if one.word not in allowed(name, size, how, ending, fetcher.transport)
    ]
    assert not wrong, wrong[:10]


@pytest.mark.parametrize("name", ANSWERS)
def test_in_two_pieces_and_bytewise(raw: RawOrigin, fetcher: Fetcher, name: str) -> None:
    """Where the segments end means nothing."""
    if name == "interim" and fetcher.transport == "requests":
        return  # http.client's answer is the interim one, see test_hostile_answers
    answer = ANSWERS[name]
    scripts = [Script((answer[:size], answer[size:])) for size in range(1, len(answer), 7)]
    asks = [Ask(raw.serve(script), how) for script in [*scripts, Script.bytewise(answer)] for how in HOWS]
    for begin in range(0, len(asks), 60):
        for one in fetcher.fetch(asks[begin : begin + 60]):
            assert (one.word, one.body) == ("200 54 bytes", TEXT), one
