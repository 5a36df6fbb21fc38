"""What a scheduler says of itself."""

from __future__ import annotations

import msgspec

from app.policy.held import Held, bucket_of


class Stretch(msgspec.Struct, frozen=True):
    """How long one run kept the core in one piece, seconds of time, and its name."""

    seconds: float
    name: str


class NameUse(msgspec.Struct, frozen=True):
    """What all runs of one name have used: how many have ended, CPU seconds, and for how long they kept the core."""

    runs: int
    cpu_s: float
    held: Held


class NameCount:
    """The same while it is counted. Mutable: by its scheduler, at the end of each slice."""

    __slots__ = ("cpu_s", "long", "runs", "short")

    def __init__(self) -> None:
        self.runs = self.short = 0
        self.cpu_s = 0.0
        self.long: dict[int, int] = {}

    def note_short(self, seconds: float) -> None:
        """A run without a slice of its own has ended. Its time is taken for CPU time: it is too short for others to
        have had much of it.
        """
        self.runs += 1
        self.short += 1
        self.cpu_s += seconds

    def note_long(self, seconds: float) -> None:
        """A slice that lasted too long."""
        bucket = bucket_of(seconds)
        self.long[bucket] = self.long.get(bucket, 0) + 1

    def use(self) -> NameUse:
        """As it stands."""
        return NameUse(self.runs, self.cpu_s, Held(self.short, dict(self.long)))


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
    uses        by name of the run
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
    uses: dict[str, NameUse]
    longest: Stretch | None
    is_armed: bool

    @property
    def cpu_s(self) -> dict[str, float]:
        """CPU seconds by name of the run."""
        return {name: use.cpu_s for name, use in self.uses.items()}
