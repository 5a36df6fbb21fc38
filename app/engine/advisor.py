"""Advisor: says in the log, once for each stage, what its figures advise (app.policy.advice)."""

from __future__ import annotations

import logging
from collections.abc import Callable

import gevent

from app.policy.advice import StageUse, advise

_log = logging.getLogger("percore.engine")

_EVERY_S = 10.0


class Advisor:
    """For the hub of the first call of `watch`.

    uses     what the stages have used so far
    slice_s  of the scheduler that ran them
    """

    def __init__(self, uses: Callable[[], list[StageUse]], slice_s: float, say: Callable[[str], None] | None = None):
        self._uses = uses
        self._slice_s = slice_s
        self._say = say or _log.warning
        self._said: set[str] = set()
        self._timer: object = None

    def watch(self) -> None:
        """Look every `_EVERY_S` seconds from now on. Keeps no loop alive. Safe to call again; does not yield."""
        if self._timer is None:
            timer = gevent.get_hub().loop.timer(_EVERY_S, _EVERY_S, ref=False)
            # A log line may have to wait for somebody, which the hub can't.
            timer.start(gevent.spawn, self.look)
            self._timer = timer

    def look(self) -> None:
        """Say what has not been said."""
        for advice in advise(self._uses(), self._slice_s):
            if advice.stage not in self._said:
                self._said.add(advice.stage)
                self._say(advice.text)
