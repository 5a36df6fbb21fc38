"""What one client did in one round, as far as all benchmarks ask for it, and what many such runs come to. Pure.

A machine that others share is faster in one minute than in the next. So two clients are compared round by round, in
which they ran right after one another, and the median of these ratios is given: not the ratio of the medians.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from msgspec import Struct

from benchmarks.common.spread import Spread, median_of, spread_of


class Run(Struct, frozen=True):
    """round           0-based
    failure         why there are no figures; "" if there are
    done            whole and right results while it was counted
    errors          all others, warm-up included
    wall_s, cpu_s   of the count; CPU is user and system time of the client's processes
    peak_rss_bytes  of its largest process
    """

    round: int
    client: str
    failure: str = ""
    done: int = 0
    errors: int = 0
    first_error: str = ""
    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_rss_bytes: int = 0

    @property
    def rate(self) -> float:
        """Done per second; 0 if it failed."""
        return self.done / self.wall_s if self.wall_s > 0 else 0.0


_R = TypeVar("_R", bound=Run)


def by_client(runs: Iterable[_R]) -> dict[str, list[_R]]:
    """In the order in which clients occur."""
    found: dict[str, list[_R]] = {}
    for run in runs:
        found.setdefault(run.client, []).append(run)
    return found


def with_figures(runs: Iterable[_R]) -> list[_R]:
    """Those that did anything."""
    return [run for run in runs if run.rate > 0]


def rates_by_round(runs: Iterable[Run], client: str) -> dict[int, float]:
    """Of one client, where it has any."""
    return {run.round: run.rate for run in with_figures(runs) if run.client == client}


def rate_of(runs: Iterable[Run]) -> Spread | None:
    """Over the rounds."""
    return spread_of(run.rate for run in with_figures(runs))


def rate_share(runs: Iterable[Run], reference: dict[int, float]) -> Spread | None:
    """Each rate divided by the reference's of the same round."""
    return spread_of(run.rate / reference[run.round] for run in with_figures(runs) if run.round in reference)


def cpu_each_s(runs: Iterable[Run]) -> float | None:
    """CPU time for each that is done, the median of rounds."""
    return median_of(run.cpu_s / run.done for run in with_figures(runs))


def busy_percent(runs: Iterable[Run]) -> float | None:
    """CPU time by time, the median of rounds."""
    return median_of(run.cpu_s / run.wall_s * 100 for run in with_figures(runs))


def peak_rss_mb(runs: Iterable[Run]) -> float:
    """The largest of all rounds, in 10^6 bytes."""
    return max(run.peak_rss_bytes for run in runs) / 1e6


def errors_of(runs: Iterable[Run]) -> int:
    """Of all rounds together."""
    return sum(run.errors for run in runs)


def complaints_of(runs: Sequence[Run]) -> tuple[str, ...]:
    """Each different failure and first error once."""
    return tuple(dict.fromkeys(filter(None, (run.failure or run.first_error for run in runs))))
