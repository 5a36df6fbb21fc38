"""Figures of many trials, condensed, and whether the promises hold. Pure.

A promise about p99 is judged by the value that 99 of 100 trials do not pass; of fewer than 100 that is the largest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from benchmarks.cpu.lateness import quantile
from benchmarks.stops.job import DRAIN_LIMIT_S
from benchmarks.stops.kills import Kill
from benchmarks.stops.trial import Trial

SAID_MS = 50.0
SECOND_MS = 250.0
LIMIT_MS = (DRAIN_LIMIT_S + 0.5) * 1e3
FOLLOWED_MS = 1000.0


class Spread(Struct, frozen=True):
    """Of times, in milliseconds."""

    count: int
    p50_ms: float
    p99_ms: float
    max_ms: float


class Row(Struct, frozen=True):
    """One scenario. None for what did not come to be measured.

    said    first ^C to "draining";  limit, second, third  the last ^C to the end, where it was the first, ...
    looked  trials whose records were looked at afterwards
    """

    scenario: str
    trials: int
    looked: int
    said: Spread | None
    limit: Spread | None
    second: Spread | None
    third: Spread | None
    left: int
    faults: list[str]


class KillRow(Struct, frozen=True):
    """One kind of kill."""

    what: str
    scenario: str
    kills: int
    followed: Spread | None
    replaced: Spread | None
    at_work: Spread | None
    faults: list[str]


class Promise(Struct, frozen=True):
    """What was promised, and what came."""

    what: str
    got: str
    met: bool


def row_of(trials: Sequence[Trial]) -> Row:
    """Of one scenario's trials, at least one."""
    return Row(
        scenario=trials[0].scenario,
        trials=len(trials),
        looked=sum(trial.looked_at for trial in trials),
        said=spread_of(trial.said_s for trial in trials),
        limit=spread_of(trial.limit_s for trial in trials),
        second=spread_of(trial.second_s for trial in trials),
        third=spread_of(trial.third_s for trial in trials),
        left=sum(trial.left for trial in trials),
        faults=_numbered(trial.faults for trial in trials),
    )


def kill_rows(kills: Sequence[Kill]) -> list[KillRow]:
    """One for each kind, in the order of their first."""
    return [
        KillRow(
            what=what,
            scenario=scenario,
            kills=len(found),
            followed=spread_of(kill.followed_s for kill in found),
            replaced=spread_of(kill.replaced_s for kill in found),
            at_work=spread_of(kill.at_work_s for kill in found),
            faults=_numbered(kill.faults for kill in found),
        )
        for what, scenario in dict.fromkeys((kill.what, kill.scenario) for kill in kills)
        if (found := [kill for kill in kills if (kill.what, kill.scenario) == (what, scenario)])
    ]


def promises(rows: Sequence[Row], kills: Sequence[KillRow]) -> list[Promise]:
    """Whether each of them holds, scenario by scenario, where there is something to judge it by."""
    found: list[Promise] = []
    for row in rows:
        found += _at_most(f"{row.scenario}: says that it drains, p99", row.said, SAID_MS, _p99)
        found += _at_most(f"{row.scenario}: second ctrl-C to the end, p99", row.second, SECOND_MS, _p99)
        found += _at_most(f"{row.scenario}: third ctrl-C to the end, p99", row.third, SECOND_MS, _p99)
        found += _at_most(f"{row.scenario}: first ctrl-C to the end, max", row.limit, LIMIT_MS, _max)
        found.append(
            Promise(
                f"{row.scenario}: nothing lost, doubled, wrong or fetched again; status 130; no process left",
                f"{len(row.faults)} faults, {row.left} left, in {row.trials} trials, {row.looked} gone on with",
                not row.faults and not row.left,
            )
        )
    for kill in kills:
        name = f"kill -9 of the {kill.what}, {kill.scenario}"
        found += _at_most(f"{name}: the children follow, max", kill.followed, FOLLOWED_MS, _max)
        found.append(
            Promise(
                f"{name}: nothing lost, doubled, wrong or fetched again", f"{len(kill.faults)} faults", not kill.faults
            )
        )
    return found


def spread_of(values_s: Iterable[float | None]) -> Spread | None:
    """Of those that there are; None of none."""
    values_ms = [value_s * 1e3 for value_s in values_s if value_s is not None]
    if not values_ms:
        return None
    return Spread(len(values_ms), quantile(values_ms, 0.5), quantile(values_ms, 0.99), max(values_ms))


def _p99(spread: Spread) -> float:
    return spread.p99_ms


def _max(spread: Spread) -> float:
    return spread.max_ms


def _at_most(what: str, spread: Spread | None, limit_ms: float, of: Callable[[Spread], float]) -> list[Promise]:
    if spread is None:
        return []
    return [Promise(f"{what} at most {limit_ms:g} ms", f"{of(spread):.1f} ms", of(spread) <= limit_ms)]


def _numbered(faults: Iterable[Sequence[str]]) -> list[str]:
    return [f"trial {number}: {fault}" for number, found in enumerate(faults) for fault in found]
