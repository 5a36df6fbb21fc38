"""Calls that release the GIL, from a process that is pinned to one core: 2 at a time, in threads.

`pinned`: gevent's own thread pool, whose threads inherit the pin. `wide`: app.cpu.threads, whose threads take back the
whole mask. Both are waited for on the hub, by as many greenlets as there are threads, which is what a worker does.
"""

from gevent import monkey

monkey.patch_all()

import hashlib  # noqa: E402 - after patching
import itertools  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
import zlib  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402

from benchmarks.clients.protocol import versions_of  # noqa: E402
from benchmarks.cpu.clients.protocol import Task, parse_task  # noqa: E402

_ZLIB_BYTES = 2_000_000
_SHA256_BYTES = 64_000_000
_MATRIX = 700
_THREADS = 2


def main() -> None:
    way = sys.argv[1]
    task, meter = parse_task()
    run = _wide(task) if way == "wide" else _pinned()
    function, argument = _call(task)
    gevent.joinall([gevent.spawn(run, function, argument) for _ in range(2 * _THREADS)], raise_error=True)
    numbers = itertools.count()

    def work() -> None:
        while (number := next(numbers)) < len(task.items):
            began_s = time.perf_counter()
            try:
                meter.scored(number, run(function, argument), time.perf_counter() - began_s)
            except Exception as error:
                meter.failed(number, error)

    meter.begin()
    gevent.joinall([gevent.spawn(work) for _ in range(task.concurrency)])
    meter.finish(versions_of("gevent", *(["numpy"] if task.native == "numpy" else [])))


def _pinned() -> Callable[..., Any]:
    from gevent.threadpool import ThreadPool

    pool = ThreadPool(_THREADS)
    return lambda function, argument: pool.apply(function, (argument,))


def _wide(task: Task) -> Callable[..., Any]:
    from app.cpu.native_libraries import set_thread_counts
    from app.cpu.threads import NativeThreads

    # As many threads of ours as CPUs: BLAS need not have any of its own.
    set_thread_counts(1)
    run: Callable[..., Any] = NativeThreads(
        threads=_THREADS, wide_cpus=frozenset(task.all_cpus), queue=task.concurrency
    ).run
    return run


def _call(task: Task) -> tuple[Callable[[Any], int], Any]:
    """What is called again and again, and with what; it gives the same number each time."""
    if task.native == "zlib":
        text = b"".join(b"%d: the tide comes in and goes out\n" % number for number in range(_ZLIB_BYTES // 36))
        return _zlib, text[:_ZLIB_BYTES]
    if task.native == "sha256":
        return _sha256, bytes(_SHA256_BYTES)
    # At the end: nothing else of the peers' comes from there.
    sys.path.append(task.peers_path)
    import numpy

    values = numpy.random.default_rng(1).integers(0, 10, (_MATRIX, _MATRIX)).astype(float)
    return _product, values


def _zlib(text: bytes) -> int:
    return len(zlib.compress(text, 6))


def _sha256(data: bytes) -> int:
    return int.from_bytes(hashlib.sha256(data).digest()[:6], "big")


def _product(values: Any) -> int:
    # Whole numbers below 2**53: the same sum in whatever order it is taken.
    return int((values @ values).sum())


if __name__ == "__main__":
    main()
