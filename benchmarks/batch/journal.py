"""What the journal costs, from turns in which the same list went three ways. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from benchmarks.common.spread import Quartiles, quartiles_of

WAYS = ("journal", "lines", "nothing")
"""See benchmarks/batch/clients/journal.py."""

Turn = dict[str, tuple[float, float]]
"""Wall time and CPU time of each way."""


class Measured(Struct, frozen=True):
    """The client's line."""

    turns: list[Turn]
    errors: int
    versions: dict[str, str]


class Way(Struct, frozen=True):
    """One way over all turns.

    cpu_us        CPU time of a URL
    times_cpu, times_wall
                  the journal's time divided by this way's of the same turn
    """

    name: str
    cpu_us: Quartiles
    times_cpu: Quartiles
    times_wall: Quartiles


def ways(turns: Sequence[Turn], count: int) -> list[Way]:
    """One each, of lists of `count` URLs; none of no turns."""
    found = []
    for name in WAYS:
        cpu_us = quartiles_of(turn[name][1] / count * 1e6 for turn in turns)
        times_wall, times_cpu = (
            quartiles_of(turn["journal"][clock] / turn[name][clock] for turn in turns) for clock in (0, 1)
        )
        if cpu_us is not None and times_wall is not None and times_cpu is not None:
            found.append(Way(name, cpu_us, times_cpu, times_wall))
    return found
