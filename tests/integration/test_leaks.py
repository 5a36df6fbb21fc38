"""The short form of `bin/bench leaks`: after some thousand fetches of every kind nothing is left behind."""

from __future__ import annotations

import pytest

from app.hub.per_hub import close_this_hub
from benchmarks.leaks import Mix, left_behind
from tests.support.raw_origin import running_raw_origin


def test_nothing_is_left_behind() -> None:
    with running_raw_origin() as origin:
        mix = Mix(origin, at_once=32)
        try:
            mix.run(600)
            first = mix.look()
            mix.run(2_400)
            assert left_behind(first, mix.look()) == []
        finally:
            close_this_hub()
    ways = {outcome.partition(" ")[0] for outcome in mix.outcomes}
    assert ways == {"ok", "failed", "timed_out", "killed", "streamed", "dropped"}


@pytest.mark.parametrize(
    "name", ["in_flight", "sockets", "greenlets", "curls", "descriptors", "idle_handles", "rss_mb"]
)
def test_what_is_left_is_said(name: str) -> None:
    nothing = dict.fromkeys(["in_flight", "sockets", "greenlets", "curls", "descriptors", "idle_handles", "rss_mb"], 0)
    assert left_behind(nothing, nothing) == []
    assert name in left_behind(nothing, {**nothing, name: 1_000})[0]
