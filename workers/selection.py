"""Selection: which lines of an input are fetched: the first ones (--limit), or some by chance (--sample).

The law: what is selected follows from the input and the seed alone, so that a resumed run selects the same. A line
that is not selected becomes an empty one: it has no record, and the others keep their index.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import msgspec

from app.errors import UsageError

IsEntry = Callable[[bytes], bool]

# Shards of a sample have more lines, so that they have more entries; but not without end, since a line that is not
# selected costs a little, too.
_WIDER_AT_MOST = 64


class Sample(msgspec.Struct, frozen=True):
    """How many entries to select by chance: a `share` of them, or a `number`; one of the two is None."""

    share: float | None = None
    number: int | None = None


class Selection(msgspec.Struct, frozen=True):
    """Entries to select from the first `limit` lines (None for all).

    sample  of how many; None for all
    total   entries there are in these lines; needed for a sample of a number
    """

    limit: int | None = None
    sample: Sample | None = None
    seed: int = 0
    total: int = 0

    @property
    def share(self) -> float:
        """How many of the entries are selected, 0 to 1."""
        if self.sample is None:
            return 1.0
        if self.sample.share is not None:
            return self.sample.share
        return min(1.0, (self.sample.number or 0) / max(1, self.total))

    def lines(self, lines: Iterable[bytes], is_entry: IsEntry) -> Iterator[bytes]:
        """The lines up to the limit, those that are not selected empty. Blocks as `lines` does."""
        limited = islice(lines, self.limit)
        if self.sample is None:
            return limited
        chance = random.Random(self.seed)
        if self.sample.share is not None:
            return _share(limited, is_entry, chance, self.sample.share)
        return _number(limited, is_entry, chance, self.sample.number or 0, self.total)

    def wider(self, shard_size: int) -> int:
        """Lines a shard should have, so that some `shard_size` of them are selected."""
        return max(1, min(round(shard_size / max(self.share, 1e-9)), shard_size * _WIDER_AT_MOST))


def parse_sample(text: str) -> Sample:
    """A whole number from 1, or a share as "0.01" or "1%". Raises UsageError."""
    try:
        if text.isdecimal() and int(text) > 0:
            return Sample(number=int(text))
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        if 0 < share <= 1:
            return Sample(share=share)
    except ValueError:
        pass
    raise UsageError(f"--sample {text!r}: write a share (0.01 or 1%) or a number of requests (500)")


def _share(lines: Iterator[bytes], is_entry: IsEntry, chance: random.Random, share: float) -> Iterator[bytes]:
    for line in lines:
        yield line if is_entry(line) and chance.random() < share else b""


def _number(
    lines: Iterator[bytes], is_entry: IsEntry, chance: random.Random, number: int, total: int
) -> Iterator[bytes]:
    """Selection sampling: Knuth, The Art of Computer Programming, volume 2, section 3.4.2, algorithm S."""
    wanted, left = number, total
    for line in lines:
        if not is_entry(line):
            yield b""
            continue
        is_taken = chance.random() * left < wanted
        left -= 1
        wanted -= is_taken
        yield line if is_taken else b""
