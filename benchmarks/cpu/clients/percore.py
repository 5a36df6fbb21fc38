"""Ours: Session.fetch, and the work in slices by app.cpu's scheduler of this hub."""

from gevent import monkey

monkey.patch_all()

from typing import Any  # noqa: E402 - after patching

import msgspec  # noqa: E402

from benchmarks.cpu.clients.on_gevent import Run, drive  # noqa: E402
from benchmarks.cpu.clients.protocol import Task  # noqa: E402


def main() -> None:
    # Here, so that whatever is wrong with it is this client's failure and no other's.
    from app.cpu.sliced import scheduler_of_this_hub

    def make_run(task: Task) -> Run:
        """`run_sliced`, with slices of the length that is asked for."""
        run: Run = scheduler_of_this_hub(task.slice_s).run
        return run

    def statistics() -> Any:
        return msgspec.to_builtins(scheduler_of_this_hub().statistics())

    drive(make_run, statistics)


if __name__ == "__main__":
    main()
