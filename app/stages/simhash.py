"""`simhash`: a fingerprint of the page's main text that is nearly the same for nearly the same text.

Charikar, "Similarity estimation techniques from rounding algorithms" (STOC 2002), in the form of Manku, Jain and Das
Sarma, "Detecting near-duplicates for web crawling" (WWW 2007): 64 bits; every feature votes on each bit with its
weight. They found pages to be near-duplicates that differ in at most 3 bits. Features are runs of three words, weighted
by how often they come. Pure Python: the hub goes on between its slices.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b

from app.fetching.page import Page
from app.stages.base import stage
from app.stages.main_text import main_text_of

_BITS = 64
_WORDS_PER_FEATURE = 3

# Scripts that are written without spaces give words of one character.
_WORD = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]|\w+")

# Eight counters in one integer: adding `_LANES[byte]` counts each of the byte's bits. 40 bits never run over.
_LANE_BITS = 40
_LANES = [sum(1 << bit * _LANE_BITS for bit in range(8) if byte >> bit & 1) for byte in range(256)]
_LANE_MASK = (1 << _LANE_BITS) - 1


@stage
def simhash(page: Page) -> str | None:
    """A 64-bit fingerprint of the main text, 16 hexadecimal digits, that differs little for near-duplicates.

    Null when there is no word in it.
    """
    value = simhash_of(main_text_of(page))
    return None if value is None else f"{value:016x}"


def simhash_of(text: str) -> int | None:
    """The fingerprint; None when there is no word in it. Case and punctuation do not count."""
    features = Counter(_features(text))
    if not features:
        return None
    counters = [0] * (_BITS // 8)
    for feature, weight in features.items():
        digest = blake2b(feature.encode("utf-8", "replace"), digest_size=_BITS // 8).digest()
        for place, byte in enumerate(digest):
            counters[place] += _LANES[byte] * weight
    half = features.total() / 2
    value = 0
    for place, counter in enumerate(counters):
        for bit in range(8):
            if counter >> bit * _LANE_BITS & _LANE_MASK > half:
                value |= 1 << place * 8 + bit
    return value


def distance(one: str, other: str) -> int:
    """In how many of the 64 bits two values of the stage differ. Of unlike texts it is about 32."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


def _features(text: str) -> Iterator[str]:
    words = [word.lower() for word in _WORD.findall(text)]
    if len(words) < _WORDS_PER_FEATURE:
        yield from words
    for place in range(len(words) - _WORDS_PER_FEATURE + 1):
        yield " ".join(words[place : place + _WORDS_PER_FEATURE])
