"""Ours and one after another by turns in one process: the same list of stages in both ways, window by window.

What a core gives a process on a machine that others share changes within the second. So the two ways take turns of some
100 ms, whose lengths and order are drawn by the seed: the main greenlet does the stages one after another, and stops in
the middle of one to let the hub run the others' greenlets, all in line, in slices. Who is behind catches up in the next
turn, so both are always about as far. The ticker runs while ours does: without a loop there is nothing to run it.
"""

from gevent import monkey

monkey.patch_all()

import gc  # noqa: E402 - after patching
import random  # noqa: E402
import time  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from dataclasses import asdict, dataclass  # noqa: E402

import gevent  # noqa: E402
from gevent import get_hub  # noqa: E402

from app.cpu.sliced import scheduler_of_this_hub  # noqa: E402
from benchmarks.clients.protocol import versions_of  # noqa: E402
from benchmarks.cpu.clients.on_gevent import Ticker  # noqa: E402
from benchmarks.cpu.clients.protocol import Meter, Task, bodies_in_memory, parse_task  # noqa: E402
from benchmarks.cpu.work import score_for_each  # noqa: E402

_WINDOW_S = (0.06, 0.14)


@dataclass
class Pair:
    """What one list took in both ways, and how many windows and, for each stage, slices there were."""

    plain_wall_s: float = 0.0
    plain_cpu_s: float = 0.0
    sliced_wall_s: float = 0.0
    sliced_cpu_s: float = 0.0
    windows: int = 0
    slices: float = 0.0


class Alternation:
    """One list in both ways. Time goes to whoever's window it is."""

    def __init__(self, task: Task, meter: Meter, bodies: dict[str, bytes], chance: random.Random) -> None:
        self._work = [(bodies[item.url], item.units) for item in task.items]
        self._chance = chance
        self._meter = meter
        self._scheduler = scheduler_of_this_hub(task.slice_s)
        self._ticker = Ticker(get_hub(), meter)
        self._plain_done = 0  # units
        self._sliced_done = [0] * len(self._work)
        self._until = 0  # units of the plain way; then it is ours' turn
        self._pair = Pair()
        self._mark = (0.0, 0.0)

    def run(self) -> Pair:
        """To the end of both."""
        gc.collect()  # what was before is nobody's time
        before = self._slices()
        runs = [gevent.spawn(self._scheduler.run, self._stage, number) for number in range(len(self._work))]
        self._mark = _clocks()
        plain = [score_for_each(body, self._plain_turns(units)) for body, units in self._work]
        self._end_plain()
        self._ticker.start()
        gevent.joinall(runs)
        self._ticker.stop()
        self._end_sliced()
        for number, (run, value) in enumerate(zip(runs, plain, strict=True)):
            self._meter.scored(number, value, 0.0)
            if run.value != value:
                self._meter.failed(
                    number, run.exception or ValueError(f"scored {run.value} in slices, {value} without")
                )
        self._pair.slices = (self._slices() - before) / len(runs)
        return self._pair

    def _stage(self, number: int) -> int:
        body, units = self._work[number]
        return score_for_each(body, self._sliced_turns(number, units))

    def _sliced_turns(self, number: int, units: int) -> Iterator[None]:
        done = self._sliced_done
        for _ in range(units):
            yield
            done[number] += 1

    def _plain_turns(self, units: int) -> Iterator[None]:
        for _ in range(units):
            if self._plain_done >= self._until:
                self._end_plain()
                self._window()
                self._end_sliced()
            yield
            self._plain_done += 1

    def _window(self) -> None:
        """Ours, for a while; then it is said how far the plain way goes: as far as ours is, or ahead by as much."""
        before = sum(self._sliced_done)
        self._ticker.start()
        gevent.sleep(self._chance.uniform(*_WINDOW_S))
        self._ticker.stop()
        now = sum(self._sliced_done)
        self._until = now + self._chance.choice((0, now - before))
        self._pair.windows += 1

    def _end_plain(self) -> None:
        wall_s, cpu_s = self._passed()
        self._pair.plain_wall_s += wall_s
        self._pair.plain_cpu_s += cpu_s

    def _end_sliced(self) -> None:
        wall_s, cpu_s = self._passed()
        self._pair.sliced_wall_s += wall_s
        self._pair.sliced_cpu_s += cpu_s

    def _passed(self) -> tuple[float, float]:
        """Since it was asked last: wall time, and CPU time of this thread."""
        before, self._mark = self._mark, _clocks()
        return self._mark[0] - before[0], self._mark[1] - before[1]

    def _slices(self) -> int:
        return int(self._scheduler.statistics().slices)


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.thread_time()


def main() -> None:
    task, meter = parse_task()
    bodies = bodies_in_memory(task)
    chance = random.Random(f"windows {task.seed}")
    few = Task(task.items[:5], task.concurrency, fetched=False, slice_s=task.slice_s)
    Alternation(few, meter, bodies, chance).run()  # what the first run makes, in both ways
    meter.begin()
    pairs = [Alternation(task, meter, bodies, chance).run() for _ in range(task.pairs)]
    meter.finish(
        versions_of("gevent", "greenlet"), done=2 * task.pairs * len(task.items), pairs=[asdict(pair) for pair in pairs]
    )


if __name__ == "__main__":
    main()
