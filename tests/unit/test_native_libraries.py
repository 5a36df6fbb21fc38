"""Masks and thread counts for native code, on real threads of this process."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import pytest

from app.cpu import wide_mask
from app.cpu.native_libraries import set_thread_counts, widen_native_threads
from app.cpu.wide_mask import wide_for_a_while, widen
from tests.support.hubs import PIN, WIDE, in_a_hub_of_its_own
from tests.support.processes import HANG_GUARD_S, wait_until


@pytest.fixture
def start_pinned() -> Iterator[Callable[[], int]]:
    """Starts native threads that have one CPU, as a library's that was loaded after the pin."""
    gate = threading.Event()
    threads = []

    def start() -> int:
        ready = threading.Event()

        def run() -> None:
            os.sched_setaffinity(0, {PIN})
            ready.set()
            gate.wait(HANG_GUARD_S)

        thread = threading.Thread(target=run)
        threads.append(thread)
        thread.start()
        assert ready.wait(HANG_GUARD_S)
        assert thread.native_id is not None
        return thread.native_id

    yield start
    gate.set()
    for thread in threads:
        thread.join(HANG_GUARD_S)


def test_counts_are_set_where_the_environment_says_nothing() -> None:
    environ = {"OPENBLAS_NUM_THREADS": "7", "MKL_NUM_THREADS": " "}
    ours = set_thread_counts(2, environ)
    assert environ["OPENBLAS_NUM_THREADS"] == "7"
    assert "OPENBLAS_NUM_THREADS" not in ours
    assert {environ[name] for name in ours} == {"2"}
    assert {"OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"} <= set(ours)


def test_there_is_at_least_one_thread() -> None:
    with pytest.raises(ValueError):
        set_thread_counts(0, {})


@pytest.mark.skipif(len(WIDE) < 2, reason="this machine lends us one CPU only")
def test_native_threads_are_widened_but_for_hubs(start_pinned: Callable[[], int]) -> None:
    library, hub = start_pinned(), start_pinned()

    def widen_from_a_pinned_hub() -> tuple[int, set[int]]:
        return widen_native_threads(WIDE, keep={hub}), os.sched_getaffinity(0)

    found, own = in_a_hub_of_its_own(widen_from_a_pinned_hub, pinned=True)
    assert found >= 1
    assert own == {PIN}
    assert os.sched_getaffinity(library) == WIDE
    assert os.sched_getaffinity(hub) == {PIN}
    assert in_a_hub_of_its_own(lambda: widen_native_threads(WIDE, keep={hub}), pinned=True) == 0


def test_what_starts_inside_is_wide_and_the_pin_comes_back() -> None:
    def run() -> tuple[set[int], set[int]]:
        inside: list[set[int]] = []
        with wide_for_a_while(WIDE):
            thread = threading.Thread(target=lambda: inside.append(os.sched_getaffinity(0)))
            thread.start()
            thread.join(HANG_GUARD_S)
        return inside[0], os.sched_getaffinity(0)

    assert in_a_hub_of_its_own(run, pinned=True) == (WIDE, {PIN})


def test_greenlets_that_overlap_leave_the_pin_as_it_was() -> None:
    def run() -> list[set[int]]:
        seen = []
        turns = [gevent.event.Event(), gevent.event.Event()]

        def import_something(turn: gevent.event.Event) -> None:
            with wide_for_a_while(WIDE):
                turn.wait()

        greenlets = [gevent.spawn(import_something, turn) for turn in turns]
        gevent.idle()
        for turn, greenlet in zip(turns, greenlets, strict=True):  # the first to come is the first to leave
            seen.append(os.sched_getaffinity(0))
            turn.set()
            greenlet.get()
        return [*seen, os.sched_getaffinity(0)]

    assert in_a_hub_of_its_own(run, pinned=True) == [WIDE, WIDE, {PIN}]


def test_the_pin_comes_back_after_an_error() -> None:
    def run() -> set[int]:
        with pytest.raises(ImportError), wide_for_a_while(WIDE):
            raise ImportError
        return os.sched_getaffinity(0)

    assert in_a_hub_of_its_own(run, pinned=True) == {PIN}


@pytest.mark.parametrize("extra", [4000, 10**6, -1])
def test_a_mask_that_the_machine_does_not_give_is_said_once(
    extra: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(wide_mask, "_narrower_was_said", False)
    monkeypatch.setattr(logging.getLogger("percore"), "propagate", True)

    def run() -> frozenset[int]:
        return widen({PIN, extra}) | widen({PIN, extra})

    assert in_a_hub_of_its_own(run) >= {PIN}
    assert [record.getMessage().count(f"{extra}") > 0 for record in caplog.records] == [True]


def test_a_thread_that_has_ended_has_no_mask() -> None:
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()
    assert thread.native_id is not None
    # Python is done with it a moment before the kernel is.
    wait_until(lambda: not Path(f"/proc/self/task/{thread.native_id}").exists(), "it has ended")
    assert widen(WIDE, thread.native_id) == frozenset()
