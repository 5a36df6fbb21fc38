"""Children that are killed: at a task's deadline, or with the greenlet that waits."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable

import pytest

from app.cpu.processes import Processes
from app.errors import StageTimeout
from tests.support.clock import FakeClock
from tests.support.hubs import WIDE, hub_until
from tests.support.isolated import LONG_S, F, Gate
from tests.support.processes import HANG_GUARD_S, is_alive, wait_until


def test_a_deadline_kills_and_replaces(
    make: Callable[..., Processes], clock: FakeClock, gate: Callable[[str], Gate]
) -> None:
    processes = make()
    held = gate("held")
    greenlet = held.start(processes, timeout_s=5.0)
    pid = held.pid()
    clock.advance(4.9)
    assert is_alive(pid)
    clock.advance(0.1)
    with pytest.raises(StageTimeout, match="5 s"):
        greenlet.get()
    hub_until(lambda: not is_alive(pid), "it was killed")
    assert int(processes.run(F + "pid", b"", timeout_s=LONG_S)) != pid
    statistics = processes.statistics()
    assert (statistics.timed_out, statistics.crashed, statistics.started) == (1, 0, 2)


def test_a_busy_loop_is_ended_at_its_deadline() -> None:
    processes = Processes(children=1, wide_cpus=WIDE)
    try:
        with pytest.raises(StageTimeout):
            processes.run(F + "spin", b"", timeout_s=0.05)
    finally:
        processes.close()


def test_an_answer_that_is_there_wins_over_the_deadline(
    make: Callable[..., Processes], gate: Callable[[str], Gate]
) -> None:
    processes = make()
    held = gate("held")
    greenlet = held.start(processes, timeout_s=5.0)
    held.pid()
    held.open()
    (child,) = processes._children
    assert select.select([child._socket], [], [], HANG_GUARD_S)[0], "the answer is there, and the hub has not turned"
    child._time_is_up()
    assert greenlet.get() == b"went on"


def test_an_answer_that_is_there_wins_over_its_childs_death(
    make: Callable[..., Processes], gate: Callable[[str], Gate]
) -> None:
    processes = make()
    held = gate("held")
    greenlet = held.start(processes)
    pid = held.pid()
    held.open()
    (child,) = processes._children
    assert select.select([child._socket], [], [], HANG_GUARD_S)[0], "the answer is there, and the hub has not turned"
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid), "it died")
    child._exit._ended()
    assert greenlet.get() == b"went on"
    assert processes.statistics().crashed == 1


def test_who_is_killed_has_its_child_killed(make: Callable[..., Processes], gate: Callable[[str], Gate]) -> None:
    processes = make()
    held = gate("held")
    greenlet = held.start(processes)
    pid = held.pid()
    greenlet.kill()
    hub_until(lambda: not is_alive(pid), "it was killed")
    assert int(processes.run(F + "pid", b"", timeout_s=LONG_S)) != pid
    assert processes.statistics().crashed == 0
