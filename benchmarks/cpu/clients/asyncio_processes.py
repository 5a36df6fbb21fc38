"""aiohttp on uvloop, the work in a pool of two processes on the same core: one can work while the next page comes."""

from __future__ import annotations

import asyncio
import functools
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from benchmarks.cpu.clients.on_uvloop import Run, drive
from benchmarks.cpu.clients.protocol import Task

_PROCESSES = 2
_TICKS_PER_SECOND = 100  # of /proc, on every Linux (USER_HZ)


def make_run(_: Task) -> Run:
    pool = ProcessPoolExecutor(_PROCESSES, mp_context=multiprocessing.get_context("spawn"))
    return functools.partial(asyncio.get_running_loop().run_in_executor, pool)


def pool_cpu_s() -> float:
    """User and system time of the pool's processes so far (proc(5), stat, fields 14 and 15)."""
    total = 0
    for child in multiprocessing.active_children():
        with open(f"/proc/{child.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS_PER_SECOND


if __name__ == "__main__":
    drive(make_run, pool_cpu_s)
