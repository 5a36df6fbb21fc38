"""Beside: a phase's work in a thread, while the main thread shows how far it is, and obeys signals.

The main thread waits for nothing but signals and the clock, so ctrl-C is always answered: the first one has the work
stop at its next step, the second one leaves it where it is, as a kill would, after which the same command goes on too.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from app.errors import Interrupted
from workers.drain import STEP_CANCEL, STEP_DRAIN, StopSignals
from workers.phase import Phase
from workers.progress import Progress
from workers.suspension import suspend
from workers.tally import Tally

T = TypeVar("T")


class Beside:
    """Runs the phases of one run.

    limit_s  how long a work that was stopped may take to come to its next step

    is_left  some work was left where it is: its thread may still be at it, so nothing of it may be touched, and the
             process has to end
    """

    def __init__(self, signals: StopSignals, phase: Phase, progress: Progress, tally: Tally, limit_s: float) -> None:
        self._signals = signals
        self._phase = phase
        self._progress = progress
        self._tally = tally
        self._limit_s = limit_s
        self.is_left = False

    def run(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises; it may have ended well although it was to stop. Raises Interrupted when it was
        left.
        """
        results: list[T] = []
        errors: list[BaseException] = []

        def do() -> None:
            try:
                results.append(work())
            except BaseException as error:
                errors.append(error)
            self._signals.wake()

        threading.Thread(target=do, name="phase", daemon=True).start()
        leave_at_s: float | None = None
        while not results and not errors:
            now_s = time.monotonic()
            if self._signals.wants_pause:
                suspend(self._signals, self._progress)
            if self._signals.step >= STEP_DRAIN and leave_at_s is None:
                self._phase.stop()
                leave_at_s = now_s + self._limit_s
                self._progress.say("fetch-batch: stopping at the next step; ctrl-C again leaves at once")
            if leave_at_s is not None and (self._signals.step >= STEP_CANCEL or now_s >= leave_at_s):
                self.is_left = True
                raise Interrupted("left where it was")
            self._progress.update(self._tally, self._phase.state)
            wait_s = self._progress.every_s
            if leave_at_s is not None:
                wait_s = min(wait_s, leave_at_s - now_s)
            select.select([self._signals], [], [], wait_s)
            self._signals.clear()
        if errors:
            raise errors[0]
        return results[0]
