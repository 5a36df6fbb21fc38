"""Where a slice ends: at checkpoints, not in `no_preempt()`, and by signals at the right instant."""

from __future__ import annotations

import signal
import sys

import gevent
import pytest

from app.cpu import checkpoint, no_preempt
from app.cpu.slice_timer import SIGNAL
from tests.support.slices import Slices, no_signals, run_all


def test_a_checkpoint_ends_a_slice_that_is_used_up(slices: Slices, seen: list[object]) -> None:
    def stage(name: str) -> None:
        for part in range(2):
            seen.append((name, part))
            slices.use(0.5)
            checkpoint()
            slices.use(0.5)
            checkpoint()

    run_all(slices, lambda: stage("a"), lambda: stage("b"))
    assert seen == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    statistics = slices.scheduler.statistics()
    assert (statistics.voluntary, statistics.forced) == (4, 0)


def test_a_checkpoint_outside_of_a_stage_does_nothing() -> None:
    checkpoint()


def test_no_preempt_keeps_slices_from_ending(slices: Slices, seen: list[object]) -> None:
    def stage(name: str) -> None:
        with no_preempt(), no_preempt():
            for _ in range(2):
                seen.append(name)
                slices.spend(1)
                checkpoint()
        slices.spend(1)

    run_all(slices, lambda: stage("a"), lambda: stage("b"))
    assert seen == ["a", "a", "b", "b"]
    statistics = slices.scheduler.statistics()
    assert statistics.postponed == {"no_preempt": 4}
    assert (statistics.forced, statistics.voluntary) == (2, 0)


def test_no_preempt_outside_of_a_stage_does_nothing() -> None:
    with no_preempt():
        pass


def test_a_stage_that_is_not_to_be_preempted_has_checkpoints_only(slices: Slices) -> None:
    def stage() -> None:
        slices.spend(1)
        checkpoint()

    slices.scheduler.run(stage, preempt=False)
    statistics = slices.scheduler.statistics()
    assert statistics.postponed == {"no_preempt": 1}
    assert (statistics.forced, statistics.voluntary) == (0, 1)


def test_a_postponed_end_is_tried_again_soon_and_then_less_often(slices: Slices) -> None:
    waits: list[float] = []

    def stage() -> None:
        slices.use(1)
        with no_preempt():
            for _ in range(14):
                slices.tick()
                waits.append(slices.timer.armed_s)

    slices.scheduler.run(stage)
    assert waits[:4] == pytest.approx([0.0001, 0.0002, 0.0004, 0.0008], abs=1e-8)
    assert waits[-1] == 0.25


def test_inside_of_a_c_function_it_only_asks_to_be_called_again(slices: Slices) -> None:
    """raise_signal calls the handler itself, before it returns."""

    def stage() -> None:
        slices.use(1)
        for _ in range(3):
            signal.raise_signal(SIGNAL)
            inside.append(slices.scheduler.statistics().forced)
            slices.use(0.001)

    inside: list[int] = []
    slices.scheduler.run(stage)
    assert inside[0] == 0


def calls_of_the_handler(slices: Slices, calls: str, gap_s: float) -> int:
    """Forced ends after calls of the handler with these frames, a letter for each, all inside of a C function."""

    def stage() -> int:
        slices.use(1)
        here = sys._getframe()
        frames = {"a": here, "b": here.f_back}
        with no_signals():
            for call in calls:
                slices.use(gap_s)
                slices.timer.on_tick(frames[call])
        return slices.scheduler.statistics().forced

    return slices.scheduler.run(stage)


@pytest.mark.parametrize(
    ("calls", "gap_s", "forced"),
    [
        ("bbbbbbbbb", 0, 1),  # it looks for signals again and again: re, big integers
        ("abbbbbbbbb", 0, 1),
        ("bbbbbbbb", 0, 0),
        ("bbbbbbbbbbbbbbbbbbbb", 0.001, 0),  # other signals interrupt it again and again
        ("babababababababababa", 0, 0),  # Python code runs in between: a buffer that calls its stream
    ],
)
def test_a_c_function_is_left_only_if_it_looks_for_signals_all_the_time(
    slices: Slices, calls: str, gap_s: float, forced: int
) -> None:
    assert calls_of_the_handler(slices, calls, gap_s) == forced


def test_a_handler_that_was_due_too_is_not_cut_in_two(slices: Slices, seen: list[object]) -> None:
    def handler(_number: int, _frame: object) -> None:
        seen.append("handler begins")
        seen.append("handler ends")

    def stage() -> None:
        slices.use(1)
        both_at_once(signal.SIGWINCH)
        seen.append("stage goes on")

    def other() -> None:
        seen.append("other")

    before = signal.signal(signal.SIGWINCH, handler)
    try:
        first, second = gevent.spawn(slices.scheduler.run, stage), gevent.spawn(slices.scheduler.run, other)
        gevent.joinall([first, second], raise_error=True)
    finally:
        signal.signal(signal.SIGWINCH, before)
    assert seen[:2] == ["handler begins", "handler ends"]
    assert slices.scheduler.statistics().postponed == {"signal": 1}


def both_at_once(other: signal.Signals) -> None:
    """The slice's signal and one with a higher number, found in the same look."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {SIGNAL, other})
    signal.raise_signal(SIGNAL)
    signal.raise_signal(other)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {SIGNAL, other})
