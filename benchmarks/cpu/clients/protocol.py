"""What every client of `bin/bench cpu` is told, what it says through the pipe meanwhile, and its line at the end.

A client fetches every item of the list and does its work, `concurrency` of them at a time, until the list is done; the
time that takes is the figure. All the while a ticker on its loop or hub (in a thread of its own where there is none)
asks for a millisecond and notes how late it is run, and the parent sends SIGINT now and then, to which the client's
handler answers through the pipe with the time of its first line. It stops nothing: so one run gives many.

Every answer is checked: status 200, the length of the file, and a score that other clients must agree on.

Nothing but the standard library here: the peers' environment imports it too.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from benchmarks.clients.protocol import peak_rss_bytes
from benchmarks.cpu.lateness import histogram, quantile, with_missed

FETCH_TIMEOUT_S = 60.0
"""For one fetch, in every client that has such a thing."""

PROBE_EVERY_S = (0.005, 0.025)
"""Between two probes: any time between these, from a seeded generator."""


@dataclass(frozen=True)
class Item:
    """url         to fetch; a file's path where the bodies come from memory
    body_bytes  of its answer
    kind        of its stage
    units       of work
    """

    url: str
    body_bytes: int
    kind: str
    units: int


@dataclass(frozen=True)
class Task:
    """items         the list
    concurrency   of them at a time
    fetched       over the network; otherwise the bodies are read before the clock starts
    slice_s       of ours
    probe_units   work of the short function that is submitted every now and then while the list is done; 0: none
    seed          of the moments of the probes
    native        which call that releases the GIL, for the clients that make such calls
    peers_path    where numpy is, for the call that needs it: the packages of the peers' environment
    all_cpus      that the benchmark may use, also where this client is pinned
    pairs         of the list done in both ways, for the client that alternates
    """

    items: tuple[Item, ...]
    concurrency: int
    fetched: bool
    slice_s: float
    probe_units: int = 0
    seed: int = 1
    native: str = ""
    peers_path: str = ""
    all_cpus: tuple[int, ...] = ()
    pairs: int = 0


def parse_task() -> tuple[Task, Meter]:
    """From the end of the command line: TASK.json PIPE_FD. The handler of SIGINT answers from now on."""
    task_file, pipe_fd = sys.argv[-2:]
    given = json.loads(Path(task_file).read_text())
    items = tuple(Item(**item) for item in given.pop("items"))
    task = Task(items=items, **given)
    return task, Meter(task, int(pipe_fd))


class Meter:
    """Notes what one client did. Threads may call it at the same time: lists and dicts take one change at a time."""

    def __init__(self, task: Task, pipe_fd: int) -> None:
        self._task = task
        self._pipe_fd = pipe_fd
        self._scores: dict[int, int] = {}
        self._took_s: dict[int, float] = {}
        self._errors = 0
        self._first_error = ""
        self._late_s: list[float] = []
        self._probes_s: list[float] = []
        self._wake: Callable[[], object] | None = None
        self._running = False
        self._began_s = self._began_cpu_s = 0.0
        signal.signal(signal.SIGINT, self._interrupted)

    @property
    def running(self) -> bool:
        """Between `begin` and `finish`."""
        return self._running

    def on_interrupt(self, wake: Callable[[], object]) -> None:
        """`wake` is called in the handler: what makes the loop or hub call `looped`."""
        self._wake = wake

    def begin(self) -> None:
        """The clock starts: connections are open, pools filled."""
        self._late_s.clear()
        self._running = True
        self._tell("begin" if self._wake is None else "begin loop")
        self._began_cpu_s = time.process_time()
        self._began_s = time.perf_counter()

    def ticked(self, late_s: float) -> None:
        """The ticker was run that much after it should have been."""
        if self._running:
            self._late_s.append(late_s)

    def scored(self, number: int, score: int, took_s: float) -> None:
        """One item is done, `took_s` after its fetch began."""
        self._scores[number] = score
        self._took_s[number] = took_s

    def failed(self, number: int, reason: object) -> None:
        """No answer, a wrong one, or the work raised."""
        self._errors += 1
        self._first_error = self._first_error or f"item {number}: {type(reason).__name__}: {reason}"

    def probed(self, waited_ns: int) -> None:
        """A probe's first line ran that much after it was submitted."""
        self._probes_s.append(waited_ns / 1e9)

    def pauses(self) -> Iterator[float]:
        """Seconds before each probe, without end."""
        chance = random.Random(f"probes {self._task.seed}")
        while True:
            yield chance.uniform(*PROBE_EVERY_S)

    def looped(self) -> None:
        """The loop ran what the handler had given it."""
        self._tell(f"looped {time.monotonic_ns()}")

    def finish(self, versions: Mapping[str, str], **more: Any) -> NoReturn:
        """The list is done: say the line and end the process at once."""
        wall_s = time.perf_counter() - self._began_s
        cpu_s = time.process_time() - self._began_cpu_s
        self._running = False
        self._tell("end")
        late_s = with_missed(self._late_s)
        kinds: dict[str, list[float]] = {}
        for number, took_s in self._took_s.items():
            kinds.setdefault(self._task.items[number].kind, []).append(took_s)
        line = {
            "done": len(self._scores),
            "errors": self._errors,
            "first_error": self._first_error,
            "wall_s": wall_s,
            "cpu_s": cpu_s,
            "peak_rss_bytes": peak_rss_bytes(),
            "ticks": len(self._late_s),
            "late_p50_s": quantile(late_s, 0.5),
            "late_p99_s": quantile(late_s, 0.99),
            "late_max_s": max(late_s, default=0.0),
            "late_histogram": histogram(late_s),
            "took_p50_s": {kind: quantile(values, 0.5) for kind, values in kinds.items()},
            "took_p99_s": {kind: quantile(values, 0.99) for kind, values in kinds.items()},
            "probes_s": self._probes_s,
            "scores": self._scores,
            "versions": versions,
            **more,
        }
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
        os._exit(0)

    def _interrupted(self, *_: object) -> None:
        now_ns = time.monotonic_ns()
        self._tell(f"handled {now_ns}")
        if self._wake is not None:
            self._wake()

    def _tell(self, line: str) -> None:
        # One write of less than PIPE_BUF is never mixed with another.
        os.write(self._pipe_fd, line.encode() + b"\n")


def checked(item: Item, status: int, body: bytes) -> bytes:
    """The body, if it is the right one. Raises ValueError."""
    if status != 200 or len(body) != item.body_bytes:
        raise ValueError(f"status {status} with {len(body)} bytes instead of 200 with {item.body_bytes}")
    return body


def bodies_in_memory(task: Task) -> dict[str, bytes]:
    """By path, for a task that fetches nothing."""
    return {} if task.fetched else {item.url: Path(item.url).read_bytes() for item in task.items}
