"""A scheduler whose time stands still until a stage says that it has used some; its signals are real ones."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gevent

from app.cpu.clock import Clock
from app.cpu.scheduler import Scheduler
from app.cpu.slice_timer import SIGNAL, OnTick, SliceTimer


class Slices:
    """`scheduler`: one on this hub, main thread only. now_s, cpu_s: its clocks. `timer`: rings when told to.

    slice_s  1 unless told otherwise, so that tests can count in whole numbers
    """

    def __init__(self, slice_s: float = 1.0) -> None:
        self.now_s = 1000.0
        self.cpu_s = 0.0
        self.timer: ManualTimer
        self.scheduler = Scheduler(
            slice_s=slice_s, clock=Clock(lambda: self.now_s, lambda: self.cpu_s), timer=self._make_timer
        )

    def _make_timer(self, on_tick: OnTick) -> ManualTimer:
        self.timer = ManualTimer(on_tick)
        return self.timer

    def use(self, seconds: float) -> None:
        """Let time pass, of the clock and of the CPU, without a tick: as inside of a C function."""
        self.now_s += seconds
        self.cpu_s += seconds

    def tick(self) -> None:
        """The timer's signal. The slice ends on the way out of this, if it can."""
        signal.raise_signal(SIGNAL)
        for _ in range(2):
            pass  # the interpreter looks for signals in loops

    def spend(self, seconds: float) -> None:
        """Use so much, and have a tick."""
        self.use(seconds)
        self.tick()


class ManualTimer(SliceTimer):
    """Never rings by itself. armed_s: for how long it is armed, 0 when it is not; settings: times that it was set."""

    armed_s = 0.0
    settings = 0

    def _set(self, after_ns: int) -> None:
        self.armed_s = after_ns / 1e9
        self.settings += 1

    def remaining_s(self) -> float:
        return self.armed_s


def run_all(slices: Slices, *functions: Callable[[], object]) -> list[object]:
    """Run them as stages, begun in this order; what they give."""
    running = [gevent.spawn(slices.scheduler.run, function) for function in functions]
    gevent.joinall(running, raise_error=True)
    return [one.value for one in running]


@contextmanager
def no_signals() -> Iterator[None]:
    """Those that the handler asks for are seen only after this."""
    before = signal.signal(SIGNAL, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(SIGNAL, before)
