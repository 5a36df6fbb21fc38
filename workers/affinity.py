"""Affinity: which core for which worker. Pure decisions on a Topology, plus the one call that pins.

The same functions serve gunicorn's hooks and fetch-batch's supervisor. There is no allocator: who uses which
core is always derived from the workers that are alive (docs/decisions/0004), so nothing can be leaked by a
worker that dies in an unusual way.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from itertools import zip_longest
from typing import Literal

import psutil

from workers.topology import Cpu, Topology

WIDE_CPUS = "PERCORE_WIDE_CPUS"
"""The environment variable that tells a worker's code the mask it had before the pin, in the kernel's list
form: threads that run native code, and isolated children, widen themselves to it."""


def core_order(topology: Topology) -> tuple[int, ...]:
    """The allowed CPUs in the order in which workers should take them.

    First one hardware thread of every physical core, NUMA nodes in turn, so that few workers get whole cores
    and all memory channels; then the siblings, in the same manner.
    """
    threads: dict[int, list[Cpu]] = {}
    for cpu in topology.cpus:
        if cpu.number in topology.allowed:
            threads.setdefault(cpu.core, []).append(cpu)
    order: list[int] = []
    for rank in zip_longest(*threads.values()):
        nodes: dict[int, list[int]] = {}
        for cpu in filter(None, rank):
            nodes.setdefault(cpu.node, []).append(cpu.number)
        in_turn = zip_longest(*(sorted(nodes[node]) for node in sorted(nodes)))
        order.extend(number for turn in in_turn for number in turn if number is not None)
    return tuple(order)


def worker_count(topology: Topology) -> int:
    """One worker per allowed CPU, but no more than the quota can keep busy. At least 1."""
    allowed = len(topology.allowed)
    if topology.quota_cpus is None:
        return allowed
    return min(allowed, max(1, math.floor(topology.quota_cpus)))


def should_pin(mode: Literal["auto", "on", "off"], topology: Topology) -> bool:
    """Whether to pin. "auto" doesn't when the quota is below the mask: the kernel charges the quota CPU by CPU
    and throttles us whichever we sit on, so the freedom to move to an idle one is worth more."""
    if mode != "auto":
        return mode == "on"
    return topology.quota_cpus is None or topology.quota_cpus >= len(topology.allowed)


def choose_core(order: tuple[int, ...], in_use: Iterable[int | None]) -> int:
    """The core for the next worker: the one that fewest of the others use, the earliest in `order` among
    equals. So a freed core is taken first, and more workers than cores double up evenly.

    in_use: the core of each worker alive, None for one that is not pinned. `order` must not be empty.
    """
    users = Counter(in_use)
    return min(order, key=lambda core: users[core])  # min() keeps the first among equals


def pin(pid: int, core: int) -> str | None:
    """Confine process `pid` (its main thread, and what that starts from now on) to one CPU.

    Returns None when done, else the reason in words, for a warning: an unpinned worker is slower, not wrong.
    """
    try:
        psutil.Process(pid).cpu_affinity([core])
    except (psutil.Error, OSError, ValueError, OverflowError) as error:
        return str(error) or type(error).__name__
    return None
