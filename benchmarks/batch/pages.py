"""The pages of the origin that counts: each URL has a body and a delay of its own, drawn by its number. Pure."""

from __future__ import annotations

import hashlib
import random

_WORDS = ("the", "tide", "comes", "in", "and", "goes", "out", "again", "under", "a", "pale", "moon")
_DELAY_S = (0.002, 0.03)


def body_of(number: int) -> bytes:
    """1 to 6 KB of HTML."""
    chance = random.Random(f"page {number}")
    words = " ".join(chance.choices(_WORDS, k=chance.randrange(200, 1200)))
    return f"<!DOCTYPE html><title>{number}</title><p>{words}</p>".encode()


def delay_s(number: int) -> float:
    """Until it is answered."""
    return random.Random(f"delay {number}").uniform(*_DELAY_S)


def digests(count: int, base: str) -> dict[str, str]:
    """By URL, in order."""
    return {f"{base}{number}": hashlib.sha256(body_of(number)).hexdigest() for number in range(count)}
