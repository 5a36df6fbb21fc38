"""`running_origin`: the origin as a test sees it, over nothing but HTTP to a process of its own."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tests.support.processes import HANG_GUARD_S, ROOT, Running, running_process


@dataclass(frozen=True, slots=True)
class Counts:
    """What the origin has counted since its start or last reset; requests that steer it are left out.

    requests                path without query -> requests
    total                   sum of those
    in_flight               requests now between the arrival of their head and the end of their answer
    most_in_flight          the most there ever were at once; by path too
    connections             connections that brought at least one request, closed ones included
    connections_open        those that are open now
    most_connections        the most there ever were at once
    """

    total: int
    requests: dict[str, int]
    in_flight: int
    most_in_flight: int
    most_in_flight_by_path: dict[str, int]
    connections: int
    connections_open: int
    most_connections: int


@dataclass(frozen=True, slots=True)
class Hit:
    """One request that came: `at_s` is CLOCK_MONOTONIC when its head had come; header names in lower case."""

    path: str
    method: str
    target: str
    headers: list[tuple[str, str]]
    at_s: float


class Origin:
    """A running origin. Every call is one HTTP request on a connection of its own; none is counted."""

    def __init__(self, host: str, port: int, process: Running) -> None:
        self.host = host
        self.port = port
        self.process = process

    @property
    def base(self) -> str:
        """`http://host:port`, without a slash at its end."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def url(self, path: str) -> str:
        return self.base + path

    def counts(self) -> Counts:
        return Counts(**self._ask("GET", "/_counts"))

    def hits(self, path: str = "") -> list[Hit]:
        """The last 5,000 requests in order of arrival, or those of them for one path."""
        hits = self._ask("GET", f"/_hits?path={quote(path)}")
        return [Hit(**{**hit, "headers": [(name, value) for name, value in hit["headers"]]}) for hit in hits]

    def open(self, gate: str) -> None:
        """Lets go all that waits at that gate, or ever will (until a reset)."""
        self._ask("POST", f"/_open/{gate}")

    def wait_waiting(self, gate: str, n: int = 1, timeout_s: float = HANG_GUARD_S) -> None:
        """Returns once that many requests wait at the gate. Raises AssertionError after the guard."""
        try:
            self._ask("GET", f"/_waiting/{gate}?n={n}", timeout_s)
        except TimeoutError:
            raise AssertionError(f"never: {n} requests at the gate {gate}; {self.counts()}") from None

    def set_robots(self, text: str = "", *, play: str = "") -> None:
        """What /robots.txt answers: that text, or as the path `play` does. With neither it is 404, as at first."""
        self._ask("POST", f"/_robots?text={quote(text, safe='')}&play={quote(play, safe='')}")

    def reset(self) -> None:
        """Forgets counts, hits, keys, gates, robots.txt and what is still in flight, and lets go what waits."""
        self._ask("POST", "/_reset")

    def _ask(self, method: str, path: str, timeout_s: float = HANG_GUARD_S) -> Any:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout_s)
        try:
            connection.request(method, path, headers={"Connection": "close"})
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        assert response.status == 200, f"{method} {path}: {response.status} {body!r}"
        return json.loads(body)


@contextmanager
def running_origin(host: str = "127.0.0.1") -> Iterator[Origin]:
    """An origin in a process of its own, which ends with the `with` and even if the test run itself is killed."""
    command = [sys.executable, "-m", "tests.support.origin", "--host", host, "--while-stdin-open"]
    with running_process(command, cwd=ROOT, stdin=subprocess.PIPE) as process:
        port = int(process.wait_for_line("", stream="stdout"))
        yield Origin(host, port, process)
