"""One figure over many runs, condensed. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable

from msgspec import Struct


class Spread(Struct, frozen=True):
    """Of one figure over the rounds."""

    median: float
    min: float
    max: float


class Quartiles(Struct, frozen=True):
    """Of one figure over many pairs; half of the values lie between `lower` and `upper`."""

    median: float
    lower: float
    upper: float


def spread_of(values: Iterable[float]) -> Spread | None:
    """None of none."""
    values = list(values)
    return Spread(statistics.median(values), min(values), max(values)) if values else None


def quartiles_of(values: Iterable[float]) -> Quartiles | None:
    """None of none. The ends are among the values that they divide ("inclusive": of two values, a quarter between)."""
    values = list(values)
    if len(values) < 2:
        return Quartiles(*values * 3) if values else None
    lower, median, upper = statistics.quantiles(values, n=4, method="inclusive")
    return Quartiles(median, lower, upper)


def median_of(values: Iterable[float]) -> float | None:
    """None of none."""
    values = list(values)
    return statistics.median(values) if values else None
