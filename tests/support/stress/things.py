"""What kinds work on: words, a page, and objects whose methods other code calls."""

from __future__ import annotations

import functools
import random
from typing import Any

_words = random.Random(1)


WORDS = ["".join(_words.choices("abcdefghij", k=_words.randint(2, 9))) for _ in range(500)]


PARAGRAPHS = "".join(
    f"<p id=p{n}>{' '.join(_words.choices(WORDS, k=40))} <a href='/{n}'>more</a></p>" for n in range(30)
)


HTML = f"<html><body>{PARAGRAPHS}</body></html>"


@functools.total_ordering
class Number:
    """Compares, hashes, adds and writes itself in Python."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __lt__(self, other: Number) -> bool:
        return self.value < other.value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Number) and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value % 50)

    def __radd__(self, other: int) -> int:
        return other + self.value

    def __repr__(self) -> str:
        return f"<{self.value}>"

    def __format__(self, spec: str) -> str:
        return format(self.value, spec)

    def __reduce__(self) -> tuple[Any, ...]:
        return Number, (self.value,)


def numbers(chance: random.Random, count: int, below: int = 1000) -> list[Number]:
    return [Number(chance.randrange(below)) for _ in range(count)]
