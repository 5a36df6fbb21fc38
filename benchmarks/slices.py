"""What slices cost one by one, and who waits for how many of them: one core, pure Python.

    taskset -c 0 bin/python -m benchmarks.slices

On a machine that others use as well, `chrt -f 1` before it keeps their load out of the figures (as root; each part
takes some seconds). Throughput and lateness are `bin/bench cpu --regime rate,lateness`.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import time  # noqa: E402
from collections import Counter  # noqa: E402
from collections.abc import Callable  # noqa: E402

import gevent  # noqa: E402

from app.cpu import checkpoint  # noqa: E402
from app.cpu.scheduler import Scheduler  # noqa: E402

_ROUNDS = 5
_PAUSE_S = 0.5


def cpu_s(call: Callable[[], object]) -> float:
    """CPU seconds of one call, the least of some."""
    found = []
    for _ in range(_ROUNDS):
        began_s = time.thread_time()
        call()
        found.append(time.thread_time() - began_s)
        time.sleep(_PAUSE_S)
    return min(found)


def costs() -> None:
    scheduler = Scheduler()

    def nothing() -> None:
        pass

    def runs(count: int) -> None:
        for _ in range(count):
            scheduler.run(nothing)

    def checkpoints() -> None:
        for _ in range(10_000):
            checkpoint()

    one = cpu_s(lambda: runs(10_000)) / 10_000
    crowd = cpu_s(lambda: gevent.joinall([gevent.spawn(runs, 200) for _ in range(50)])) / 10_000
    idle = cpu_s(checkpoints) / 10_000
    inside = cpu_s(lambda: scheduler.run(checkpoints)) / 10_000
    print(f"enter and leave: {one * 1e6:.1f} us, in a crowd of 50 {crowd * 1e6:.1f} us")
    print(f"checkpoint: {inside * 1e9:.0f} ns in a stage, {idle * 1e9:.0f} ns outside")


def waits() -> None:
    """Of a short stage that comes while 100 long ones run, in slices that others have meanwhile."""
    scheduler = Scheduler()
    waited: Counter[int] = Counter()
    is_over = False

    def submit() -> None:
        while not is_over:
            gevent.sleep(0.003)
            if min(levels) > 1:  # all long ones have shown that they are
                before = scheduler.statistics().slices
                scheduler.run(lambda before=before: waited.update([scheduler.statistics().slices - before]))

    levels = [0] * 100

    def long(number: int) -> None:
        for part in range(40):
            levels[number] = part
            sum(range(15_000))

    submitting = gevent.spawn(submit)
    gevent.joinall([gevent.spawn(scheduler.run, long, number) for number in range(100)], raise_error=True)
    is_over = True
    submitting.join()
    print("a short stage among 100 long ones waited for so many slices:", dict(sorted(waited.items())))


if __name__ == "__main__":
    costs()
    waits()
