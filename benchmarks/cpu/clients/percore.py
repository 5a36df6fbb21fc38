"""Ours: Session.fetch, and the work in slices by app.cpu's scheduler of this hub."""

from gevent import monkey

monkey.patch_all()

import functools  # noqa: E402 - after patching
from typing import Any  # noqa: E402

import msgspec  # noqa: E402

from benchmarks.cpu.clients.on_gevent import Run, drive  # noqa: E402
from benchmarks.cpu.clients.protocol import Task  # noqa: E402


def main() -> None:
    drive(_make_run, lambda: msgspec.to_builtins(_scheduler(0.0).statistics()))


def _make_run(task: Task) -> Run:
    run: Run = _scheduler(task.slice_s).run
    return run


@functools.cache
def _made(slice_s: float) -> Any:
    from app.cpu.scheduler import Scheduler

    return Scheduler(slice_s=slice_s)


def _scheduler(slice_s: float) -> Any:
    """This hub's own, as `app.cpu.run_sliced` uses it; one of another slice if the task asks for that."""
    from app.cpu.per_hub import scheduler_of_this_hub

    return _made(slice_s) if slice_s else scheduler_of_this_hub()


if __name__ == "__main__":
    main()
