"""The end of the children: when they are closed, with their hub, with their parent, in a fork of it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import gevent
import pytest

from app.cpu.processes import Processes
from app.errors import Draining
from app.hub.per_hub import of_this_hub
from tests.support.hubs import WIDE, in_a_hub_of_its_own
from tests.support.isolated import LONG_S, F, Gate, children_of_ours
from tests.support.processes import is_alive, running_process, wait_until


def test_close_ends_all_and_answers_all(make: Callable[..., Processes], gate: Callable[[str], Gate]) -> None:
    processes = make(2)
    gates = [gate("a"), gate("b")]
    greenlets = [one.start(processes) for one in gates]
    pids = [one.pid() for one in gates]
    greenlets += [gevent.spawn(processes.run, F + "echo", b"", timeout_s=LONG_S) for _ in range(3)]
    gevent.idle()
    processes.close()
    processes.close()
    assert not any(map(is_alive, pids))
    assert not children_of_ours() & set(pids), "reaped"
    for greenlet in greenlets:
        with pytest.raises(Draining):
            greenlet.get()
    with pytest.raises(Draining):
        processes.run(F + "echo", b"", timeout_s=LONG_S)
    assert (processes.statistics().children, processes.is_closed) == (0, True)


def test_the_end_of_a_hub_is_the_end_of_its_children() -> None:
    def run() -> int:
        processes = of_this_hub("isolated", lambda: Processes(children=1, wide_cpus=WIDE))
        return int(processes.run(F + "pid", b"", timeout_s=LONG_S))

    assert not is_alive(in_a_hub_of_its_own(run))


_PARENT = """
import json, os, subprocess, sys
how = sys.argv[1]
if "patched" in how:
    from gevent import monkey; monkey.patch_all()
import gevent
from app.cpu.isolated import IsolatedChild, State
from app.cpu.processes import Processes
from app.errors import StageCrashed

F = "tests.support.isolated_functions:"
processes = Processes(children=2, wide_cpus=frozenset(os.sched_getaffinity(0)))
pid = int(processes.run(F + "pid", b"", timeout_s=60))
print("pid", pid, int(processes.run(F + "leave_a_process_behind", b"", timeout_s=60)), flush=True)
if "busy" in how:
    begun = sys.argv[2]
    gevent.spawn(processes.run, F + "spin", begun.encode(), timeout_s=600)
    while not os.path.exists(begun):
        gevent.sleep(0.001)
    print("spins", flush=True)
    gevent.sleep(600)
if "crash" in how:
    subprocess.run(["true"], check=True)
    for name in ("segfault", "hard_exit"):
        try:
            processes.run(F + name, b"5", timeout_s=60)
        except StageCrashed as error:
            print(str(error).rpartition(name)[2].strip(), flush=True)
    print(subprocess.run(["false"]).returncode, flush=True)
if "fork" in how:
    child = os.fork()
    if not child:
        sys.exit(7)  # runs what is registered for the end of a process
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    print(int(processes.run(F + "pid", b"", timeout_s=60)) == pid)
    child = os.fork()
    if not child:
        os._exit(int(processes.run(F + "pid", b"", timeout_s=60)) == pid)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize("patching", ["plain", "patched"])
def test_the_signal_is_named_however_children_are_reaped(patching: str) -> None:
    with running_process([sys.executable, "-c", _PARENT, f"{patching} crash"]) as running:
        assert running.wait() == 0, running.stderr
        assert running.stdout.splitlines()[1:] == ["died by SIGSEGV", "exited with status 5", "1"]


@pytest.mark.parametrize("patching", ["plain", "patched"])
def test_children_end_with_a_parent_that_ends(patching: str) -> None:
    with running_process([sys.executable, "-c", _PARENT, patching]) as running:
        assert running.wait() == 0, running.stderr
        assert not is_alive(int(running.stdout.split()[1]))
        assert not is_alive(int(running.stdout.split()[2])), "what it had started"
        assert running.stderr == ""


def test_a_child_at_work_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    with running_process([sys.executable, "-c", _PARENT, "busy", tmp_path / "begun"]) as running:
        running.wait_for_line("spins")
        pid, left = map(int, running.stdout.split()[1:3])
        running.signal(signal.SIGKILL)
        running.wait()
        try:
            wait_until(lambda: not is_alive(pid), "it ended too")
        finally:
            for one in (pid, left):
                with suppress(ProcessLookupError):
                    os.kill(one, signal.SIGKILL)


@pytest.mark.parametrize("patching", ["plain", "patched"])
def test_a_fork_leaves_the_children_to_the_parent(patching: str) -> None:
    with running_process([sys.executable, "-c", _PARENT, f"{patching} fork"]) as running:
        assert running.wait() == 0, running.stderr
        assert running.stdout.splitlines()[1:] == ["7", "True", "0"]
