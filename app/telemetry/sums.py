"""Sums: the samples of several workers as one. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from app.telemetry.families import FAMILIES, Sample

# Not to be added up: what is so long anywhere is so long.
_OF_THE_LARGEST = frozenset({"percore_stage_held_seconds"})


def added_up(samples: Iterable[Sample]) -> list[Sample]:
    """One sample for each family and labels: their sum, or the largest where a sum would mean nothing."""
    found: dict[tuple[str, tuple[str, ...]], float] = {}
    for one in samples:
        place = (one.family, one.labels)
        if one.family in _OF_THE_LARGEST:
            found[place] = max(found.get(place, 0.0), one.value)
        else:
            found[place] = found.get(place, 0.0) + one.value
    return [Sample(family, value, labels) for (family, labels), value in found.items()]


def counters_of(samples: Iterable[Sample]) -> list[Sample]:
    """What stays of a worker that has ended."""
    return [one for one in samples if FAMILIES[one.family].kind == "counter"]
