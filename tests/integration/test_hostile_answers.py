"""What becomes of a hostile answer: the record's kind and requests' exception, over either transport.

The table is the contract. Where libcurl and http.client differ, the row says why; libcurl is the stricter of the two
nearly everywhere. Every answer comes from a raw socket, and is fetched by `Session.fetch` and by a stock requests
session over our adapter or its own, at once and as a stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.fetch_child import Ask, How, Told, Transport, running_fetcher
from tests.support.hostile.case import Case, cl
from tests.support.hostile.framing import FRAMING
from tests.support.hostile.heads import HEADS
from tests.support.raw_origin import Script, running_raw_origin

CASES: dict[str, Case] = HEADS | FRAMING


@pytest.fixture(scope="module", params=["curl", "requests"])
def came(request: pytest.FixtureRequest) -> Iterator[tuple[Transport, dict[tuple[str, How], Told]]]:
    """All of the table fetched every way, some at a time; the results of each transport."""
    transport: Transport = request.param
    ways: list[How] = ["fetch", "whole", "stream"]
    wanted = [(name, how) for name in CASES for how in ways]
    told: dict[tuple[str, How], Told] = {}
    with ExitStack() as stack:
        origin = stack.enter_context(running_raw_origin())
        fetcher = stack.enter_context(running_fetcher(transport))
        origin.serve(Script.of(cl(4, b"good")), "good")
        urls = {name: origin.serve(Script.of(case.answer), name) for name, case in CASES.items()}
        for begin in range(0, len(wanted), 60):
            part = wanted[begin : begin + 60]
            asks = [Ask(urls[name], how, max_body_bytes=1 << 20) for name, how in part]
            told.update(zip(part, fetcher.fetch(asks), strict=True))
        assert fetcher.process.stderr == "", "nothing is said of what a server does"
        yield transport, told


@pytest.mark.parametrize("name", CASES)
def test_what_becomes_of_it(came: tuple[Transport, dict[tuple[str, How], Told]], name: str) -> None:
    transport, told = came
    case = CASES[name]
    fetch, stock = case.plain if case.plain and transport == "requests" else case.verdict
    assert bool(case.plain) == bool(case.why)
    assert told[name, "fetch"].word == fetch, told[name, "fetch"].said
    assert told[name, "whole"].word == stock, told[name, "whole"].said
    assert told[name, "stream"].word == stock, told[name, "stream"].said
    assert "\n" not in told[name, "fetch"].said


def test_the_limits_of_a_head_are_those_that_the_documents_name(
    came: tuple[Transport, dict[tuple[str, How], Told]],
) -> None:
    transport, told = came
    if transport == "curl":
        assert "5000 is max" in told["6000-headers", "fetch"].said
        assert "> 307200" in told["flood", "fetch"].said
        assert "too long" in told["one-400k-header", "fetch"].said
