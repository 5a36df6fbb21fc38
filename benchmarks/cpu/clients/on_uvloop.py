"""aiohttp on uvloop with a task per fetch in flight; `run` says how the work is run."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, NoReturn

import aiohttp
import uvloop

from benchmarks.clients.protocol import versions_of
from benchmarks.cpu.clients.protocol import FETCH_TIMEOUT_S, Item, Meter, Task, bodies_in_memory, checked, parse_task
from benchmarks.cpu.lateness import TICK_S
from benchmarks.cpu.work import probe, score

Run = Callable[..., Awaitable[Any]]
"""Calls a function with arguments, in its way, and gives its value."""


def drive(make_run: Callable[[Task], Run], pool_cpu_s: Callable[[], float] = lambda: 0.0) -> None:
    """`make_run` is called once, on the loop; `pool_cpu_s` is the CPU time of its processes, if it has any."""
    task, meter = parse_task()
    uvloop.run(_drive(task, meter, make_run, pool_cpu_s))


async def _drive(
    task: Task, meter: Meter, make_run: Callable[[Task], Run], pool_cpu_s: Callable[[], float]
) -> NoReturn:
    run = make_run(task)
    loop = asyncio.get_running_loop()
    bodies = bodies_in_memory(task)
    async with AsyncExitStack() as stack:
        if task.fetched:
            session = await stack.enter_async_context(
                aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(limit=task.concurrency),
                    timeout=aiohttp.ClientTimeout(total=FETCH_TIMEOUT_S),
                )
            )

        async def body_of(item: Item) -> bytes:
            if not task.fetched:
                return bodies[item.url]
            async with session.get(item.url) as answer:
                return checked(item, answer.status, await answer.read())

        numbers = itertools.count()

        async def work() -> None:
            while (number := next(numbers)) < len(task.items):
                item = task.items[number]
                began_s = time.perf_counter()
                try:
                    value = await run(score, await body_of(item), item.units)
                    meter.scored(number, value, time.perf_counter() - began_s)
                except Exception as error:
                    meter.failed(number, error)

        # One connection each, opened beforehand; and what the first run makes.
        await asyncio.gather(*(body_of(task.items[0]) for _ in range(task.concurrency)))
        await asyncio.gather(*(run(score, b"warm", 1) for _ in range(task.concurrency)))

        _start_ticker(loop, meter)
        meter.on_interrupt(lambda: loop.call_soon_threadsafe(meter.looped))
        before_cpu_s = pool_cpu_s()
        meter.begin()
        probing = asyncio.create_task(_probe(task, meter, run, bodies)) if task.probe_units else None
        await asyncio.gather(*(work() for _ in range(task.concurrency)))
        if probing is not None:
            probing.cancel()
        meter.finish(versions_of("aiohttp", "uvloop"), pool_cpu_s=pool_cpu_s() - before_cpu_s)


def _start_ticker(loop: asyncio.AbstractEventLoop, meter: Meter) -> None:
    due_s = 0.0

    def tick() -> None:
        meter.ticked(time.perf_counter() - due_s)
        start()

    def start() -> None:
        nonlocal due_s
        due_s = time.perf_counter() + TICK_S
        loop.call_later(TICK_S, tick)

    start()


async def _probe(task: Task, meter: Meter, run: Run, bodies: dict[str, bytes]) -> None:
    body = bodies[task.items[0].url]
    for pause_s in meter.pauses():
        await asyncio.sleep(pause_s)
        waited_ns, _ = await run(probe, time.monotonic_ns(), body, task.probe_units)
        meter.probed(waited_ns)
