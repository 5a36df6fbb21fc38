"""HTTP dates: the three forms of RFC 9110 section 5.6.7, and nothing that only looks like them. Pure.

Caches have to take a date that can't be read for one that has passed, so guessing would be wrong here.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = "|".join(_MONTHS)
_DAY = "mon|tue|wed|thu|fri|sat|sun"
_LONG_DAY = "monday|tuesday|wednesday|thursday|friday|saturday|sunday"
_TIME = r"(\d\d):(\d\d):(\d\d)"

# In whatever case: section 5.6.7 wants it exact, and asks recipients to be robust.
_FIXDATE = re.compile(rf"(?:{_DAY}), (\d\d) ({_MONTH}) (\d{{4}}) {_TIME} gmt", re.ASCII)
_RFC850 = re.compile(rf"(?:{_LONG_DAY}), (\d\d)-({_MONTH})-(\d\d) {_TIME} gmt", re.ASCII)
_ASCTIME = re.compile(rf"(?:{_DAY}) ({_MONTH}) ([ \d]\d) {_TIME} (\d{{4}})", re.ASCII)

_LONGEST = 40


def parse_http_date_s(text: str, now_s: float) -> float | None:
    """Seconds since the epoch; None for what is no HTTP date.

    now_s  by which the century of a year of two digits is told
    """
    trimmed = text.strip(" \t")
    if len(trimmed) > _LONGEST:
        return None
    lower = trimmed.lower()
    if found := _FIXDATE.fullmatch(lower):
        return _fixdate_s(*found.groups())
    if found := _ASCTIME.fullmatch(lower):
        month, day, hour, minute, second, year = found.groups()
        return _seconds(int(year), month, day, hour, minute, second)
    if found := _RFC850.fullmatch(lower):
        day, month, year, hour, minute, second = found.groups()
        return _seconds(_whole_year(int(year), now_s), month, day, hour, minute, second)
    return None


@lru_cache(maxsize=1024)
def _fixdate_s(day: str, month: str, year: str, hour: str, minute: str, second: str) -> float | None:
    return _seconds(int(year), month, day, hour, minute, second)


def _seconds(year: int, month: str, day: str, hour: str, minute: str, second: str) -> float | None:
    try:
        # A leap second has no other place.
        whole = min(int(second), 59) if second == "60" else int(second)
        moment = datetime(year, _MONTHS.index(month) + 1, int(day), int(hour), int(minute), whole, tzinfo=UTC)
    except ValueError:
        return None
    return moment.timestamp()


def _whole_year(last_digits: int, now_s: float) -> int:
    """More than 50 years ahead is the most recent year with these digits."""
    this_year = datetime.fromtimestamp(now_s, UTC).year
    year = this_year - this_year % 100 + last_digits
    return year - 100 if year > this_year + 50 else year
