"""What a finished list must be: one right record for every URL. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec import Struct


class Found(Struct, frozen=True):
    """A whole line of an output: which URL, and the digest that it says the body had."""

    url: str
    sha256: str


class Verdict(Struct, frozen=True):
    """lost     URLs without any right record
    doubled  right records beyond the first of a URL
    torn     lines that are no whole record
    wrong    whole records with another digest, or of no URL of the list
    """

    lost: int = 0
    doubled: int = 0
    torn: int = 0
    wrong: int = 0

    @property
    def faults(self) -> int:
        return self.lost + self.doubled + self.torn + self.wrong


def judge(lines: Iterable[Found | None], expected: Mapping[str, str]) -> Verdict:
    """`lines` are those of the output, None for a torn one; `expected` has the digest of every URL of the list."""
    right: Counter[str] = Counter()
    torn = wrong = 0
    for line in lines:
        if line is None:
            torn += 1
        elif expected.get(line.url) == line.sha256:
            right[line.url] += 1
        else:
            wrong += 1
    return Verdict(len(expected) - len(right), right.total() - len(right), torn, wrong)


def acknowledged(lines: Iterable[Found | None], expected: Mapping[str, str]) -> set[str]:
    """URLs that have a right record."""
    return {line.url for line in lines if line is not None and expected.get(line.url) == line.sha256}
