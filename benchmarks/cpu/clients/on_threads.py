"""requests and `concurrency` threads, each of which fetches and works in turn. There is no loop to be late.

So the ticker is one more thread, as any thread that waits for I/O; and the probe's function is handed to a thread that
waits for nothing else.
"""

from __future__ import annotations

import itertools
import queue
import threading
import time

from benchmarks.clients.protocol import versions_of
from benchmarks.cpu.clients.protocol import FETCH_TIMEOUT_S, Item, Meter, Task, bodies_in_memory, checked, parse_task
from benchmarks.cpu.lateness import TICK_S
from benchmarks.cpu.work import probe, score


def main() -> None:
    task, meter = parse_task()
    if task.fetched:
        # Here, so that a regime without a network needs nothing but Python.
        import requests
        from requests.adapters import HTTPAdapter

        session = requests.Session()
        session.mount("http://", HTTPAdapter(pool_maxsize=task.concurrency))

        def body_of(item: Item) -> bytes:
            answer = session.get(item.url, timeout=FETCH_TIMEOUT_S)
            return checked(item, answer.status_code, answer.content)
    else:
        bodies = bodies_in_memory(task)

        def body_of(item: Item) -> bytes:
            return bodies[item.url]

    numbers = itertools.count()
    ready = threading.Barrier(task.concurrency + 1)
    start = threading.Event()

    def work() -> None:
        body_of(task.items[0])  # opens the connection
        ready.wait()
        start.wait()
        while (number := next(numbers)) < len(task.items):
            item = task.items[number]
            began_s = time.perf_counter()
            try:
                meter.scored(number, score(body_of(item), item.units), time.perf_counter() - began_s)
            except Exception as error:
                meter.failed(number, error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(task.concurrency)]
    for thread in threads:
        thread.start()
    threading.Thread(target=_tick, args=(meter,), daemon=True).start()
    ready.wait()
    meter.begin()
    if task.probe_units:
        _start_probes(task, meter)
    start.set()
    for thread in threads:
        thread.join()
    meter.finish(versions_of("requests", "urllib3") if task.fetched else {})


def _tick(meter: Meter) -> None:
    while True:
        before_s = time.perf_counter()
        time.sleep(TICK_S)
        meter.ticked(time.perf_counter() - before_s - TICK_S)


def _start_probes(task: Task, meter: Meter) -> None:
    handed: queue.SimpleQueue[int] = queue.SimpleQueue()
    done = threading.Semaphore(0)
    body = bodies_in_memory(task)[task.items[0].url]

    def work() -> None:
        while True:
            waited_ns, _ = probe(handed.get(), body, task.probe_units)
            meter.probed(waited_ns)
            done.release()

    def submit() -> None:
        for pause_s in meter.pauses():
            time.sleep(pause_s)
            handed.put(time.monotonic_ns())
            done.acquire()

    threading.Thread(target=work, daemon=True).start()
    threading.Thread(target=submit, daemon=True).start()


if __name__ == "__main__":
    main()
