"""Two cores, one for the client and one for the origin, so that neither is measured by what the other leaves it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from workers.affinity import core_order
from workers.topology import read_topology


def client_and_origin() -> tuple[int, int]:
    """Two of the CPUs that we may use, on different physical cores if there are any. One CPU alone is given twice."""
    order = core_order(read_topology())
    return order[0], order[min(1, len(order) - 1)]


@contextmanager
def confined_to(*cpus: int) -> Iterator[None]:
    """What is started inside the `with` stays on these CPUs, from its first instruction on.

    To set it once a process has started would be too late for the threads that it has by then.
    """
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
