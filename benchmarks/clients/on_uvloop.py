"""Drives a fetch coroutine on uvloop with one task per fetch in flight."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import NoReturn

import uvloop

from benchmarks.clients.protocol import PAUSE_AFTER_ERROR_S, Meter, Task

Fetch = Callable[[str], Awaitable[tuple[int, int]]]


def drive(task: Task, opened: Callable[[], AbstractAsyncContextManager[Fetch]], versions: Mapping[str, str]) -> None:
    """`opened` gives, on the loop, the coroutine function from a URL to status and body length; it may raise."""
    uvloop.run(_drive(task, opened, versions))


async def _drive(
    task: Task, opened: Callable[[], AbstractAsyncContextManager[Fetch]], versions: Mapping[str, str]
) -> NoReturn:
    meter = Meter(task)
    async with opened() as fetch:

        async def work(worker: int) -> None:
            for url in task.urls_of(worker):
                try:
                    status, size_bytes = await fetch(url)
                except Exception as error:
                    meter.failed(worker, error)
                    await asyncio.sleep(PAUSE_AFTER_ERROR_S)
                else:
                    meter.answered(worker, status, size_bytes)

        # Kept: the loop itself refers to its tasks only weakly.
        workers = [asyncio.create_task(work(worker)) for worker in range(task.concurrency)]
        await asyncio.sleep(task.warm_up_s)
        meter.begin()
        await asyncio.sleep(task.duration_s)
        assert len(workers) == task.concurrency
        meter.finish(versions)
