"""The scenarios: what a batch is doing when ctrl-C is typed."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Ending = Literal["limit", "second", "third"]
"""What follows the first ^C: nothing, so that the drain limit comes; a second one; a second and a third one."""

Origin = Literal["quick", "slow", "hung_names"]


class Scenario(Struct, frozen=True):
    """One of them.

    trials    so many, unless told otherwise
    stage     function of benchmarks.stops.stages
    origin    quick; slow: nine of ten pages within half a second, the tenth when the trial is
              over; hung_names: quick, but
              every second request has a name that no server answers for
    urls      of the job: more than a trial can get through
    endings   by turns
    moment_s  ^C comes within so many seconds of the first fetch, or, with `starts`, of the process's own start
    """

    name: str
    what: str
    trials: int
    stage: str = "plain"
    origin: Origin = "quick"
    urls: int = 300
    endings: tuple[Ending, ...] = ("limit", "second")
    moment_s: float = 1.5
    starts: bool = False


SCENARIOS = (
    Scenario("busy", "every core in pure-Python stages of 5 and 200 ms", 100, stage="busy"),
    Scenario("idle", "a slow origin, and hardly any CPU work", 100, origin="slow"),
    Scenario(
        *("gil", "native code that holds the GIL and never looks up", 20),
        stage="hold",
        endings=("limit", "second", "third"),
        urls=200,
    ),
    Scenario("names", "every name server silent, in a network of its own", 20, origin="hung_names"),
    Scenario(
        "start", "while it starts, from its first instruction on", 20, endings=("limit",), moment_s=0.8, starts=True
    ),
)
