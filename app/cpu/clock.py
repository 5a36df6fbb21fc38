"""The two clocks of a scheduler, handed in so that tests can hold them still."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple


class Clock(NamedTuple):
    """now_s: monotonic, seconds; cpu_s: CPU seconds of the calling thread."""

    now_s: Callable[[], float] = time.monotonic
    cpu_s: Callable[[], float] = time.thread_time
