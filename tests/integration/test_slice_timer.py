"""The timer of the slices: whom its signal reaches, and how often."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

from app.cpu.slice_timer import SIGNAL, SliceTimer
from tests.support.processes import wait_until


def timers() -> list[str]:
    """Who gets the signals of this process's POSIX timers: proc_pid_timers(5)."""
    text = Path("/proc/self/timers").read_text()
    return [line.partition(": ")[2] for line in text.splitlines() if line.startswith("notify")]


def test_its_signal_is_sent_to_the_main_thread_only() -> None:
    before = timers()
    timer = SliceTimer(lambda _: None)
    try:
        assert timers() == [*before, f"signal/tid.{threading.get_native_id()}"]
    finally:
        timer.close()
        timer.close()
    assert timers() == before


def test_it_ticks_once_for_each_setting() -> None:
    ticks: list[object] = []
    timer = SliceTimer(ticks.append)
    try:
        assert timer.remaining_s() == 0
        timer.arm(100)
        assert 99 < timer.remaining_s() <= 100
        timer.disarm()
        assert timer.remaining_s() == 0
        timer.arm(0.0001)
        wait_until(lambda: ticks, "a tick")
        assert timer.remaining_s() == 0
        assert len(ticks) == 1
    finally:
        timer.close()
    assert timer.remaining_s() == 0
    timer.arm(0.0001)
    signal.raise_signal(SIGNAL)
    assert len(ticks) == 1
