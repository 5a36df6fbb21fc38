"""What the origin remembers between requests: counts, hits, gates and keys. One event loop owns it all: no locks.

Nothing here grows with the length of a list of unique URLs except by their distinct paths (queries don't count).
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

HITS_KEPT = 5_000


class Gate:
    """Holds requests until somebody opens it; from then on it stands open until the next reset."""

    def __init__(self) -> None:
        self._opened = asyncio.Event()
        self.waiting = 0
        self._watchers: list[tuple[int, asyncio.Future[None]]] = []

    def open(self) -> None:
        self._opened.set()

    async def wait_open(self) -> None:
        """Waits for `open`. A request whose client goes away is cancelled and stops waiting."""
        self.waiting += 1
        for least, watcher in self._watchers:
            if self.waiting >= least and not watcher.done():
                watcher.set_result(None)
        try:
            await self._opened.wait()
        finally:
            self.waiting -= 1

    async def wait_waiting(self, least: int) -> None:
        """Waits until that many requests wait here at once."""
        if self.waiting >= least:
            return
        entry = (least, asyncio.get_running_loop().create_future())
        self._watchers.append(entry)
        try:
            await entry[1]
        finally:
            self._watchers.remove(entry)


class _InFlight:
    """How many requests are in flight, and the most that ever were."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.by_path: Counter[str] = Counter()
        self.most_by_path: dict[str, int] = {}

    def begin(self, path: str) -> None:
        self.now += 1
        self.by_path[path] += 1
        self.most = max(self.most, self.now)
        self.most_by_path[path] = max(self.most_by_path.get(path, 0), self.by_path[path])

    def end(self, path: str) -> None:
        self.now -= 1
        self.by_path[path] -= 1
        if not self.by_path[path]:
            del self.by_path[path]


class State:
    """The memory of one server. Requests under `/_` steer the origin and leave no trace in it."""

    def __init__(self) -> None:
        self.connections_open = 0
        self._forget()

    def _forget(self) -> None:
        self.gates: dict[str, Gate] = {}
        self.keys: Counter[str] = Counter()
        self.robots_text = self.robots_play = ""
        self.hits: deque[dict[str, Any]] = deque(maxlen=HITS_KEPT)
        self._requests: Counter[str] = Counter()
        self._connections = 0
        self._most_connections = self.connections_open
        # Those that are still in flight end in the one that is forgotten.
        self._in_flight = _InFlight()

    def reset(self) -> None:
        """Forgets all. Lets go what waits at a gate: nobody could open that one any more."""
        for gate in self.gates.values():
            gate.open()
        self._forget()

    def gate(self, name: str) -> Gate:
        return self.gates.setdefault(name, Gate())

    def times_seen(self, key: str) -> int:
        """How often this was called for `key` before; so the first request of a key can differ from later ones."""
        self.keys[key] += 1
        return self.keys[key] - 1

    def connection_opened(self) -> None:
        self.connections_open += 1
        self._connections += 1
        self._most_connections = max(self._most_connections, self.connections_open)

    def connection_closed(self) -> None:
        self.connections_open -= 1

    @contextmanager
    def request(self, path: str, method: str, target: str, headers: list[tuple[str, str]]) -> Iterator[None]:
        """Counts one request, which is in flight from its head's arrival until its answer is written or given up."""
        self._requests[path] += 1
        self.hits.append(
            {"path": path, "method": method, "target": target, "headers": headers, "at_s": time.monotonic()}
        )
        in_flight = self._in_flight
        in_flight.begin(path)
        try:
            yield
        finally:
            in_flight.end(path)

    def counts(self) -> dict[str, Any]:
        """All counts as JSON values; `client.Counts` explains each."""
        return {
            "total": self._requests.total(),
            "requests": dict(self._requests),
            "in_flight": self._in_flight.now,
            "most_in_flight": self._in_flight.most,
            "most_in_flight_by_path": self._in_flight.most_by_path,
            "connections": self._connections,
            "connections_open": self.connections_open,
            "most_connections": self._most_connections,
        }
