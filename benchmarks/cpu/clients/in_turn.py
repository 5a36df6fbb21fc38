"""Limit: the work alone, one item after another in the main thread, with no loop, ticker or other thread."""

from __future__ import annotations

import time

from benchmarks.cpu.clients.protocol import bodies_in_memory, parse_task
from benchmarks.cpu.work import score


def main() -> None:
    task, meter = parse_task()
    bodies = bodies_in_memory(task)
    score(b"warm", 1)
    meter.begin()
    for number, item in enumerate(task.items):
        began_s = time.perf_counter()
        meter.scored(number, score(bodies[item.url], item.units), time.perf_counter() - began_s)
    meter.finish({})


if __name__ == "__main__":
    main()
