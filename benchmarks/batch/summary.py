"""Figures of many runs, condensed. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, field

from benchmarks.batch.history import History
from benchmarks.batch.journal import Turn
from benchmarks.common import run as common
from benchmarks.common.spread import Spread, spread_of


class Run(common.Run, frozen=True):
    """As in benchmarks/common/run.py; memory is that of all processes together.

    history  where it was killed
    turns    of the journal's client
    """

    history: History | None = None
    turns: list[Turn] = field(default_factory=list)


class Row(Struct, frozen=True):
    """One client over all rounds. None is for what no round gave.

    rate             URLs/s
    times_reference  the reference's rate divided by this one's, in the same round
    of_reference     the other way round
    cpu_us           CPU time of a URL, the median of rounds
    busy_percent     CPU time by time, the median of rounds
    peak_rss_mb      of all processes together, the largest of all rounds, in 10^6 bytes
    errors           URLs without a right record, and records too many or wrong, of all rounds
    complaints       each different failure and first error once
    histories        where it was killed
    """

    client: str
    rounds: int
    urls: int
    rate: Spread | None
    times_reference: Spread | None
    of_reference: Spread | None
    cpu_us: float | None
    busy_percent: float | None
    peak_rss_mb: float
    errors: int
    complaints: tuple[str, ...]
    histories: list[History]


def summarise(runs: Sequence[Run], reference: str) -> list[Row]:
    """A row for each client that occurs, the fastest first."""
    rates = common.rates_by_round(runs, reference)
    rows = [_row(client, its, rates) for client, its in common.by_client(runs).items()]
    return sorted(rows, key=lambda row: (-row.rate.median if row.rate else 0.0, row.client))


def _row(client: str, runs: Sequence[Run], rates: dict[int, float]) -> Row:
    good = common.with_figures(runs)
    cpu_s = common.cpu_each_s(runs)
    return Row(
        client=client,
        rounds=len(good),
        urls=max(run.done for run in runs),
        rate=common.rate_of(runs),
        times_reference=spread_of(rates[run.round] / run.rate for run in good if run.round in rates),
        of_reference=common.rate_share(runs, rates),
        cpu_us=cpu_s * 1e6 if cpu_s is not None else None,
        busy_percent=common.busy_percent(runs),
        peak_rss_mb=common.peak_rss_mb(runs),
        errors=common.errors_of(runs),
        complaints=common.complaints_of(runs),
        histories=[run.history for run in runs if run.history is not None],
    )
