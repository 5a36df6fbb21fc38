"""Random stages, preempted all the time: each must give what it gives when nobody interrupts it.

    bin/python -m tests.stress_preemption --minutes 10 --slice-s 0.0002      goes on from seed 0
    bin/python -m tests.stress_preemption --seed 1234                        one stage, again and again

A stage is a pure function of its seed (tests/support/stress). Slices are of random length up to the given
one, so that they end at random instants too. Some stages have next to no CPU budget, or are killed on the way: these
must leave nothing behind, and the others must not notice. A native thread takes the GIL now and then.
"""

# ruff: noqa: E402
from __future__ import annotations

from gevent import monkey

monkey.patch_all()  # as workers do, before all else: this is a program, and imported by nobody

import argparse
import faulthandler
import random
import sys
import time
from collections import Counter
from typing import Any

import gevent
import msgspec

from app.cpu.scheduler import Scheduler
from app.errors import StageTimeout
from tests.support.stress.kinds import SHARED
from tests.support.stress.program import program

_STAGES_AT_ONCE = 30
_SEEDS_PER_ROUND = 60
_RUNS_PER_ROUND = 1200

_start_thread = monkey.get_original("_thread", "start_new_thread")
_thread_sleep = monkey.get_original("time", "sleep")


class Erratic(Scheduler):
    """Ends slices at random instants."""

    chance = random.Random(0)

    def _left_s(self) -> float:
        return super()._left_s() * self.chance.random()


class Stressed(msgspec.Struct):
    """What came of it. faults: lines, each with the seed that shows it again."""

    runs: int = 0
    timeouts: int = 0
    killed: int = 0
    forced: int = 0
    slices: int = 0
    polls: int = 0
    postponed: Counter[str] = msgspec.field(default_factory=Counter)
    faults: list[str] = msgspec.field(default_factory=list)


def stress(seeds: list[int], runs: int, slice_s: float, order: int = 0) -> Stressed:
    """Run stages of these seeds so many times in all, many at once. `order` seeds who comes when, and who is killed."""
    found = Stressed()
    expected = {seed: program(seed)[1]() for seed in seeds}
    scheduler = Erratic(slice_s=slice_s)
    scheduler.chance = random.Random(order)
    chance = random.Random(order)
    is_over = False

    def poll() -> None:
        while not is_over:
            gevent.sleep(0.001)
            found.polls += 1

    def use_the_gil() -> None:
        while not is_over:
            sum(range(2000))
            _thread_sleep(0.002)

    def work() -> None:
        while found.runs < runs and len(found.faults) < 5:
            found.runs += 1
            one(chance.choice(seeds))

    def one(seed: int) -> None:
        names, stage = program(seed)
        # In the middle of what is shared nobody is cut off: the others would notice, as they may.
        fate = 1.0 if SHARED & set(names) else chance.random()
        try:
            if fate < 0.05:
                scheduler.run(stage, cpu_budget_s=0.0005)
            elif fate < 0.1:
                with gevent.Timeout(chance.random() * 0.02):
                    scheduler.run(stage)
            elif (value := scheduler.run(stage)) != expected[seed]:
                found.faults.append(f"seed {seed} {names}: {_shown(value)} in place of {_shown(expected[seed])}")
        except StageTimeout:
            found.timeouts += 1
        except gevent.Timeout:
            found.killed += 1
        except BaseException as error:
            if fate < 0.1 and not isinstance(error, AssertionError):
                found.killed += 1  # what C code made of it: an exception in a callback, say
            else:
                found.faults.append(f"seed {seed} {names}: {type(error).__name__}: {error}")

    _start_thread(use_the_gil, ())
    polling = gevent.spawn(poll)
    crew = [gevent.spawn(work) for _ in range(_STAGES_AT_ONCE)]
    gevent.joinall(crew, raise_error=True)
    is_over = True
    polling.join()
    statistics = scheduler.statistics()
    if (statistics.waiting, statistics.asleep, statistics.running, statistics.is_armed) != (0, 0, None, False):
        found.faults.append(f"left behind: {statistics}")
    scheduler.close()
    found.forced, found.slices = statistics.forced, statistics.slices
    found.postponed.update(statistics.postponed)
    return found


def _shown(value: Any) -> str:
    return repr(value)[:200]


def main() -> int:
    """Stress for some minutes, or show one seed."""
    parser = argparse.ArgumentParser(prog="python -m tests.stress_preemption", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, help="so many rounds of 1,200 runs, whatever time they take")
    parser.add_argument("--slice-s", type=float, default=0.0002)
    parser.add_argument("--from-seed", type=int, default=0)
    parser.add_argument("--seed", type=int)
    arguments = parser.parse_args()
    faulthandler.enable()
    if arguments.seed is not None:
        print(*program(arguments.seed)[0])
        found = stress([arguments.seed], 300, arguments.slice_s)
        print(found, *found.faults, sep="\n")
        return bool(found.faults)
    total = Stressed()
    seed = arguments.from_seed
    end_s = time.monotonic() + 60 * arguments.minutes
    rounds = 0
    while rounds < arguments.rounds if arguments.rounds else time.monotonic() < end_s:
        rounds += 1
        # Hangs are faults too.
        faulthandler.dump_traceback_later(300, exit=True)
        found = stress(list(range(seed, seed + _SEEDS_PER_ROUND)), _RUNS_PER_ROUND, arguments.slice_s, seed)
        seed += _SEEDS_PER_ROUND
        for field in ("runs", "timeouts", "killed", "forced", "slices", "polls", "postponed", "faults"):
            setattr(total, field, getattr(total, field) + getattr(found, field))
        for fault in found.faults:
            print(fault, flush=True)
    faulthandler.cancel_dump_traceback_later()
    print(
        f"Python {sys.version.split()[0]}, slices up to {arguments.slice_s * 1000:g} ms: "
        f"{seed - arguments.from_seed} stages, {total.runs} runs, "
        f"{total.slices} slices, {total.forced} ended by force, "
        f"{total.timeouts} over budget, {total.killed} killed, {total.polls} polls, {len(total.faults)} faults"
    )
    for reason, count in sorted(total.postponed.items()):
        print(f"{count:8} postponed: {reason}")
    return bool(total.faults)


if __name__ == "__main__":
    sys.exit(main())
