"""Directives of Cache-Control, from any text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.policy.caching_directives import MOST_S, delta_s, parse_directives


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        (" , ,", {}),
        ("a, B=1 ,c = 2", {"a": "", "b": "1"}),
        (r'a="x\"y, z", b', {"a": 'x"y, z', "b": ""}),
        ('a="x', {"a": '"x'}),
        ("a=1, a=2", {"a": "1"}),
        ("ä, b", {"b": ""}),
    ],
)
def test_directives(text: str, expected: dict[str, str]) -> None:
    assert parse_directives(text) == expected


@given(st.text())
def test_any_text_has_directives(text: str) -> None:
    for name in parse_directives(text):
        assert name == name.lower()
        assert name


@given(st.text(alphabet="0123456789.-+ex² ", max_size=30))
def test_seconds_are_digits_alone(text: str) -> None:
    seconds = delta_s(text)
    if text and set(text) <= set("0123456789"):
        assert seconds == min(int(text), MOST_S)
    else:
        assert seconds is None
