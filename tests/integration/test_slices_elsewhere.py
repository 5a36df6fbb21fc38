"""Slices of other hubs, in other threads, in forked children."""

from __future__ import annotations

import itertools
import sys
import threading

import gevent
import pytest

from app.cpu import checkpoint, run_sliced
from app.cpu.scheduler import Scheduler
from app.cpu.sliced import scheduler_of_this_hub
from app.errors import StageTimeout
from app.hub.per_hub import close_this_hub
from tests.support.processes import running_process


def test_each_hub_has_one() -> None:
    try:
        mine = scheduler_of_this_hub(0.001)
        assert scheduler_of_this_hub() is mine
        assert run_sliced(divmod, 7, 3) == (2, 1)
        assert mine.statistics().runs == 1
    finally:
        close_this_hub()
    assert mine.is_closed
    try:
        assert scheduler_of_this_hub() is not mine
    finally:
        close_this_hub()


def test_in_another_thread_slices_end_at_checkpoints_only() -> None:
    found: list[object] = []

    def in_thread() -> None:
        scheduler = Scheduler(slice_s=0.0001)
        turns: list[str] = []

        def stage(name: str) -> None:
            while len(set(turns)) < 2:
                turns.append(name)
                checkpoint()

        gevent.joinall([gevent.spawn(scheduler.run, stage, name) for name in "ab"], raise_error=True)
        with pytest.raises(StageTimeout):
            scheduler.run(lambda: [checkpoint() for _ in itertools.count()], cpu_budget_s=0.001)
        statistics = scheduler.statistics()
        found.extend([statistics.forced, statistics.voluntary > 0, statistics.is_armed])
        scheduler.close()
        gevent.get_hub().destroy()

    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join()
    assert found == [0, True, False]


_FORKING = """
from gevent import monkey; monkey.patch_all()
import os
import gevent
from app.cpu import run_sliced
from app.cpu.sliced import scheduler_of_this_hub

def spin_until(list_):
    while len(list_) < 2:
        pass

def both_are_preempted():
    met = []
    gevent.joinall([gevent.spawn(run_sliced, lambda: (met.append(1), spin_until(met))) for _ in "ab"], raise_error=True)

def forks():
    scheduler = scheduler_of_this_hub()
    while scheduler.statistics().waiting < 2:
        pass
    child = os.fork()
    if child:
        assert os.waitpid(child, 0)[1] == 0
        return "parent"
    assert open("/proc/self/timers").read() == ""
    assert scheduler.is_closed
    sum(range(10**6))
    return "child"

both_are_preempted()
ran_in = []
def long():
    while not ran_in:
        pass
    ran_in.append(os.getpid())
in_line = [gevent.spawn(run_sliced, long) for _ in range(2)]
where = run_sliced(forks)
if where == "child":
    assert scheduler_of_this_hub().statistics().runs == 0
    both_are_preempted()
    ran_in.append("all may end")
    gevent.sleep(0.01)
    os._exit(0 if ran_in == ["all may end"] else 1)
ran_in.append("all may end")
gevent.joinall(in_line, raise_error=True)
assert ran_in[1:] == [os.getpid()] * 2

# And where somebody else forks, who is in line has its turn in the parent only.
ran_in.clear()
in_line = [gevent.spawn(run_sliced, long) for _ in range(2)]
while scheduler_of_this_hub().statistics().waiting < 2:
    gevent.sleep(0)
child = os.fork()
ran_in.append("all may end")
if not child:
    gevent.sleep(0.01)
    os._exit(0 if ran_in == ["all may end"] else 1)
assert os.waitpid(child, 0)[1] == 0
gevent.joinall(in_line, raise_error=True)
both_are_preempted()
print(where)
"""


def test_a_forked_child_starts_with_no_timer_and_nobody_in_line() -> None:
    with running_process([sys.executable, "-c", _FORKING]) as running:
        assert running.wait() == 0, running.stderr
    assert running.stdout.splitlines()[-1] == "parent"
