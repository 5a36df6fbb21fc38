"""Reports: what a child tells its parent a few times a second: how far its shards are, and how its hub is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from itertools import count

import gevent

from app.model.outcome import Outcome
from app.policy.heaviest import Heaviest
from app.policy.urls import origin_of
from workers.messages import Count
from workers.parent_link import ParentLink
from workers.pulse import Pulse

_REPORT_EVERY_S = 0.2

# Every how many reports the slowest origins are told, and how many.
_SLOWEST_EVERY = 5
_SLOWEST_TOLD = 10


class Reports:
    """To the parent behind `link`. kinds_of: counts of the records of a shard that is under way."""

    def __init__(self, link: ParentLink, kinds_of: Callable[[int], Mapping[str, int]]) -> None:
        self._link = link
        self._kinds_of = kinds_of
        self._changed: set[int] = set()  # numbers of shards with records that were not reported
        self._slowest = Heaviest()
        self._pulse = Pulse()

    def recorded(self, number: int, outcomes: Iterable[Outcome]) -> None:
        """That shard has these records more."""
        self._changed.add(number)
        for outcome in outcomes:
            if outcome.attempts:
                self._slowest.add(_origin(outcome), outcome.elapsed_s)

    def finished(self, number: int) -> None:
        """That shard is not under way any more."""
        self._changed.discard(number)

    def run(self, in_flight: Callable[[], int]) -> None:
        """Tell for ever. in_flight: fetches that hold a slot, at this moment. Yields to the hub."""
        beat = gevent.spawn(self._pulse.beat)
        try:
            for turn in count():
                gevent.sleep(_REPORT_EVERY_S)
                self.tell(in_flight(), tells_slowest=turn % _SLOWEST_EVERY == 0)
        finally:
            beat.kill()

    def tell(self, in_flight: int, *, tells_slowest: bool) -> None:
        """Once, now. Yields to the hub."""
        counts = {number: dict(self._kinds_of(number)) for number in self._changed}
        self._changed.clear()
        cpu, late_s = self._pulse.take()
        slowest = self._slowest.most(_SLOWEST_TOLD) if tells_slowest else None
        self._link.send(Count(counts, in_flight, cpu, late_s, slowest))


def _origin(outcome: Outcome) -> str:
    """Where the answer came from, or should have. Without what else is in a URL, passwords above all."""
    url = outcome.final_url or outcome.url
    end = url.find("/", 8)
    return _origin_of_beginning(url[:end] if end > 0 else url)


@lru_cache(maxsize=1024)
def _origin_of_beginning(url: str) -> str:
    """A list's URLs begin alike, again and again."""
    return str(origin_of(url))
