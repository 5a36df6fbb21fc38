"""The regimes: which list, from which origin, by whom."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from benchmarks.batch.contestants import OURS
from benchmarks.common import regime as common


class Kind(StrEnum):
    """How it is measured."""

    RATE = "rate"  # a list from nginx to its end, on one core
    CORES = "cores"  # the same with CPU stages on real pages, on one core and on two
    JOURNAL = "journal"  # one process, three ways by turns
    KILLED = "killed"  # killed at random, started again


class Regime(common.Regime, frozen=True):
    """As in benchmarks/common/regime.py.

    rounds       unless told otherwise
    count        URLs of the list; 0: each contestant has its own count
    concurrency  fetches in flight
    start_count  URLs of a first run whose time is taken off; 0: what every run costs is in the figures
    kills        before the list may be done; one more comes when all has been answered
    """

    kind: Kind
    rounds: int
    count: int = 0
    concurrency: int = 100
    start_count: int = 0
    kills: int = 0


_ALL = (OURS, "curl", "scrapy", "shards", "script")

REGIMES = (
    Regime("rate", "4 KB pages, fetched and hashed, the whole command on one core", _ALL, Kind.RATE, rounds=3),
    Regime(
        "cores",
        "pages of python3-doc: links, text, simhash; the origin on the second worker's core",
        ("workers-1", "workers-2"),
        Kind.CORES,
        rounds=3,
        count=625,
        start_count=25,
    ),
    Regime("journal", "what records on the disk cost, on one core", ("journal",), Kind.JOURNAL, rounds=2, count=2000),
    Regime(
        "killed",
        "SIGKILL to all processes at random moments, the same command again, until it is done",
        (*_ALL, "script-flush"),
        Kind.KILLED,
        rounds=1,
        count=4000,
        kills=10,
    ),
)
"""In the order in which they run."""


def quick(regime: Regime) -> Regime:
    """The same, to see that it works; its figures mean nothing."""
    count = 75 if regime.kind is Kind.CORES else 300
    return msgspec.structs.replace(regime, count=count, concurrency=20, kills=min(2, regime.kills))
