"""Checkpoint: where a stage itself offers to end its slice."""

from __future__ import annotations

from app.cpu.run import run_of_caller


def checkpoint() -> None:
    """End the slice if it is used up: the hub polls, others have their turns, then this returns.

    Costs less than 1 us while the slice lasts, and where no scheduler runs the caller. Does nothing inside
    `no_preempt()`. Raises StageTimeout once the run's CPU budget is used up. Yields to the hub if the slice has ended.
    """
    run = run_of_caller()
    if run is not None and run.listener.now_s() >= run.slice_ends_s:
        run.listener.offers(run)
