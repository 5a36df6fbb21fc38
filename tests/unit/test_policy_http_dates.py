"""Dates as HTTP writes them, and all that is none."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.policy.http_dates import parse_http_date_s

NOW_S = 1_800_000_000.0

MOMENTS = st.integers(0, 253_402_300_799)


@given(MOMENTS)
def test_every_date_that_is_sent_is_read(moment_s: int) -> None:
    assert parse_http_date_s(formatdate(moment_s, usegmt=True), NOW_S) == moment_s


@pytest.mark.parametrize(
    "text",
    [
        "Thu, 30 Feb 2050 02:01:18 GMT",
        "Thu, 18 Aug 2050 24:01:18 GMT",
        "Thu, 18 Aug 2050 02:60:18 GMT",
        "Thu, 18 Aug 2050 02:01:61 GMT",
        "Thu, 18 Aug ２０５０ 02:01:18 GMT",
        "Thu, 18 Aug 0000 02:01:18 GMT",
        "0",
        "-1",
        "",
    ],
)
def test_what_is_no_date(text: str) -> None:
    assert parse_http_date_s(text, NOW_S) is None


def test_years_of_two_digits() -> None:
    """RFC 9110 section 5.6.7: more than 50 years ahead is the past. It is 2027."""
    for text, year in [("77", 2077), ("78", 1978), ("26", 2026)]:
        read_s = parse_http_date_s(f"Monday, 01-Jan-{text} 00:00:00 GMT", NOW_S)
        assert read_s == parse_http_date_s(f"Mon, 01 Jan {year} 00:00:00 GMT", NOW_S)
    leap_s = parse_http_date_s("Sat, 31 Dec 2016 23:59:60 GMT", NOW_S)
    assert leap_s == parse_http_date_s("Sat, 31 Dec 2016 23:59:59 GMT", NOW_S)
