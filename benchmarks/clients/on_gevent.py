"""Drives a blocking fetch function with one greenlet per fetch in flight.

The programs that use it patch the standard library themselves, before they import anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NoReturn

import gevent

from benchmarks.clients.protocol import PAUSE_AFTER_ERROR_S, Meter, Task


def drive(task: Task, fetch: Callable[[str], tuple[int, int]], versions: Mapping[str, str]) -> NoReturn:
    """`fetch` gives status and body length of a URL; it may raise."""
    meter = Meter(task)

    def work(worker: int) -> None:
        for url in task.urls_of(worker):
            try:
                status, size_bytes = fetch(url)
            except Exception as error:
                meter.failed(worker, error)
                gevent.sleep(PAUSE_AFTER_ERROR_S)
            else:
                meter.answered(worker, status, size_bytes)

    # Kept: a greenlet that nobody refers to may be collected while it waits.
    workers = [gevent.spawn(work, worker) for worker in range(task.concurrency)]
    gevent.sleep(task.warm_up_s)
    meter.begin()
    gevent.sleep(task.duration_s)
    assert len(workers) == task.concurrency
    meter.finish(versions)
