"""One contestant killed at random moments and started again in the same way, until its list is done; then judged.

A moment is so many further answers of the origin, and up to some milliseconds more, both drawn by the seed: so it is at
a like place for slow and for fast ones. One kill more comes when everything has been answered, where outputs are put
together. After its end it is started once more, and should find nothing to do.
"""

from __future__ import annotations

import http.client
import json
import random
import select
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from benchmarks.batch.contestants import Contestant
from benchmarks.batch.history import History, passes
from benchmarks.batch.judge import acknowledged, judge
from benchmarks.batch.pages import digests
from benchmarks.batch.results import finished, stored
from benchmarks.batch.tree import Tree, growing
from benchmarks.common.contestant import environment_of
from benchmarks.common.own_origin import own_origin

_LONGER_S = 0.05  # after the answer that a moment is counted by
_AT_THE_END_S = 0.5  # after the last answer
_LIFE_S = 600.0  # more than any list takes; then it is ended, and has failed


class Origin:
    """The harness's side of benchmarks/batch/counting_origin.py."""

    def __init__(self, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}/page/"
        self._port = port

    def asked(self) -> list[int]:
        """How often for each page. Waits until nobody else is connected."""
        return list(json.loads(self._got("/counts")))

    def answered(self) -> int:
        """In all, so far."""
        return int(self._got("/when/0"))

    def reaches(self, what: str, tree: Tree, timeout_s: float) -> bool:
        """Wait until it has; False when the tree has ended before, or the time is over. `what` as in /when/..."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request("GET", f"/when/{what}")
            ready = select.select([connection.sock, tree], [], [], timeout_s)[0]
            return bool(ready) and tree not in ready
        finally:
            connection.close()

    def _got(self, path: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()


@contextmanager
def counting_origin(count: int, cpu: int) -> Iterator[Origin]:
    """With so many pages, on that CPU. Raises SystemExit when it does not start."""
    with own_origin("batch.counting_origin", count, cpu=cpu) as port:
        yield Origin(port)


class Killing:
    """One history. `seed` is the same for all contestants: they are killed at like moments."""

    def __init__(
        self, contestant: Contestant, folder: Path, *, count: int, concurrency: int, kills: int, seed: str
    ) -> None:
        self._contestant = contestant
        self._folder = folder
        self._urls = folder.with_suffix(".txt")
        self._count = count
        self._kills_wanted = kills
        self._concurrency = concurrency
        self._chance = random.Random(seed)
        self._kills = self._lives = self._crashes = 0
        self._complaint = ""
        self._known: dict[str, int] = {}  # URL -> how often it had been asked for when its record was seen first

    def run(self, client_cpu: int, origin_cpu: int) -> History:
        """Until it is done, or given up."""
        self._folder.mkdir()
        with counting_origin(self._count, origin_cpu) as origin:
            expected = digests(self._count, origin.base)
            self._urls.write_text("".join(f"{url}\n" for url in expected))
            began_s = time.monotonic()
            for _ in range(self._kills_wanted):
                self._life(origin, client_cpu, expected, str(origin.answered() + self._further()), _LONGER_S)
            self._life(origin, client_cpu, expected, "all", _AT_THE_END_S)
            failure = self._last_life(client_cpu)
            self._note(origin, expected)
            if not failure:
                failure = self._last_life(client_cpu)
            asked = self._asked(origin, expected)
            wall_s = time.monotonic() - began_s
            lines = finished(self._contestant, self._folder, origin.base)
            verdict = judge(lines, expected)
            refetched = sum(asked[url] - before for url, before in self._known.items())
            return History(
                verdict=verdict,
                kills=self._kills,
                lives=self._lives,
                refetched=refetched,
                extra=sum(max(0, times - 1) for times in asked.values()),
                crashes=self._crashes,
                complaint=self._complaint,
                failure=failure,
                wall_s=wall_s,
                passes=passes(verdict, refetched, failure),
            )

    def _further(self) -> int:
        """Answers before the next kill: on average so many that the list is nearly done after all of them."""
        return self._chance.randrange(1, max(2, 2 * self._count // (self._kills_wanted + 1)))

    def _life(self, origin: Origin, cpu: int, expected: Mapping[str, str], what: str, longer_s: float) -> None:
        """Start it, and kill it at that moment, unless it has ended before."""
        pause_s = self._chance.uniform(0, longer_s)
        with self._started(cpu) as tree:
            reached = origin.reaches(what, tree, _LIFE_S)
            if reached and not tree.ended(pause_s):
                tree.kill()
                self._kills += 1
                tree.reap()
            elif reached or tree.ended(0):
                self._reaped(tree)
        self._note(origin, expected)

    def _last_life(self, cpu: int) -> str:
        """Start it and let it end; why it did not end well."""
        with self._started(cpu) as tree:
            if not tree.ended(_LIFE_S):
                return f"not done after {_LIFE_S:g} s"
            status = self._reaped(tree)
            return f"ended with {status}: {self._complaint}" if status else ""

    def _started(self, cpu: int) -> AbstractContextManager[Tree]:
        self._lives += 1
        command = self._contestant.command(self._urls, self._folder, self._concurrency)
        return growing(command, environment_of(self._contestant), {cpu}, self._folder)

    def _reaped(self, tree: Tree) -> int:
        if status := tree.reap():
            self._crashes += 1
            self._complaint = tree.complaint()
        return status

    def _note(self, origin: Origin, expected: Mapping[str, str]) -> None:
        """Which URLs have their record by now."""
        asked = self._asked(origin, expected)
        for url in acknowledged(stored(self._contestant, self._folder, origin.base), expected):
            self._known.setdefault(url, asked[url])

    def _asked(self, origin: Origin, expected: Mapping[str, str]) -> dict[str, int]:
        return dict(zip(expected, origin.asked(), strict=True))
