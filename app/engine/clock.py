"""Clock: time and chance, handed in so that tests can hold them still."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import gevent


@dataclass(frozen=True)
class Clock:
    """monotonic_s and wall_s are seconds; sleep takes seconds and yields to the hub; chance is in [0, 1)."""

    monotonic_s: Callable[[], float] = time.monotonic
    wall_s: Callable[[], float] = time.time
    sleep: Callable[[float], None] = gevent.sleep
    chance: Callable[[], float] = random.random
