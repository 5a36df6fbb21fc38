"""Sharding: how a job is cut. A shard is a fixed run of input lines, so a line's shard follows from its number.

Shards depend on nothing but the line number and the size: the same input is cut the same way on every run,
which is what makes a shard the unit of output and of resume.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec


class Shard(msgspec.Struct, frozen=True):
    """Input lines `first_index` to `first_index + len(lines) - 1`, as they stand in the input."""

    number: int
    first_index: int
    lines: list[bytes]


def cut(lines: Iterable[bytes], shard_size: int) -> Iterator[Shard]:
    """Cut a stream of lines into shards of `shard_size` (the last may be shorter), one in memory at a time."""
    stream = iter(lines)
    number = 0
    while batch := list(islice(stream, shard_size)):
        yield Shard(number, number * shard_size, batch)
        number += 1


def shard_of(index: int, shard_size: int) -> int:
    """Number of the shard that input line `index` belongs to."""
    return index // shard_size
