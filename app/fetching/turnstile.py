"""Turnstile: lets only so many greenlets through for each turn of the hub.

Who waits for the network lets the hub turn. Greenlets that find what they want at once would not, and sockets and
signals would wait until all of them are done.
"""

from __future__ import annotations

from gevent import get_hub
from gevent.lock import Semaphore


class Turnstile:
    """For one hub. The first come, the first through."""

    def __init__(self, per_turn: int) -> None:
        self._per_turn = per_turn
        self._left = Semaphore(per_turn)
        self._is_turning = False

    def go_through(self) -> None:
        """Yields to the hub if so many have gone through since it turned."""
        self._left.acquire()
        if not self._is_turning:
            self._is_turning = True
            # A timer, for the hub polls before it looks at timers; what it does at once, it does before.
            timer = get_hub().loop.timer(0.0)
            timer.start(self._turned, timer)

    def _turned(self, timer: object) -> None:
        timer.stop()  # type: ignore[attr-defined]
        timer.close()  # type: ignore[attr-defined]
        self._is_turning = False
        while self._left.counter < self._per_turn:
            self._left.release()
