"""The short form of tests/fuzz_responses.py: fixed seeds."""

from __future__ import annotations

from tests.fuzz_responses import fuzz, script_of


def test_only_known_failures_come_of_random_answers() -> None:
    fuzzer = fuzz(range(300))
    assert not fuzzer.faults
    # They reach deep enough: each way had answers, and bodies that broke.
    for word in ("fetch ok", "fetch bad_response", "fetch connection_lost", "fetch body_too_large", "fetch timeout"):
        assert fuzzer.seen[word], fuzzer.seen
    for way in ("whole", "stream"):
        for word in ("ok", "ConnectionError", "ChunkedEncodingError", "ContentDecodingError"):
            assert fuzzer.seen[f"{way} {word}"], fuzzer.seen


def test_a_seed_means_one_answer() -> None:
    assert script_of(7) == script_of(7) != script_of(8)
