"""Progress: what a person (or a machine) sees of a running batch, on standard error.

On a terminal a few lines that are drawn anew in place; elsewhere a plain line every few seconds; on request JSON
lines. A terminal that goes away (a hang-up) takes nothing with it: the batch goes on, or drains, in silence. One that
nobody reads holds up nothing: no method waits for a reader but `close` and `pause`, for a moment.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Literal, TextIO

import msgspec

from workers.outlet import Outlet
from workers.phase import FETCHING, PhaseState
from workers.progress_view import Snapshot, picture, words
from workers.screen import Screen, window_size
from workers.summary import OriginUse, Summary
from workers.tally import Tally

Mode = Literal["auto", "none", "json"]

# A picture costs half a millisecond of a core that a worker would use.
_REDRAW_EVERY_S = 0.2
_LOG_EVERY_S = 5.0
_JSON_EVERY_S = 1.0

# The rate is what the last seconds were like, not the whole run's average: that is what a person acts on.
_RATE_OVER_S = 10.0

_SLOWEST_TOLD = 10

# Longer than any reader takes who reads at all.
_PAUSE_S = 1.0


class Progress:
    """Shows a batch. Call `update` often: it decides itself what is worth showing when.

    estimate  of the number of records that there will be, None when it can't be told
    """

    def __init__(
        self,
        mode: Mode,
        estimate: Callable[[], float | None],
        *,
        stream: TextIO | None = None,
        clock_s: Callable[[], float] = time.monotonic,
        size: Callable[[], tuple[int, int]] | None = None,
    ) -> None:
        stream = stream or sys.stderr
        self._outlet = Outlet(stream)
        self._estimate = estimate
        self._clock_s = clock_s
        self._started_s = self._shown_s = clock_s()
        self._told_dropped = 0
        self._marks: list[tuple[float, int]] = []  # (moment, records of this run by then), for the rate
        self._screen: Screen | None = None
        self._mode: Literal["live", "log", "json", "none"]
        if mode == "auto":
            self._mode = "live" if _can_draw(stream) else "log"
        else:
            self._mode = mode
        if self._mode == "live":
            # https://no-color.org: present and not empty.
            coloured = not os.environ.get("NO_COLOR")
            self._screen = Screen(coloured=coloured, size=size or (lambda: window_size(stream)))
        self._is_plain = not (stream.encoding or "").lower().startswith("utf")
        self.every_s = {"live": _REDRAW_EVERY_S, "log": _LOG_EVERY_S, "json": _JSON_EVERY_S, "none": 3600.0}[self._mode]

    def update(self, tally: Tally, phase: PhaseState = FETCHING) -> None:
        """Show the state if its time has come."""
        now_s = self._clock_s()
        if now_s - self._shown_s < self.every_s:
            return
        self._shown_s = now_s
        if self._outlet.is_idle:
            self._tell_dropped()
        snapshot = self._snapshot(tally, phase, now_s)
        screen = self._screen
        if screen is not None:
            self._outlet.show(lambda: self._drawn(screen, snapshot))
        elif self._mode == "json":
            self._outlet.show(lambda: _json_line(snapshot))
        elif self._mode == "log":
            self._outlet.show(lambda: f"fetch-batch: {words(snapshot)}\n")

    def say(self, *lines: str) -> None:
        """Print lines at once, above the live ones; among JSON lines each is one, too."""
        if not lines:
            return
        screen, text = self._screen, "\n".join(lines)
        if screen is not None:
            self._outlet.say(f"{text}\n", lambda: screen.above(text))
        elif self._mode == "json":
            self._outlet.say("".join(_json_line({"message": line}) for line in lines))
        else:
            self._outlet.say(f"{text}\n")

    def sum_up(self, summary: Summary) -> None:
        """Say what the run came to."""
        if self._mode == "json":
            self._outlet.say(_json_line({"summary": summary}))
        else:
            for line in summary.lines():
                self.say(line)

    def pause(self, limit_s: float = _PAUSE_S) -> None:
        """Take the live lines off the screen until the next `update`, for whoever uses it meanwhile.

        limit_s  how long to wait until all is read that was said
        """
        if self._screen is not None:
            self._outlet.say("", self._screen.clear)
        self._outlet.flush(lambda: limit_s)

    def close(self, limit_s: Callable[[], float]) -> None:
        """Take the live lines off the screen, and let all be read that was said. Nothing can be said any more.

        limit_s  how long to wait for a reader, asked again and again
        """
        if self._screen is not None:
            self._outlet.say("", self._screen.clear)
            self._screen = None
        if self._outlet.flush(limit_s):
            self._tell_dropped()
        self._outlet.close(limit_s)

    def _tell_dropped(self) -> None:
        """Once there is a reader again."""
        dropped = self._outlet.dropped
        if dropped > self._told_dropped:
            self.say(f"fetch-batch: {dropped - self._told_dropped:,} lines were dropped, which nobody read in time")
            self._told_dropped = dropped

    def _drawn(self, screen: Screen, snapshot: Snapshot) -> str:
        columns, rows = screen.size()
        return screen.draw(picture(snapshot, rows - 1, columns=columns, plain=self._is_plain))

    def _snapshot(self, tally: Tally, phase: PhaseState, now_s: float) -> Snapshot:
        kinds = tally.kinds
        done, ok = kinds.total(), kinds.pop("ok", 0)
        fetched = done - tally.resumed
        self._marks.append((now_s, fetched))
        while len(self._marks) > 2 and now_s - self._marks[1][0] >= _RATE_OVER_S:
            del self._marks[0]
        since_s, before = self._marks[0] if len(self._marks) > 1 else (self._started_s, 0)
        rate = (fetched - before) / max(now_s - since_s, 1e-9)
        expected = tally.total if tally.total is not None else self._estimate()
        eta_s = max(0.0, expected - done) / rate if expected is not None and rate > 0 else None
        return Snapshot(
            done=done,
            ok=ok,
            failed=done - ok,
            in_flight=sum(worker.in_flight for worker in tally.workers),
            total=tally.total,
            rate=round(rate, 1),
            eta_s=None if eta_s is None else round(eta_s, 1),
            elapsed_s=round(now_s - self._started_s, 1),
            expected=None if expected is None else round(expected, 1),
            kinds=dict(kinds.most_common()),
            workers=tally.workers,
            slowest=[OriginUse(use.key, use.count, round(use.weight, 3)) for use in tally.slowest(_SLOWEST_TOLD)],
            phase=phase,
        )


def _can_draw(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown", "")


def _json_line(value: object) -> str:
    return f"{msgspec.json.encode(value).decode()}\n"
