"""The CPU work: a page's HTML is parsed and its words are scored, all in Python code. Pure.

It is counted in units of 128 bytes of HTML, not in whole pages, whose sizes differ by a factor of 300: a stage of 5 ms
is then one of about 5 ms on every page, and every contestant does exactly the same. The parser is the standard
library's html.parser, which is Python code; the score is a SimHash (Charikar, 2002) of the words, as one that looks for
near duplicates would take it, bit by bit.

Nothing but the standard library here: the peers' environment imports it too.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterable
from html.parser import HTMLParser

UNIT_BYTES = 128

_BITS = 32


class _Words(HTMLParser):
    """The words of the text, and how many links there are."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.links = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a" and any(name == "href" for name, _ in attrs):
            self.links += 1

    def handle_data(self, data: str) -> None:
        self.words += data.lower().split()


def score(body: bytes, units: int) -> int:
    """SimHash and links of `units` units of the page. Begins a third into it, after the head, which all pages share;
    begins anew at its end.
    """
    return score_for_each(body, range(units))


def score_for_each(body: bytes, turns: Iterable[object]) -> int:
    """The same, a unit for each that `turns` gives: it may count, or pause in between."""
    weights = [0] * _BITS
    at = len(body) // 3
    reader = _Words()
    links = 0
    for _ in turns:
        reader.feed(body[at : at + UNIT_BYTES].decode("utf-8", "replace"))
        at += UNIT_BYTES
        for word in reader.words:
            hashed = zlib.crc32(word.encode("utf-8", "replace"))
            for bit in range(_BITS):
                weights[bit] += 1 if hashed >> bit & 1 else -1
        reader.words.clear()
        if at >= len(body):
            links += reader.links
            at, reader = 0, _Words()
    links += reader.links
    return links << _BITS | sum(1 << bit for bit in range(_BITS) if weights[bit] > 0)


def probe(submitted_ns: int, body: bytes, units: int) -> tuple[int, int]:
    """How long it took from the submission (time.monotonic_ns) to this function's first line, in ns; and the score."""
    waited_ns = time.monotonic_ns() - submitted_ns
    return waited_ns, score(body, units)
