"""Dry run: what is in an input, and whether a child could begin, told without fetching or writing anything."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click
import msgspec

from app.model.outcome import Failure
from app.policy.heaviest import Heaviest
from app.policy.urls import origin_of
from app.sources.entry import parse_entry
from workers.batch_options import BatchOptions
from workers.begin_check import check_begin
from workers.plan import Plan, begin_of
from workers.topology import read_topology

# So many origins are told apart; with more it is said that there are more.
_ORIGINS_COUNTED = 500_000
_ORIGINS_SHOWN = 10


class DryRun(msgspec.Struct, frozen=True):
    """What there is.

    requests  that would be fetched
    duplicates  requests that --dedupe drops
    invalid   lines that would only have a record of their failure, by error kind
    origins   how many there are; `more_origins` when not all were told apart
    largest   the origins with the most requests, and how many those are, at least
    """

    lines: int
    requests: int
    duplicates: int
    invalid: dict[str, int]
    shards: int
    shard_size: int
    origins: int
    more_origins: bool
    largest: dict[str, int]

    def report(self) -> list[str]:
        """It in words."""
        more = "more than " if self.more_origins else ""
        lines = [
            f"{_number(self.lines, 'line')}: {_number(self.requests, 'request')}, "
            f"{sum(self.invalid.values()):,} that can't be fetched; "
            f"{_number(self.shards, 'shard')} of up to {_number(self.shard_size, 'line')}",
            *([f"  {self.duplicates:,} listed before, and fetched once"] if self.duplicates else []),
            *(f"  {kind}  {count:,}" for kind, count in self.invalid.items()),
            f"{more}{_number(self.origins, 'origin')}" + (", the largest:" if self.largest else ""),
            *(f"  {origin}  {count:,}" for origin, count in self.largest.items()),
        ]
        return [*lines, "nothing was fetched"]


def dry_run(options: BatchOptions, plan: Plan, folder: Path) -> DryRun:
    """Have a child load the stages, then read the whole input. Memory does not depend on its length.

    folder  for what --dedupe keeps meanwhile
    Raises UsageError for what a run would refuse.
    """
    topology = read_topology()
    check_begin(begin_of(options, plan, folder, topology), topology.allowed, _say)
    lines = requests = shards = 0
    invalid: Counter[str] = Counter()
    largest = Heaviest()
    seen: set[int] = set()
    more = False
    all_shards = plan.shards(folder)
    for shard in all_shards:
        entries = 0
        for index, line in enumerate(shard.lines, shard.first_index):
            entry = parse_entry(index, line)
            if entry is None:
                continue
            entries += 1
            if isinstance(entry.request, Failure):
                invalid[entry.request.kind.value] += 1
                continue
            requests += 1
            origin = str(origin_of(entry.request.url))
            largest.add(origin, 1.0)
            if len(seen) < _ORIGINS_COUNTED:
                seen.add(hash(origin))
            else:
                more = more or hash(origin) not in seen
        lines += len(shard.lines)
        shards += bool(entries)
    return DryRun(
        lines=lines,
        requests=requests,
        invalid=dict(invalid.most_common()),
        shards=shards,
        shard_size=plan.shard_size,
        duplicates=all_shards.duplicates,
        origins=len(seen),
        more_origins=more,
        largest={use.key: round(use.weight) for use in largest.most(_ORIGINS_SHOWN)},
    )


def _say(*lines: str) -> None:
    for line in lines:
        click.echo(line, err=True)


def _number(count: int, of: str) -> str:
    return f"{count:,} {of}{'' if count == 1 else 's'}"
