"""Alarm: the one moment at which libcurl wants to be called next, on a hub's loop.

The law: a timer that rings too early is let ring, and set anew if need be. Most moments are pushed back again and
again, as deadlines are, and the loop has not to be told each time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


class Alarm:
    """on_due is called in the hub at the moment that was set. It does not keep the loop alive."""

    def __init__(self, loop: Any, on_due: Callable[[], None]) -> None:
        self._loop = loop
        self._on_due = on_due
        # Mutable state.
        self._due_s: float | None = None
        self._armed_s: float | None = None  # when the timer will ring: no later than that
        self._timer: Any = None

    def set(self, after_s: float) -> None:
        """Call in `after_s` seconds, and not at the moment that was set before."""
        self._due_s = time.monotonic() + after_s
        if self._armed_s is None or self._due_s < self._armed_s:
            self._arm(after_s)

    def unset(self) -> None:
        """Don't call."""
        self._due_s = None

    def close(self) -> None:
        """Give the timer back. Safe to call again."""
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None

    def _arm(self, after_s: float) -> None:
        self.close()
        self._timer = self._loop.timer(after_s, ref=False)
        # update: the loop's idea of now may be as old as the last long stage.
        self._timer.start(self._on_ring, update=True)
        self._armed_s = time.monotonic() + after_s

    def _on_ring(self) -> None:
        self.close()
        self._armed_s = None
        if self._due_s is None:
            return
        early_s = self._due_s - time.monotonic()
        if early_s > 0:
            self._arm(early_s)
            return
        self._due_s = None
        self._on_due()
