"""Clock: time, timers and chance, handed in so that tests can hold them still."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from gevent import get_hub

Cancel = Callable[[], None]


def start_timer(seconds: float, callback: Callable[[], None]) -> Cancel:
    """Have the hub call `callback` once, in `seconds` or a little earlier (the hub's own clock lags behind)."""
    timer = get_hub().loop.timer(max(0.0, seconds))
    is_open = True

    def cancel() -> None:
        nonlocal is_open
        if is_open:
            is_open = False
            timer.stop()
            timer.close()

    def fire() -> None:
        cancel()
        callback()

    timer.start(fire)
    return cancel


@dataclass(frozen=True)
class Clock:
    """monotonic_s and wall_s are seconds; chance is in [0, 1).

    start_timer  (seconds, callback) -> a function that cancels it, also afterwards; the callback runs in the hub
    """

    monotonic_s: Callable[[], float] = time.monotonic
    wall_s: Callable[[], float] = time.time
    chance: Callable[[], float] = random.random
    start_timer: Callable[[float, Callable[[], None]], Cancel] = start_timer
