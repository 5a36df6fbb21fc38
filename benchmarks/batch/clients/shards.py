"""As img2dataset works: the list is cut into shards, a process of the pool does one after another, and a shard counts
as done when its file of statistics is there. What was begun is done again from its beginning.

What is taken over from it (its downloader, distributor and logger): a pool of spawned processes that are replaced after
five shards, a thread pool for each shard with a semaphore of twice as many permits, urllib with a connection for each
fetch, rows written a hundred at a time, `NNNNN_stats.json` last. Its shards hold 10,000 samples unless told otherwise;
here it is 1,000, as ours, so that it has less to do again.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
import urllib.request
from collections.abc import Iterator
from functools import partial
from multiprocessing import get_context
from multiprocessing.pool import ThreadPool
from pathlib import Path
from threading import Semaphore

_SHARD = 1000
_ROWS_AT_ONCE = 100
_SHARDS_PER_PROCESS = 5
_TIMEOUT_S = 10


def main() -> None:
    urls, out, threads = Path(sys.argv[1]).read_text().split(), Path(sys.argv[2]) / "out", int(sys.argv[3])
    out.mkdir(exist_ok=True)
    done = {int(path.name.partition("_")[0]) for path in out.glob("*.json")}
    shards = [(number, urls[begin : begin + _SHARD]) for number, begin in enumerate(range(0, len(urls), _SHARD))]
    with get_context("spawn").Pool(1, maxtasksperchild=_SHARDS_PER_PROCESS) as pool:
        work = [shard for shard in shards if shard[0] not in done]
        for _ in pool.imap_unordered(partial(do_shard, out=out, threads=threads), work):
            pass
        pool.close()
        pool.join()


def do_shard(shard: tuple[int, list[str]], *, out: Path, threads: int) -> None:
    """In a process of the pool."""
    number, urls = shard
    began_s = time.time()
    permits = Semaphore(threads * 2)

    def permitted() -> Iterator[str]:
        for url in urls:
            permits.acquire()
            yield url

    good, rows = 0, []
    with ThreadPool(threads) as pool, (out / f"{number:05d}.jsonl").open("w") as file:
        for url, digest, error in pool.imap_unordered(fetch, permitted()):
            permits.release()
            rows.append(json.dumps({"url": url, "sha256": digest, "error": error}) + "\n")
            good += error is None
            if len(rows) == _ROWS_AT_ONCE:
                file.writelines(rows)
                rows.clear()
        file.writelines(rows)
    statistics = {"count": len(urls), "successes": good, "start_time": began_s, "end_time": time.time()}
    (out / f"{number:05d}_stats.json").write_text(json.dumps(statistics, indent=4))


def fetch(url: str) -> tuple[str, str, str | None]:
    """URL, digest, and what went wrong."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url), timeout=_TIMEOUT_S) as answer:
            return url, hashlib.sha256(answer.read()).hexdigest(), None
    except Exception as error:
        return url, "", str(error)


if __name__ == "__main__":
    main()
