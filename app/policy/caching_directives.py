"""Caching directives: Cache-Control (RFC 9111 section 5.2) taken apart, and what a request wishes by it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

import msgspec

MOST_S = 2**31
"""What is longer counts as so long (RFC 9111 section 1.2.2)."""

_MEMBERS = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+', re.DOTALL)
_TOKEN = re.compile(r"[-!#$%&'*+.^_`|~0-9a-z]+")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)

Directives = Mapping[str, str]


@lru_cache(maxsize=1024)
def parse_directives(value: str) -> Directives:
    """Directives by lower-case name, each with its argument, "" for none; the first one counts where there are several
    (RFC 9111 section 4.2.1). What is no directive is passed over. Not to be changed.

    value  of all Cache-Control lines, joined by commas
    """
    found: dict[str, str] = {}
    for member in _MEMBERS.findall(value):
        name, equals, argument = member.strip(" \t").partition("=")
        name = name.lower()
        if name not in found and _TOKEN.fullmatch(name):
            quoted = _QUOTED.fullmatch(argument)
            found[name] = _ESCAPED.sub(r"\1", quoted[1]) if equals and quoted else argument
    return found


def delta_s(argument: str) -> int | None:
    """Seconds of an argument (delta-seconds); None if it is no such number."""
    if not (argument.isascii() and argument.isdigit()):
        return None
    return min(int(argument[-20:]) if len(argument) <= 20 else MOST_S, MOST_S)


class Wishes(msgspec.Struct, frozen=True):
    """What a request's directives ask of a cache (RFC 9111 section 5.2.1, RFC 5861). Seconds; None if not said.

    max_stale_s  what is stale by so much will do
    """

    no_store: bool = False
    no_cache: bool = False
    only_if_cached: bool = False
    max_age_s: int | None = None
    min_fresh_s: int | None = None
    max_stale_s: int | None = None
    stale_if_error_s: int | None = None


NO_WISHES = Wishes()


def wishes_of(headers: Mapping[str, str]) -> Wishes:
    """A request's wishes, from its headers by lower-case name."""
    value = headers.get("cache-control")
    if value is not None:
        return _wishes(value)
    # For HTTP/1.0 (RFC 9111 section 5.4); beside Cache-Control it means nothing.
    if "no-cache" in parse_directives(headers.get("pragma", "")):
        return Wishes(no_cache=True)
    return NO_WISHES


@lru_cache(maxsize=256)
def _wishes(value: str) -> Wishes:
    told = parse_directives(value)
    stale = told.get("max-stale")
    max_age = told.get("max-age")
    return Wishes(
        no_store="no-store" in told,
        no_cache="no-cache" in told,
        only_if_cached="only-if-cached" in told,
        # What can't be read asks for the most that it can have meant.
        max_age_s=None if max_age is None else delta_s(max_age) or 0,
        min_fresh_s=delta_s(told.get("min-fresh", "")),
        max_stale_s=MOST_S if stale == "" else delta_s(stale or ""),
        stale_if_error_s=delta_s(told.get("stale-if-error", "")),
    )
