"""Figures of many runs, condensed: medians with their range, ratios within rounds, and whether all agree. Pure.

A ratio is one of two runs of the same round, and the median of these is given (benchmarks/common/run.py).
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from benchmarks.common import run as common
from benchmarks.common.spread import Spread, spread_of
from benchmarks.cpu.lateness import BUCKETS, quantile
from benchmarks.cpu.pairs import Pair, Paired, paired

_UNDISTURBED = 0.9  # CPU time by time and core


class Run(common.Run, frozen=True):
    """As in benchmarks/common/run.py, of the whole list.

    ticks                 of its ticker; 0 if it has none. Those that it missed are in the figures, not here
    late_...              of the ticker, missed ticks included
    took_p50_s, ...       by kind of stage: from the fetch's begin to the score
    probes_s              from each probe's submission to its first line
    handled_s, looped_s   from each SIGINT to the handler's first line, and to what the loop ran because of it
    scores                by item, for comparison with others
    statistics            what the scheduler says of itself, if there is one
    pairs                 of the client that alternates
    """

    ticks: int = 0
    late_p50_s: float = 0.0
    late_p99_s: float = 0.0
    late_max_s: float = 0.0
    late_histogram: list[int] = field(default_factory=list)
    took_p50_s: dict[str, float] = field(default_factory=dict)
    took_p99_s: dict[str, float] = field(default_factory=dict)
    probes_s: list[float] = field(default_factory=list)
    handled_s: list[float] = field(default_factory=list)
    looped_s: list[float] = field(default_factory=list)
    scores: dict[int, int] = field(default_factory=dict)
    statistics: Any = None
    pairs: list[Pair] = field(default_factory=list)


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
    pairs            where the client alternates: what it does is no rate of its own
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
    pairs: Paired | None
    cpu_ms: float | None
    busy_percent: float | None
    peak_rss_mb: float
    errors: int
    complaints: tuple[str, ...]


def summarise(runs: Sequence[Run], reference: str, ours: str) -> list[Row]:
    """A row for each client that occurs, in the order of lateness at p99; those without a ticker first."""
    rates = common.rates_by_round(runs, reference)
    late = {run.round: run.late_p99_s for run in runs if run.client == ours and run.late_p99_s > 0}
    rows = [_row(client, its, rates, late) for client, its in common.by_client(runs).items()]
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
    for client, its in common.by_client(runs).items():
        good = common.with_figures(its)
        few = [run for run in good if run.cpu_s < _UNDISTURBED * cores[client] * run.wall_s]
        if few:
            lines.append(f"{client}: others had more than a tenth of its CPU time in {len(few)} of {len(good)} runs")
    return lines


def _row(client: str, runs: Sequence[Run], rates: dict[int, float], late: dict[int, float]) -> Row:
    good = common.with_figures(runs)
    ticked = [run for run in good if run.ticks]
    cpu_s = common.cpu_each_s(runs)
    return Row(
        client=client,
        rounds=len(good),
        rate=common.rate_of(runs),
        of_reference=common.rate_share(runs, rates),
        late_p50_s=spread_of(run.late_p50_s for run in ticked),
        late_p99_s=spread_of(run.late_p99_s for run in ticked),
        late_max_s=spread_of(run.late_max_s for run in ticked),
        late_times=spread_of(run.late_p99_s / late[run.round] for run in ticked if run.round in late),
        late_histogram=[sum(run.late_histogram[bucket] for run in ticked) for bucket in range(BUCKETS)],
        took_p50_s=_by_kind([run.took_p50_s for run in good]),
        took_p99_s=_by_kind([run.took_p99_s for run in good]),
        probes=_tail(value for run in good for value in run.probes_s),
        handled=_tail(value for run in good for value in run.handled_s),
        looped=_tail(value for run in good for value in run.looped_s),
        pairs=_paired(good),
        cpu_ms=cpu_s * 1e3 if cpu_s is not None else None,
        busy_percent=common.busy_percent(runs),
        peak_rss_mb=common.peak_rss_mb(runs),
        errors=common.errors_of(runs),
        complaints=common.complaints_of(runs),
    )


def _paired(runs: Sequence[Run]) -> Paired | None:
    pairs = [pair for run in runs for pair in run.pairs]
    # Each pair does the list twice.
    return paired(pairs, sum(run.done for run in runs) // (2 * len(pairs))) if pairs else None


def _by_kind(took: Sequence[dict[str, float]]) -> dict[str, float]:
    kinds = dict.fromkeys(kind for one in took for kind in one)
    return {kind: statistics.median(one[kind] for one in took if kind in one) for kind in kinds}


def _tail(values: Iterable[float]) -> Tail | None:
    values = list(values)
    if not values:
        return None
    return Tail(len(values), quantile(values, 0.5), quantile(values, 0.99), max(values))
