"""Progress: what a person (or a machine) sees of a running batch, on standard error.

On a terminal one line that is redrawn; elsewhere a plain line every few seconds; on request JSON lines. And at
the end a summary by error kind.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Literal, TextIO

import msgspec
from rich.console import Console
from rich.live import Live
from rich.text import Text

from workers.tally import Tally

Mode = Literal["auto", "none", "json"]

_REDRAW_EVERY_S = 0.1
_LOG_EVERY_S = 5.0
_JSON_EVERY_S = 1.0

# The rate is what the last seconds were like, not the whole run's average: that is what a person acts on.
_RATE_OVER_S = 10.0


class Snapshot(msgspec.Struct, frozen=True):
    """One moment of a batch.

    rate    records per second, of late
    eta_s   seconds to the end, None while that can't be told
    """

    done: int
    ok: int
    failed: int
    in_flight: int
    total: int | None
    rate: float
    eta_s: float | None
    elapsed_s: float


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
    ) -> None:
        self._stream = stream or sys.stderr
        self._estimate = estimate
        self._clock_s = clock_s
        self._started_s = self._shown_s = clock_s()
        self._marks: list[tuple[float, int]] = []  # (moment, records of this run by then), for the rate
        self._live: Live | None = None
        console = Console(file=self._stream)
        self._mode: Literal["live", "log", "json", "none"]
        if mode == "auto":
            self._mode = "live" if console.is_terminal and not console.is_dumb_terminal else "log"
        else:
            self._mode = mode
        if self._mode == "live":
            self._live = Live(console=console, auto_refresh=False, transient=True)
            self._live.start()
        self.every_s = {"live": _REDRAW_EVERY_S, "log": _LOG_EVERY_S, "json": _JSON_EVERY_S, "none": 3600.0}[self._mode]

    def update(self, tally: Tally, in_flight: int) -> None:
        """Show the state if its time has come."""
        now_s = self._clock_s()
        if now_s - self._shown_s < self.every_s:
            return
        self._shown_s = now_s
        snapshot = self._snapshot(tally, in_flight, now_s)
        if self._live is not None:
            self._live.update(_line(snapshot), refresh=True)
        elif self._mode == "json":
            self._print(msgspec.json.encode(snapshot).decode())
        elif self._mode == "log":
            self._print(f"fetch-batch: {_words(snapshot)}")

    def say(self, line: str) -> None:
        """Print a line at once, above the live one."""
        if self._live is not None:
            self._live.console.print(Text(line))
        else:
            self._print(line)

    def close(self) -> None:
        """Take the live line off the screen."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def summary(self, tally: Tally) -> list[str]:
        """The closing lines: how many, how fast, and what went wrong how often."""
        elapsed_s = self._clock_s() - self._started_s
        kinds = tally.kinds
        done, ok = kinds.total(), kinds.pop("ok", 0)
        fetched = done - tally.resumed
        lines = [
            f"{done:,} record{'' if done == 1 else 's'}: {ok:,} ok, {done - ok:,} failed; "
            + (f"{tally.resumed:,} from an earlier run, {fetched:,} " if tally.resumed else "")
            + f"in {elapsed_s:.1f} s ({fetched / max(elapsed_s, 1e-9):,.0f}/s)"
        ]
        width = max(map(len, kinds), default=0)
        return lines + [f"  {kind:<{width}}  {count:,}" for kind, count in kinds.most_common()]

    def _print(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()

    def _snapshot(self, tally: Tally, in_flight: int, now_s: float) -> Snapshot:
        kinds = tally.kinds
        done, ok = kinds.total(), kinds["ok"]
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
            in_flight=in_flight,
            total=tally.total,
            rate=round(rate, 1),
            eta_s=None if eta_s is None else round(eta_s, 1),
            elapsed_s=round(now_s - self._started_s, 1),
        )


def _words(snapshot: Snapshot) -> str:
    of = f" of {snapshot.total:,}" if snapshot.total is not None else ""
    return (
        f"{snapshot.done:,}{of} done, {snapshot.failed:,} failed, {snapshot.in_flight:,} in flight, "
        f"{snapshot.rate:,.0f}/s, ETA {_duration(snapshot.eta_s)}"
    )


def _line(snapshot: Snapshot) -> Text:
    """One row, however narrow the window: what does not fit is cut off."""
    of = f" of {snapshot.total:,}" if snapshot.total is not None else ""
    return Text.assemble(
        (f"{snapshot.done:,}{of} done", "bold"),
        "  ",
        (f"{snapshot.failed:,} failed", "red" if snapshot.failed else "dim"),
        f"  {snapshot.in_flight:,} in flight  ",
        (f"{snapshot.rate:,.0f}/s", "cyan"),
        f"  ETA {_duration(snapshot.eta_s)}",
        no_wrap=True,
        overflow="crop",
    )


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-:--"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
