"""Cooperation: what a stage itself says about its slices. `checkpoint` offers to end one, `no_preempt` forbids it.

Stages import this wherever they run, isolated children included, where both do nothing: so no gevent here.
"""

from __future__ import annotations

from types import TracebackType

from app.cpu.run import Run, run_of_caller


def checkpoint() -> None:
    """End the slice if it is used up: the hub polls, others have their turns, then this returns.

    Costs less than 1 us while the slice lasts, and where no scheduler runs the caller. Does nothing inside
    `no_preempt()`. Raises StageTimeout once the run's CPU budget is used up. Yields to the hub if the slice has ended.
    """
    run = run_of_caller()
    if run is not None and run.listener.now_s() >= run.slice_ends_s:
        run.listener.offers(run)


class no_preempt:  # noqa: N801  used as a statement
    """`with no_preempt():` no slice is ended by force in this block, and checkpoints in it do nothing.

    For a few lines that change what stages share. It does not keep others out if the block itself waits (I/O, a
    lock, a sleep), and it holds up everything else on this hub: keep it short. Blocks may be nested; outside of a
    stage it does nothing. Does not yield.
    """

    __slots__ = ("_run",)

    def __init__(self) -> None:
        self._run: Run | None = None

    def __enter__(self) -> None:
        self._run = run = run_of_caller()
        if run is not None:
            run.holds += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._run is not None:
            self._run.holds -= 1
