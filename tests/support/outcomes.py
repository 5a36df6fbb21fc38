"""Outcomes of any shape, for property tests."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

from app.model.caching import CacheUse
from app.model.outcome import ErrorKind, Failure, Outcome
from app.model.timing import Timing

TEXT = st.text(max_size=30)
SECONDS = st.floats(0, 1e6, allow_nan=False)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
UNSET = st.just(msgspec.UNSET)
ERRORS = st.builds(Failure, st.sampled_from(ErrorKind), TEXT, st.none() | TEXT)
TIMINGS = st.builds(Timing, SECONDS, SECONDS, SECONDS, SECONDS, SECONDS, st.booleans(), st.just("HTTP/1.1"))


def outcomes(index: int) -> st.SearchStrategy[Outcome]:
    """With that index."""
    return st.builds(
        Outcome,
        index=st.just(index),
        id=UNSET | TEXT | st.integers(-(2**63), 2**63 - 1),
        url=TEXT,
        ok=st.booleans(),
        status=st.none() | st.integers(100, 999),
        final_url=st.none() | TEXT,
        headers=st.dictionaries(TEXT, TEXT, max_size=4),
        bytes=st.integers(0, 2**40),
        elapsed_s=SECONDS,
        attempts=st.integers(0, 101),
        stages=st.dictionaries(TEXT, JSON, max_size=3),
        error=st.none() | ERRORS,
        body=UNSET | TEXT,
        meta=UNSET | JSON,
        timing=UNSET | TIMINGS,
        warc_id=UNSET | st.uuids().map(lambda identifier: identifier.urn),
        body_sha256=UNSET | st.just("0" * 64),
        cache=UNSET | st.sampled_from(CacheUse),
    )


LISTS = st.integers(0, 7).flatmap(lambda count: st.tuples(*map(outcomes, range(count))).map(list))
