"""What a scheduler says of itself."""

from __future__ import annotations

import msgspec


class Stretch(msgspec.Struct, frozen=True):
    """How long one run kept the core in one piece, seconds of time, and its name."""

    seconds: float
    name: str


class SchedulerStatistics(msgspec.Struct, frozen=True):
    """A snapshot.

    waiting     runs in line
    asleep      runs that wait for something else than the core: I/O, a lock, a sleep
    running     the name of the run that has the core, None if nobody has
    runs        ended, however they did
    slices      times that a run had the core
    forced      of these, ended by the timer; voluntary: at a checkpoint; the rest waited or ended by themselves
    postponed   times that the timer came when a slice could not be ended, by reason (app.cpu.preemption)
    timeouts    runs that used more than their budget
    cpu_s       CPU seconds by name of the run
    longest     the longest time for which a run kept the core in one piece, None before the first
    is_armed    whether the timer will tick
    """

    waiting: int
    asleep: int
    running: str | None
    runs: int
    slices: int
    forced: int
    voluntary: int
    postponed: dict[str, int]
    timeouts: int
    cpu_s: dict[str, float]
    longest: Stretch | None
    is_armed: bool
