"""Figures of many runs, condensed: medians with their range, and ratios within rounds. Pure.

A machine that others share is faster in one minute than in the next. So two clients are compared round by round, in
which they ran right after one another, and the median of these ratios is given: not the ratio of the medians.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from msgspec import Struct


class Run(Struct, frozen=True):
    """What one client did in one round.

    round           0-based
    failure         why there are no figures; "" if there are
    fetches         whole and right answers while it was counted
    errors          all other answers, warm-up included
    wall_s, cpu_s   of the count; CPU is user and system time of the client's processes
    peak_rss_bytes  of its largest process
    """

    round: int
    client: str
    failure: str = ""
    fetches: int = 0
    errors: int = 0
    first_error: str = ""
    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_rss_bytes: int = 0

    @property
    def rate(self) -> float:
        """Fetches per second; 0 if it failed."""
        return self.fetches / self.wall_s if self.wall_s > 0 else 0.0


class Spread(Struct, frozen=True):
    """Of one figure over the rounds."""

    median: float
    min: float
    max: float


class Row(Struct, frozen=True):
    """One client over all rounds. None is for what no round gave.

    rate             fetches/s
    times_reference  the reference's rate divided by this client's, in the same round
    cpu_us           CPU per fetch, the median of rounds
    busy_percent     share of the counted time that the client spent on its core, the median of rounds
    peak_rss_mb      the largest of all rounds, in 10^6 bytes
    errors           of all rounds together
    complaints       each different failure and first error once
    """

    client: str
    rounds: int
    rate: Spread | None
    times_reference: Spread | None
    cpu_us: float | None
    busy_percent: float | None
    peak_rss_mb: float
    errors: int
    complaints: tuple[str, ...]


def summarise(runs: Sequence[Run], reference: str) -> list[Row]:
    """A row for each client that occurs, the fastest first and those without figures last."""
    reference_rates = {run.round: run.rate for run in runs if run.client == reference and run.rate > 0}
    rows = [
        _row(client, [run for run in runs if run.client == client], reference_rates)
        for client in dict.fromkeys(run.client for run in runs)
    ]
    return sorted(rows, key=lambda row: -row.rate.median if row.rate else 0.0)


def _row(client: str, runs: Sequence[Run], reference_rates: dict[int, float]) -> Row:
    good = [run for run in runs if run.rate > 0]
    said = [run.failure or run.first_error for run in runs]
    cpu_us = _spread(run.cpu_s / run.fetches * 1e6 for run in good)
    busy_percent = _spread(run.cpu_s / run.wall_s * 100 for run in good)
    return Row(
        client=client,
        rounds=len(good),
        rate=_spread(run.rate for run in good),
        times_reference=_spread(reference_rates[run.round] / run.rate for run in good if run.round in reference_rates),
        cpu_us=cpu_us.median if cpu_us else None,
        busy_percent=busy_percent.median if busy_percent else None,
        peak_rss_mb=max(run.peak_rss_bytes for run in runs) / 1e6,
        errors=sum(run.errors for run in runs),
        complaints=tuple(dict.fromkeys(filter(None, said))),
    )


def _spread(values: Iterable[float]) -> Spread | None:
    values = list(values)
    return Spread(statistics.median(values), min(values), max(values)) if values else None
