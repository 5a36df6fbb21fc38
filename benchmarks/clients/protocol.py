"""What every client of `bin/bench fetch` is told, and the one JSON line that it says at its end.

A client keeps `concurrency` fetches in flight until it is told enough. It warms up (connections, caches, JIT) for
`warm_up_s`, and what is answered in the `duration_s` after that is counted. So neither its start nor its end is in the
figures. Each worker of a client goes round its own share of the URLs, and every answer is checked: status 200, and
a body of the length that the origin serves. Which HTTP version is spoken, and whether a connection may be used again,
is held by the origin; a client that needs to be told to try HTTP/2 is told.

Nothing but the standard library here: the peers' environment imports it too.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

FETCH_TIMEOUT_S = 60.0
"""For one fetch, in every client that has such a thing."""

PAUSE_AFTER_ERROR_S = 0.01
"""So that a client whose fetches fail at once does not spin without ever looking at its clock."""


@dataclass(frozen=True)
class Task:
    """urls         fetched again and again; at least one
    body_bytes   of every answer
    concurrency  fetches in flight
    warm_up_s    before the count begins
    duration_s   of the count
    http2        the origin insists on HTTP/2
    ca_bundle    file of CA certificates for https; "" for http
    """

    urls: tuple[str, ...]
    body_bytes: int
    concurrency: int
    warm_up_s: float
    duration_s: float
    http2: bool
    ca_bundle: str

    def urls_of(self, worker: int) -> Iterator[str]:
        """The endless URLs of one worker, 0 <= worker < concurrency: its own, where there are enough of them."""
        return itertools.cycle(self.urls[worker :: self.concurrency] or self.urls)

    @property
    def origins(self) -> int:
        """How many there are in `urls`."""
        return len({urlsplit(url).netloc for url in self.urls})


def parse_task() -> Task:
    """From the command line. The Go client takes the same options."""
    parser = argparse.ArgumentParser(description="A client of bin/bench fetch; started by it.")
    parser.add_argument("--urls", type=Path, required=True, metavar="FILE", help="a URL a line")
    parser.add_argument("--body-bytes", type=int, required=True)
    parser.add_argument("--concurrency", type=int, required=True)
    parser.add_argument("--warm-up-s", type=float, required=True)
    parser.add_argument("--duration-s", type=float, required=True)
    parser.add_argument("--http2", action="store_true")
    parser.add_argument("--ca-bundle", default="")
    given = parser.parse_args()
    return Task(
        urls=tuple(given.urls.read_text().split()),
        body_bytes=given.body_bytes,
        concurrency=given.concurrency,
        warm_up_s=given.warm_up_s,
        duration_s=given.duration_s,
        http2=given.http2,
        ca_bundle=given.ca_bundle,
    )


class Meter:
    """Counts one client's answers. A worker changes its own place only, so that threads need no lock."""

    def __init__(self, task: Task) -> None:
        self._body_bytes = task.body_bytes
        self._fetches = [0] * task.concurrency
        self._errors = [0] * task.concurrency
        self._first_error = ""
        self._before = 0
        self._began_s = self._began_cpu_s = 0.0

    def answered(self, worker: int, status: int, size_bytes: int) -> None:
        """An answer came; it counts as a fetch only if it is the right one."""
        if status == 200 and size_bytes == self._body_bytes:
            self._fetches[worker] += 1
        else:
            self.failed(worker, f"status {status} with {size_bytes} bytes instead of 200 with {self._body_bytes}")

    def failed(self, worker: int, reason: object) -> None:
        """No answer, or a wrong one. Errors count from the start, warm-up included."""
        self._errors[worker] += 1
        self._first_error = self._first_error or f"{type(reason).__name__}: {reason}".removeprefix("str: ")

    def begin(self) -> None:
        """The warm-up is over."""
        self._before = sum(self._fetches)
        self._began_cpu_s = time.process_time()
        self._began_s = time.perf_counter()

    def finish(self, versions: Mapping[str, str]) -> NoReturn:
        """The count is over: say the line and end the process at once, with everything that is in flight."""
        wall_s = time.perf_counter() - self._began_s
        cpu_s = time.process_time() - self._began_cpu_s
        fetches = sum(self._fetches) - self._before
        say(
            fetches=fetches,
            errors=sum(self._errors),
            first_error=self._first_error,
            wall_s=wall_s,
            cpu_s=cpu_s,
            peak_rss_bytes=peak_rss_bytes(),
            body_bytes=fetches * self._body_bytes,
            versions=versions,
        )
        os._exit(0)


def say(
    *,
    fetches: int,
    errors: int,
    first_error: str,
    wall_s: float,
    cpu_s: float,
    peak_rss_bytes: int,
    body_bytes: int,
    versions: Mapping[str, str],
) -> None:
    """The line. CPU is user and system time; `body_bytes` are those of the counted fetches together."""
    sys.stdout.write(json.dumps(locals()) + "\n")
    sys.stdout.flush()


def peak_rss_bytes(pid: int | str = "self") -> int:
    """The most memory that a process has had resident (VmHWM, proc(5)); 0 when it has ended.

    Not getrusage's maxrss: that begins with what the process had before it became this program.
    """
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def versions_of(*packages: str) -> dict[str, str]:
    """Of installed packages, by name."""
    return {package: version(package) for package in packages}
