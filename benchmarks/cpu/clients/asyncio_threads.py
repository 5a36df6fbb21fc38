"""aiohttp on uvloop, the work in threads (`asyncio.to_thread`'s own pool, unless the regime needs more of them)."""

from __future__ import annotations

import asyncio
import functools
from concurrent.futures import ThreadPoolExecutor

from benchmarks.cpu.clients.on_uvloop import Run, drive
from benchmarks.cpu.clients.protocol import Task


def make_run(task: Task) -> Run:
    # With probes, all of the list is to be at work at once and one thread idle; otherwise as many as Python chooses.
    pool = ThreadPoolExecutor(task.concurrency + 1 if task.probe_units else None)
    return functools.partial(asyncio.get_running_loop().run_in_executor, pool)


if __name__ == "__main__":
    drive(make_run)
