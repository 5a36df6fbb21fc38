"""Fetching in several ways by turns in one process: prints what each way takes, microseconds of CPU time a URL.

    python -m benchmarks.clients.by_turns URL ROUNDS COUNT

A JSON object: way -> one figure for each round. In each round every way fetches COUNT times, 100 at a time, in an order
that moves on.
"""

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402 - after patching
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402
from functools import partial  # noqa: E402
from itertools import count  # noqa: E402
from pathlib import Path  # noqa: E402

import gevent  # noqa: E402
import requests  # noqa: E402
from requests.adapters import BaseAdapter, HTTPAdapter  # noqa: E402

from app.assembly import build_engine  # noqa: E402
from app.engine.shard_run import ShardRun  # noqa: E402
from app.fetching import CurlAdapter, Page, Session  # noqa: E402
from app.model.job import FetchOptions  # noqa: E402
from app.model.request import Entry  # noqa: E402
from app.policy.sharding import Shard  # noqa: E402
from app.settings import Settings  # noqa: E402
from app.stages import Stage, stage  # noqa: E402
from app.stages.sha256 import sha256  # noqa: E402

AT_ONCE = 100

Way = Callable[[int], None]


def ways(url: str, folder: Path) -> dict[str, Way]:
    """Each fetches the URL so many times."""
    ours = Session(per_origin=AT_ONCE)
    engine = build_engine(Settings(concurrency=AT_ONCE, per_origin=AT_ONCE))
    numbers = count()

    def batch(made: Stage, number: int) -> None:
        """The engine, and a shard's records on the disk: a batch's child without its parent."""
        shard = next(numbers)
        lines = tuple(b"u%s?n=%d" % (url.encode(), each) for each in range(number))
        run = ShardRun(Shard(shard, 0, lines), folder / f"{shard}.part", folder / f"{shard}.jsonl")
        entries: Iterator[Entry] = run.entries()
        for outcomes in engine.run_in_lots(entries, stages=[made], options=FetchOptions()):
            assert all(outcome.ok for outcome in outcomes), outcomes[0]
            run.record(outcomes)
        run.finish()

    return {
        "fetch": _in_greenlets(lambda: ours.fetch(url).body),
        "requests": _in_greenlets(partial(_get, _session(HTTPAdapter(pool_maxsize=AT_ONCE)), url)),
        "adapter": _in_greenlets(partial(_get, _session(CurlAdapter()), url)),
        "batch-sha256": partial(batch, sha256),
        "batch-inline": partial(batch, stage("one", runs_in="thread", inline_bytes=1 << 20)(_one)),
        "batch-sliced": partial(batch, stage("one")(_one)),
    }


def main() -> None:
    """All ways, once to warm up and then in rounds."""
    url, rounds, number = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    took: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        todo = ways(url, Path(folder))
        names = list(todo)
        for name in names:
            todo[name](AT_ONCE)
        for turn in range(rounds):
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                began_s = time.process_time()
                todo[name](number)
                took.setdefault(name, []).append((time.process_time() - began_s) / number * 1e6)
    sys.stdout.write(json.dumps(took) + "\n")


def _one(page: Page) -> int:
    return 1


def _session(adapter: BaseAdapter) -> requests.Session:
    session = requests.Session()
    session.mount("http://", adapter)
    return session


def _get(session: requests.Session, url: str) -> bytes:
    return session.get(url, timeout=60).content


def _in_greenlets(fetch: Callable[[], bytes]) -> Way:
    def some(number: int) -> None:
        for _ in range(number):
            assert fetch()

    def all_of_them(number: int) -> None:
        gevent.joinall([gevent.spawn(some, number // AT_ONCE) for _ in range(AT_ONCE)], raise_error=True)

    return all_of_them


if __name__ == "__main__":
    main()
