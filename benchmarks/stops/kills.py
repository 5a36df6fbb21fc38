"""`kill -9` of a batch's processes: how soon its children follow their parent, how soon a child is replaced.

Times are from the kill: to the end of the last child, as the kernel tells it; to the moment when the parent has another
child; to the first request of that one, which has imported everything by then.
"""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import time
from collections.abc import Callable
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from benchmarks.stops.job import Job
from benchmarks.stops.scenarios import Scenario
from tests.support.batch import children_of
from tests.support.processes import Running, running_process, wait_until

Victim = Literal["parent", "child"]

# Who is killed, and what the batch is doing. A child is the only one, so that requests after its death are another's.
KILLS: tuple[tuple[Victim, str], ...] = (("parent", "busy"), ("parent", "idle"), ("parent", "gil"), ("child", "idle"))

_AT_MOST_S = 30.0
_LOOK_EVERY_S = 0.001


class Kill(Struct, frozen=True):
    """What came of one. Seconds; None for what did not happen.

    followed_s  to the end of the parent's last child
    replaced_s  to another child's start;  at_work_s  to its first request
    """

    what: Victim
    scenario: str
    moment_s: float
    followed_s: float | None = None
    replaced_s: float | None = None
    at_work_s: float | None = None
    faults: list[str] = []


def run_kill(what: Victim, scenario: Scenario, job: Job, chance: random.Random) -> Kill:
    """Kill, see what happens, go on with the job and look at its records."""
    moment_s = chance.uniform(0.0, scenario.moment_s)
    with running_process([*job.command, "--progress", "none"], env=os.environ | job.busy) as process:
        wait_until(job.asked, "something is fetched")
        time.sleep(moment_s)
        if what == "parent":
            kill = _kill_parent(process, Kill(what, scenario.name, moment_s))
        else:
            kill = _kill_child(process, job, Kill(what, scenario.name, moment_s))
    return _with_faults(kill, job.go_on())


def _kill_parent(process: Running, kill: Kill) -> Kill:
    children = children_of(process.pid)
    with contextlib.ExitStack() as opened:
        ends = []
        for child in children:
            ends.append(os.pidfd_open(child))
            opened.callback(os.close, ends[-1])
        began_s = time.monotonic()
        process.signal(signal.SIGKILL)
        left = set(ends)
        while left and time.monotonic() < began_s + _AT_MOST_S:
            left -= set(select.select(list(left), [], [], _AT_MOST_S)[0])
        followed_s = time.monotonic() - began_s
    if left:
        return _with_faults(kill, [f"{len(left)} children were there {_AT_MOST_S:g} s after their parent"])
    return replace(kill, followed_s=followed_s)


def _kill_child(process: Running, job: Job, kill: Kill) -> Kill:
    (victim,) = children_of(process.pid)
    began_s = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    if not _comes(lambda: bool(set(children_of(process.pid)) - {victim}), began_s):
        return _with_faults(kill, ["no other child came"])
    replaced_s = time.monotonic() - began_s
    asked = job.asked_in_all()
    if not _comes(lambda: job.asked_in_all() > asked, began_s):
        return _with_faults(kill, ["another child came, and asked for nothing"])
    at_work_s = time.monotonic() - began_s
    return replace(kill, replaced_s=replaced_s, at_work_s=at_work_s)


def _comes(condition: Callable[[], bool], began_s: float) -> bool:
    while not condition():
        if time.monotonic() > began_s + _AT_MOST_S:
            return False
        time.sleep(_LOOK_EVERY_S)
    return True


def _with_faults(kill: Kill, faults: list[str]) -> Kill:
    return replace(kill, faults=kill.faults + faults)
