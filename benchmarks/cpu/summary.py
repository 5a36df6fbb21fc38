"""Figures of many runs, condensed: medians with their range, ratios within rounds, and whether all agree. Pure.

As in benchmarks/fetch/summary.py, a ratio is one of two runs of the same round, and the median of these is given.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from benchmarks.cpu.lateness import BUCKETS, quantile
from benchmarks.fetch.summary import Spread

_UNDISTURBED = 0.9  # CPU time by time and core


class Run(Struct, frozen=True):
    """What one client did in one round.

    round                 0-based
    failure               why there are no figures; "" if there are
    done                  items whose work was done
    errors                items that failed
    wall_s, cpu_s         of the whole list; CPU is user and system time of the client's processes
    peak_rss_bytes        of its first process
    ticks                 of its ticker; 0 if it has none. Those that it missed are in the figures, not here
    late_...              of the ticker, missed ticks included
    took_p50_s, ...       by kind of stage: from the fetch's begin to the score
    probes_s              from each probe's submission to its first line
    handled_s, looped_s   from each SIGINT to the handler's first line, and to what the loop ran because of it
    scores                by item, for comparison with others
    statistics            what the scheduler says of itself, if there is one
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
    ticks: int = 0
    late_p50_s: float = 0.0
    late_p99_s: float = 0.0
    late_max_s: float = 0.0
    late_histogram: list[int] = []
    took_p50_s: dict[str, float] = {}
    took_p99_s: dict[str, float] = {}
    probes_s: list[float] = []
    handled_s: list[float] = []
    looped_s: list[float] = []
    scores: dict[int, int] = {}
    statistics: Any = None

    @property
    def rate(self) -> float:
        """Items per second; 0 if it failed."""
        return self.done / self.wall_s if self.wall_s > 0 else 0.0


class Tail(Struct, frozen=True):
    """Of all the values of all rounds together, in seconds."""

    count: int
    p50: float
    p99: float
    max: float


class Row(Struct, frozen=True):
    """One client over all rounds. None is for what no round gave.

    rate             items/s
    of_reference     this client's rate divided by the reference's, in the same round
    late_p50_s, ...  a round gives one value each
    late_times       this client's late_p99_s divided by ours, in the same round
    late_histogram   of all rounds together
    took_p50_s, ...  by kind of stage, the median of rounds
    probes, handled, looped
                     of all rounds together
    cpu_ms           CPU time of an item, the median of rounds: what the rate comes to where nothing else has the core
    busy_percent     CPU time by the time that the list took, the median of rounds; above 100: more than one core
    peak_rss_mb      the largest of all rounds, in 10^6 bytes
    errors           of all rounds together
    complaints       each different failure and first error once
    """

    client: str
    rounds: int
    rate: Spread | None
    of_reference: Spread | None
    late_p50_s: Spread | None
    late_p99_s: Spread | None
    late_max_s: Spread | None
    late_times: Spread | None
    late_histogram: list[int]
    took_p50_s: dict[str, float]
    took_p99_s: dict[str, float]
    probes: Tail | None
    handled: Tail | None
    looped: Tail | None
    cpu_ms: float | None
    busy_percent: float | None
    peak_rss_mb: float
    errors: int
    complaints: tuple[str, ...]


def summarise(runs: Sequence[Run], reference: str, ours: str) -> list[Row]:
    """A row for each client that occurs, in the order of lateness at p99; those without a ticker first."""
    rates = {run.round: run.rate for run in runs if run.client == reference and run.rate > 0}
    late = {run.round: run.late_p99_s for run in runs if run.client == ours and run.late_p99_s > 0}
    rows = [
        _row(client, [run for run in runs if run.client == client], rates, late)
        for client in dict.fromkeys(run.client for run in runs)
    ]
    return sorted(rows, key=lambda row: (row.late_p99_s.median if row.late_p99_s else 0.0, row.client))


def disagreements(runs: Iterable[Run]) -> list[str]:
    """One line for each client whose score of an item is not what the first that scored it says."""
    first: dict[int, tuple[int, str]] = {}
    lines: dict[str, str] = {}
    for run in runs:
        for number, score in run.scores.items():
            known, who = first.setdefault(number, (score, run.client))
            if known != score:
                lines.setdefault(run.client, f"{run.client} scores item {number} with {score}, {who} with {known}")
    return list(lines.values())


def disturbances(runs: Sequence[Run], cores: Mapping[str, int]) -> list[str]:
    """One line for each client that had less CPU time than it would have used: no list leaves anybody idle.

    cores  that a client can keep busy, by name
    """
    lines = []
    for client in dict.fromkeys(run.client for run in runs):
        good = [run for run in runs if run.client == client and run.rate > 0]
        few = [run for run in good if run.cpu_s < _UNDISTURBED * cores[client] * run.wall_s]
        if few:
            lines.append(f"{client}: others had more than a tenth of its CPU time in {len(few)} of {len(good)} runs")
    return lines


def _row(client: str, runs: Sequence[Run], rates: dict[int, float], late: dict[int, float]) -> Row:
    good = [run for run in runs if run.rate > 0]
    ticked = [run for run in good if run.ticks]
    busy = _spread(run.cpu_s / run.wall_s * 100 for run in good)
    cpu_ms = _spread(run.cpu_s / run.done * 1e3 for run in good)
    return Row(
        client=client,
        rounds=len(good),
        rate=_spread(run.rate for run in good),
        of_reference=_spread(run.rate / rates[run.round] for run in good if run.round in rates),
        late_p50_s=_spread(run.late_p50_s for run in ticked),
        late_p99_s=_spread(run.late_p99_s for run in ticked),
        late_max_s=_spread(run.late_max_s for run in ticked),
        late_times=_spread(run.late_p99_s / late[run.round] for run in ticked if run.round in late),
        late_histogram=[sum(run.late_histogram[bucket] for run in ticked) for bucket in range(BUCKETS)],
        took_p50_s=_by_kind([run.took_p50_s for run in good]),
        took_p99_s=_by_kind([run.took_p99_s for run in good]),
        probes=_tail(value for run in good for value in run.probes_s),
        handled=_tail(value for run in good for value in run.handled_s),
        looped=_tail(value for run in good for value in run.looped_s),
        cpu_ms=cpu_ms.median if cpu_ms else None,
        busy_percent=busy.median if busy else None,
        peak_rss_mb=max(run.peak_rss_bytes for run in runs) / 1e6,
        errors=sum(run.errors for run in runs),
        complaints=tuple(dict.fromkeys(filter(None, (run.failure or run.first_error for run in runs)))),
    )


def _by_kind(took: Sequence[dict[str, float]]) -> dict[str, float]:
    kinds = dict.fromkeys(kind for one in took for kind in one)
    return {kind: statistics.median(one[kind] for one in took if kind in one) for kind in kinds}


def _spread(values: Iterable[float]) -> Spread | None:
    values = list(values)
    return Spread(statistics.median(values), min(values), max(values)) if values else None


def _tail(values: Iterable[float]) -> Tail | None:
    values = list(values)
    if not values:
        return None
    return Tail(len(values), quantile(values, 0.5), quantile(values, 0.99), max(values))
