"""What --cache costs and spares: CPU time of the fetching process for each URL.

Without a cache, and for what it stores, finds, and has confirmed.

nginx serves one page of 17 KB under as many URLs as are wanted, on a core of its own if there are two. One process
fetches in turns: in each round every contestant fetches the same number of URLs, in an order that moves on from round
to round. The cache's folder is in the system's temporary folder, and warm.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.assembly import build_engine
from app.engine.engine import Engine
from app.files.cache_folder import open_folder
from app.model.caching import CacheOptions
from app.model.job import FetchOptions
from app.model.outcome import Outcome
from app.model.request import Entry, Request
from app.settings import Settings
from tests.support.nginx import serve_folder

_PAGE = (b"<p>" + b"tide " * 7 + b"</p>\n") * 420
_LONG_AGO_S = 1_500_000_000

_NAMES = {
    "without": "without a cache",
    "bypass": "a request that is not the cache's",
    "miss": "looked for, fetched and stored",
    "hit": "found",
    "revalidated": "found, and confirmed by a 304",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """This benchmark's own."""
    parser.add_argument("--rounds", type=int, default=7, help="rounds (default 7)")
    parser.add_argument("--urls", type=int, default=2000, help="URLs of one contestant in one round (default 2,000)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The figures: microseconds of CPU time a URL; median, lowest and highest of the rounds."""
    cpus = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "site").mkdir()
        (folder / "site" / "page.html").write_bytes(_PAGE)
        os.utime(folder / "site" / "page.html", (_LONG_AGO_S, _LONG_AGO_S))
        (folder / "nginx").mkdir()
        with serve_folder(folder / "site", folder / "nginx") as nginx:
            os.sched_setaffinity(0, cpus[:1])
            return _measured(arguments, nginx.url("/page.html"), folder / "cache")


def _measured(arguments: argparse.Namespace, url: str, folder: Path) -> dict[str, Any]:
    open_folder(folder)
    settings = Settings(per_origin=64, concurrency=64)
    bare = build_engine(settings)
    cached = build_engine(settings, cache=CacheOptions(folder=str(folder), limit_bytes=4_000_000_000))
    took: dict[str, list[float]] = {name: [] for name in _NAMES}
    contestants = list(_NAMES)
    fresh = 0
    _cpu_us(cached, _entries(url, 0, arguments.urls))
    for number in range(arguments.rounds):
        for name in contestants[number % len(contestants) :] + contestants[: number % len(contestants)]:
            headers = {"bypass": {"Cache-Control": "no-store"}, "revalidated": {"Cache-Control": "no-cache"}}.get(name)
            if name == "miss":
                fresh += arguments.urls
            first = fresh if name == "miss" else 0
            engine = bare if name == "without" else cached
            took[name].append(_cpu_us(engine, _entries(url, first, arguments.urls, headers), expected=name))
    return {
        "urls": arguments.urls,
        "rounds": arguments.rounds,
        "page_bytes": len(_PAGE),
        "cpu_us": {
            name: {"median": round(statistics.median(us), 1), "min": round(min(us), 1), "max": round(max(us), 1)}
            for name, us in took.items()
        },
    }


def _entries(url: str, first: int, count: int, headers: dict[str, str] | None = None) -> Iterator[Entry]:
    for number in range(first, first + count):
        request = Request(url=f"{url}?n={number}", headers=headers or {})
        yield Entry(number, request, request.url)


def _cpu_us(engine: Engine, entries: Iterator[Entry], expected: str | None = None) -> float:
    began_s = time.process_time()
    outcomes: list[Outcome] = list(engine.run(entries, stages=(), options=FetchOptions()))
    took_s = time.process_time() - began_s
    for outcome in outcomes:
        assert outcome.ok, outcome
        assert expected not in ("miss", "hit", "revalidated") or outcome.cache == expected, outcome
    return took_s / len(outcomes) * 1e6


def table(figures: dict[str, Any]) -> str:
    """For people."""
    title = f"{figures['page_bytes']:,} bytes, {figures['rounds']} rounds of {figures['urls']:,}"
    lines = [f"CPU us a URL; {title:<36} median     min     max"]
    for name, spread in figures["cpu_us"].items():
        lines.append(f"{_NAMES[name]:<50} {spread['median']:>6} {spread['min']:>7} {spread['max']:>7}")
    return "\n".join(lines) + "\n"
