"""Read limit: the longest time that a transfer may make no progress once it is connected.

The law: it costs nothing for each piece that comes. A timer looks a few times within the limit whether anything has
gone over the wire since, so a transfer that stands still is ended up to a quarter of the limit late.
"""

from __future__ import annotations

from typing import Any, Protocol

import pycurl

_LOOKS_PER_LIMIT = 4


class Limited(Protocol):
    """What can be held to a limit: see app.fetching.transfer."""

    def progress(self) -> object:
        """Differs from one call to the next if anything went over the wire, or is still being connected."""

    def stop(self, code: int, message: str) -> None:
        """End it as failed."""

    def wake(self) -> None:
        """In the hub: switch to whoever waits."""


class ReadLimit:
    """Holds `transfer` to `limit_s`, on that loop, until `close`."""

    __slots__ = ("_last", "_quiet", "_timer", "_transfer")

    def __init__(self, transfer: Limited, loop: Any, limit_s: float) -> None:
        self._transfer = transfer
        self._last: object = None
        self._quiet = 0
        look_every_s = limit_s / _LOOKS_PER_LIMIT
        self._timer = loop.timer(look_every_s, look_every_s)
        self._timer.start(self._look, update=True)

    def close(self) -> None:
        """Look no more."""
        self._timer.stop()
        self._timer.close()

    def _look(self) -> None:
        now = self._transfer.progress()
        if now != self._last:
            self._last = now
            self._quiet = 0
            return
        self._quiet += 1
        if self._quiet >= _LOOKS_PER_LIMIT:
            self._transfer.stop(pycurl.E_OPERATION_TIMEDOUT, "Read timed out: nothing came within the read timeout")
            self._transfer.wake()
