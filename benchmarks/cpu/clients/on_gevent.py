"""Percore's Session.fetch with a greenlet per fetch in flight; `run` says how the work is run.

The programs that use it patch the standard library themselves, before they import anything else.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import gevent
from gevent import get_hub

from app.fetching import Session
from benchmarks.clients.protocol import versions_of
from benchmarks.cpu.clients.protocol import FETCH_TIMEOUT_S, Item, Meter, Task, bodies_in_memory, checked, parse_task
from benchmarks.cpu.lateness import TICK_S
from benchmarks.cpu.work import probe, score

Run = Callable[..., Any]
"""Calls a function with arguments, in its way, and gives its value."""


def drive(make_run: Callable[[Task], Run], statistics: Callable[[], Any] = lambda: None) -> None:
    """`make_run` is called once; `statistics` when all is done, for the figures."""
    task, meter = parse_task()
    run = make_run(task)
    session = Session(per_origin=task.concurrency)
    bodies = bodies_in_memory(task)

    def body_of(item: Item) -> bytes:
        if not task.fetched:
            return bodies[item.url]
        page = session.fetch(item.url, timeout_s=FETCH_TIMEOUT_S)
        return checked(item, page.status_code, page.content)

    numbers = itertools.count()

    def work() -> None:
        while (number := next(numbers)) < len(task.items):
            item = task.items[number]
            began_s = time.perf_counter()
            try:
                meter.scored(number, run(score, body_of(item), item.units), time.perf_counter() - began_s)
            except Exception as error:
                meter.failed(number, error)

    # One connection each, opened beforehand; and what the first run makes.
    gevent.joinall([gevent.spawn(body_of, task.items[0]) for _ in range(task.concurrency)], raise_error=True)
    run(score, b"warm", 1)

    hub = get_hub()
    Ticker(hub, meter).start()
    meter.on_interrupt(lambda: hub.loop.run_callback_threadsafe(meter.looped))
    meter.begin()
    probing = gevent.spawn(_probe, task, meter, run, bodies) if task.probe_units else None
    gevent.joinall([gevent.spawn(work) for _ in range(task.concurrency)])
    if probing is not None:
        probing.kill()
    meter.finish(versions_of("gevent", "greenlet", "pycurl"), statistics=statistics())


class Ticker:
    """On the loop itself, as the watcher of a socket is; a greenlet that waits is switched to in the same way."""

    def __init__(self, hub: Any, meter: Meter) -> None:
        self._timer = hub.loop.timer(TICK_S)
        self._meter = meter
        self._due_s = 0.0

    def start(self) -> None:
        """The next tick is due in TICK_S."""
        self._due_s = time.perf_counter() + TICK_S
        self._timer.stop()
        self._timer.start(self._tick, update=True)

    def stop(self) -> None:
        """No more ticks until it is started again."""
        self._timer.stop()

    def _tick(self) -> None:
        self._meter.ticked(time.perf_counter() - self._due_s)
        self.start()


def _probe(task: Task, meter: Meter, run: Run, bodies: dict[str, bytes]) -> None:
    body = bodies[task.items[0].url]
    for pause_s in meter.pauses():
        gevent.sleep(pause_s)
        waited_ns, _ = run(probe, time.monotonic_ns(), body, task.probe_units)
        meter.probed(waited_ns)
