"""Figures of many runs, condensed: medians with their range, and ratios within rounds. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from benchmarks.common import run as common
from benchmarks.common.run import Run
from benchmarks.common.spread import Spread, spread_of


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
    rates = common.rates_by_round(runs, reference)
    rows = [_row(client, its, rates) for client, its in common.by_client(runs).items()]
    return sorted(rows, key=lambda row: -row.rate.median if row.rate else 0.0)


def _row(client: str, runs: Sequence[Run], rates: dict[int, float]) -> Row:
    good = common.with_figures(runs)
    cpu_s = common.cpu_each_s(runs)
    return Row(
        client=client,
        rounds=len(good),
        rate=common.rate_of(runs),
        times_reference=spread_of(rates[run.round] / run.rate for run in good if run.round in rates),
        cpu_us=cpu_s * 1e6 if cpu_s is not None else None,
        busy_percent=common.busy_percent(runs),
        peak_rss_mb=common.peak_rss_mb(runs),
        errors=common.errors_of(runs),
        complaints=common.complaints_of(runs),
    )
