"""Pulse: how a worker is: how late its hub runs, and how much CPU time it takes."""

from __future__ import annotations

import time
from collections.abc import Callable

import gevent

_BEAT_S = 0.05

# CPU time is counted in ticks of some milliseconds, so over less than this its share says little.
_CPU_OVER_S = 1.0


class Pulse:
    """Of this process's hub. `beat` runs in a greenlet of its own; `take` is asked now and then."""

    def __init__(
        self,
        clock_s: Callable[[], float] = time.monotonic,
        cpu_clock_s: Callable[[], float] = time.process_time,
        sleep: Callable[[float], object] = gevent.sleep,
    ) -> None:
        self._clock_s = clock_s
        self._cpu_clock_s = cpu_clock_s
        self._sleep = sleep
        self._late_s = 0.0
        self._cpu = 0.0
        self._since_s, self._cpu_since_s = clock_s(), cpu_clock_s()

    def beat(self) -> None:
        """Measure for ever. Yields to the hub."""
        while True:
            due_s = self._clock_s() + _BEAT_S
            self._sleep(_BEAT_S)
            self._late_s = max(self._late_s, self._clock_s() - due_s)

    def take(self) -> tuple[float, float]:
        """CPU seconds per second over the last second or so, and by how much the hub was late since the last call."""
        now_s = self._clock_s()
        passed_s = now_s - self._since_s
        if passed_s >= _CPU_OVER_S:
            cpu_s = self._cpu_clock_s()
            self._cpu = (cpu_s - self._cpu_since_s) / passed_s
            self._since_s, self._cpu_since_s = now_s, cpu_s
        late_s, self._late_s = self._late_s, 0.0
        return self._cpu, max(0.0, late_s)
