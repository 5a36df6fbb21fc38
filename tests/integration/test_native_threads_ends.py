"""Native threads where a process forks, where it ends, and where it is pinned."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import gevent
import pytest

from app.cpu.threads import NativeThreads
from tests.support.hubs import PIN, WIDE, in_a_hub_of_its_own
from tests.support.processes import running_process


def test_a_pinned_worker_has_wide_threads() -> None:
    def run() -> None:
        pool = NativeThreads(threads=2, wide_cpus=WIDE, queue=0)
        try:
            thread_id = pool.run(threading.get_native_id)
            status = Path(f"/proc/self/task/{thread_id}/status").read_text()
            listed = status.partition("Cpus_allowed_list:")[2].split()[0]
            outside = Path("/proc/self/status").read_text().partition("Cpus_allowed_list:")[2].split()[0]
            assert listed != str(PIN)
            assert listed == outside
            assert pool.run(os.sched_getaffinity, 0) == WIDE
            assert os.sched_getaffinity(0) == {PIN}
        finally:
            pool.close()

    in_a_hub_of_its_own(run, pinned=True)


_FORKS = """
import os, sys, _thread
if sys.argv[1] == "patched":
    from gevent import monkey; monkey.patch_all()
import gevent
from app.cpu.threads import NativeThreads
from app.errors import Draining

lock = _thread.allocate_lock()
lock.acquire()
pool = NativeThreads(threads=1, wide_cpus=frozenset(os.sched_getaffinity(0)), queue=1)
assert pool.run(int) == 0
held = gevent.spawn(pool.run, lambda: lock.acquire() and "held")
while not pool.statistics().running:
    gevent.sleep(0.001)
child = os.fork()
if not child:
    try:
        assert pool.run(int) == 0
        try:
            held.get()
        except Draining:
            pool.close()
            os._exit(0)
    finally:
        os._exit(1)
lock.release()
assert held.get() == "held"
print("child:", os.waitpid(child, 0)[1])
"""


@pytest.mark.parametrize("patching", ["patched", "plain"])
def test_a_forked_child_has_threads_of_its_own(patching: str) -> None:
    with running_process([sys.executable, "-c", _FORKS, patching]) as running:
        assert (running.wait(), running.stdout) == (0, "child: 0\n"), running.stderr


_ENDS = """
import os, sys, time, gevent
from app.cpu.threads import NativeThreads
pool = NativeThreads(threads=1, wide_cpus=frozenset(os.sched_getaffinity(0)), queue=1)
greenlet = gevent.spawn(pool.run, time.sleep, 1000)
while not pool.statistics().running:
    gevent.sleep(0.001)
print("ended")
"""


def test_the_end_of_the_process_waits_for_no_thread() -> None:
    with running_process([sys.executable, "-c", _ENDS]) as running:
        assert (running.wait(), running.stdout, running.stderr) == (0, "ended\n", "")


def test_numpy_from_a_pinned_worker() -> None:
    numpy = pytest.importorskip("numpy")

    def run() -> None:
        pool = NativeThreads(threads=2, wide_cpus=WIDE, queue=2)
        try:
            matrix = numpy.eye(200) * 2
            found = [gevent.spawn(pool.run, numpy.matmul, matrix, matrix) for _ in range(8)]
            assert all((greenlet.get() == matrix * 2).all() for greenlet in found)
        finally:
            pool.close()

    in_a_hub_of_its_own(run, pinned=True)
