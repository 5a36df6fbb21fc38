"""A stored answer as bytes: what was written is read again, and nothing else is."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from app.fetching.stored_answer import StoredAnswer, name_of, stored_answer_of, variant_name, variant_of
from app.policy.caching import Terms

SECONDS = st.floats(0, 2e9)
TERMS = st.builds(
    Terms,
    SECONDS,
    SECONDS,
    SECONDS,
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**31),
    st.lists(st.text(max_size=5), max_size=3).map(tuple),
)
ENTRIES = st.builds(
    StoredAnswer,
    st.sampled_from([name_of("", "GET", url) for url in ("http://a/", "http://b/")]),
    st.binary(min_size=8, max_size=8),
    st.binary(min_size=16, max_size=16),
    st.lists(st.binary(max_size=30), max_size=5).map(tuple),
    st.booleans(),
    st.sampled_from(["", "HTTP/2"]),
    SECONDS,
    TERMS,
    st.binary(max_size=200),
)


@given(ENTRIES)
def test_what_is_written_is_read(stored: StoredAnswer) -> None:
    data = b"".join(stored.pieces())
    assert stored_answer_of(data, stored.name) == stored
    assert stored_answer_of(bytearray(data), stored.name) == stored
    assert stored_answer_of(data, "another") is None


@given(ENTRIES, st.data())
def test_what_is_broken_is_none(stored: StoredAnswer, data: Any) -> None:
    whole = b"".join(stored.pieces())
    assert stored_answer_of(whole[: data.draw(st.integers(0, len(whole) - 1))], stored.name) is None
    at = data.draw(st.integers(0, len(whole) - 1))
    harmed = bytearray(whole)
    harmed[at] ^= data.draw(st.integers(1, 255))
    assert stored_answer_of(harmed, stored.name) is None


@given(ENTRIES, SECONDS, st.text(max_size=2), st.data())
def test_a_description_takes_the_place_of_another(stored: StoredAnswer, at_s: float, protocol: str, data: Any) -> None:
    newer = msgspec.structs.replace(stored, requested_s=at_s, protocol=protocol)
    amendment = stored.amendment(newer)
    whole = b"".join(stored.pieces())
    if len(b"".join(newer.pieces())) != len(whole):
        assert amendment is None
        return
    assert amendment is not None
    assert stored_answer_of(amendment + whole[len(amendment) :], stored.name) == newer
    # Who reads in the midst of it sees one of both, or none.
    cut = data.draw(st.integers(0, len(amendment)))
    assert stored_answer_of(amendment[:cut] + whole[cut:], stored.name) in (None, stored, newer)
    other = msgspec.structs.replace(stored, body=stored.body + b"x")
    assert stored_answer_of(amendment + b"".join(other.pieces())[len(amendment) :], stored.name) is None, (
        "another's body"
    )


@given(st.binary(max_size=100))
def test_what_never_was_one_is_none(data: bytes) -> None:
    assert stored_answer_of(data, "x") is None


def test_names_tell_apart() -> None:
    names = {
        name_of(scope, method, url)
        for scope in ("", "public")
        for method in ("GET", "HEAD")
        for url in ("http://a/", "http://a/?", "http://a/\ud800")
    }
    assert len(names) == 12
    assert all(len(name) == 32 and int(name, 16) >= 0 for name in names)
    values = [(), (("a", None),), (("a", ""),), (("a", "None"),), (("a", "1"), ("b", None)), (("a", "1, b"),)]
    assert len({variant_of(value) for value in values}) == len(values)


def test_a_forgotten_url_leads_to_none_of_its_variants() -> None:
    terms = Terms(0.0, 0.0, 0.0, False, False, False, 0, ())
    first = StoredAnswer("name", b"family-1", b"a" * 16, (), False, "", 0.0, terms)
    second = msgspec.structs.replace(first, family=b"family-2")
    assert variant_name(first, b"b" * 16) != variant_name(second, b"b" * 16)
    assert variant_name(first, b"b" * 16) != variant_name(first, b"c" * 16)
