"""Advice: which stage should run elsewhere, by what was measured of it. Pure.

The law: advice is given only where the figures leave no doubt, since who follows it has work to do:

- a worker stage whose pieces of CPU work kept the hub for more than `HOLD_SLICES` slices at the 99th percentile: it is
  in native code that can't be interrupted, or forbids it. Another place is better, or checkpoints between the calls.
- a process stage that takes less than `SHORT_S` a page: carrying the page there costs more than the work.

Neither before there have been `ENOUGH` pieces or pages.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from app.policy.held import Held

HOLD_SLICES = 5
SHORT_S = 0.0005
ENOUGH = 50

HELD_SHARE = 0.99


class StageUse(msgspec.Struct, frozen=True, kw_only=True):
    """What one stage has used in one place.

    runs     pages, ended well or not
    cpu_s    CPU seconds, of worker stages
    held     for how long the hub was kept, of worker stages
    preempt  whether its slices may be ended by force
    wall_s   seconds in all, waiting included, of others
    valued   of the runs, those that came to a value, and valued_s their seconds, of others: what a stage costs can't be
             read off the rest, since an import that fails is quick
    """

    name: str
    runs_in: str
    runs: int
    cpu_s: float = 0.0
    held: Held = Held()
    preempt: bool = True
    wall_s: float = 0.0
    valued: int = 0
    valued_s: float = 0.0


class Advice(msgspec.Struct, frozen=True):
    """What to do about a stage.

    better  where or how it should run: "process", "worker", or "preempt" (let the timer end its slices)
    text    the same in words, with its reason, for the log and the summary
    """

    stage: str
    runs_in: str
    better: str
    text: str


def added_up(uses: Iterable[StageUse]) -> list[StageUse]:
    """One for each stage and place, of what several workers have measured."""
    found: dict[tuple[str, str], list[StageUse]] = {}
    for use in uses:
        found.setdefault((use.name, use.runs_in), []).append(use)
    return [
        StageUse(
            name=name,
            runs_in=runs_in,
            runs=sum(use.runs for use in parts),
            cpu_s=sum(use.cpu_s for use in parts),
            held=Held.sum(use.held for use in parts),
            preempt=all(use.preempt for use in parts),
            wall_s=sum(use.wall_s for use in parts),
            valued=sum(use.valued for use in parts),
            valued_s=sum(use.valued_s for use in parts),
        )
        for (name, runs_in), parts in found.items()
    ]


def advise(uses: Iterable[StageUse], slice_s: float) -> list[Advice]:
    """One piece of advice for each stage that needs one."""
    return [advice for use in uses if (advice := _advice_on(use, slice_s)) is not None]


def _advice_on(use: StageUse, slice_s: float) -> Advice | None:
    if use.runs_in == "worker" and use.held.count >= ENOUGH:
        held_s = use.held.quantile_s(HELD_SHARE)
        if held_s > HOLD_SLICES * slice_s:
            better, words = "process", "runs_in='process' (or 'thread', if it releases the GIL), or checkpoints"
            if not use.preempt:
                better, words = "preempt", "preempt=True, or runs_in='process'"
            text = f"stage {use.name!r} held the hub {held_s * 1000:.3g} ms at p99: give it {words}"
            return Advice(use.name, use.runs_in, better, text)
    if use.runs_in == "process" and use.valued >= ENOUGH and use.valued_s / use.valued < SHORT_S:
        each_ms = use.valued_s / use.valued * 1000
        text = f"stage {use.name!r} takes {each_ms:.2g} ms a page with its way to a process: give it runs_in='worker'"
        return Advice(use.name, use.runs_in, "worker", text)
    return None
