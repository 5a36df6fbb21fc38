"""`bin/fetch-batch` with one worker and the stage sha256: all of the engine around the fetches.

It runs over one URL, over a short list, and over a longer one that holds as many more URLs as should fill the
duration. The figures are the difference of the last two runs, so what every run costs (start, warm-up, end) is in none
of them. Every record of every output is checked, digest included.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clients.protocol import Task, parse_task, say, versions_of
from benchmarks.common.batch_run import Took, peak_rss_bytes, run_batch

_SHORT_PER_SECOND = 500  # the short list has so many URLs for each second of the count
_MOST_PER_SECOND = 20_000  # so that one odd run doesn't make the long list endless


@dataclass
class _Batch:
    took: Took
    errors: int
    first_error: str


def main() -> None:
    """Three batches."""
    task = parse_task()
    with urllib.request.urlopen(task.urls[0]) as page:
        digest = hashlib.sha256(page.read()).hexdigest()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        short = max(100, int(task.duration_s * _SHORT_PER_SECOND))
        start = _run(task, 1, digest, Path(name, "one"))
        first = _run(task, short, digest, Path(name, "short"))
        rate = min(_MOST_PER_SECOND, short / max(1e-9, (first.took - start.took).wall_s))
        more = max(short, int(task.duration_s * rate))
        second = _run(task, short + more, digest, Path(name, "long"))
    took = second.took - first.took
    if took.wall_s <= 0:
        raise SystemExit(f"{short + more} URLs took no longer than {short}: the duration is too short for a batch")
    errors = start.errors + first.errors + second.errors
    fetches = max(0, more - errors)
    say(
        fetches=fetches,
        errors=errors,
        first_error=start.first_error or first.first_error or second.first_error,
        wall_s=took.wall_s,
        cpu_s=took.cpu_s,
        peak_rss_bytes=peak_rss_bytes(),
        body_bytes=fetches * task.body_bytes,
        versions=versions_of("gevent", "pycurl", "requests"),
    )


def _run(task: Task, count: int, digest: str, folder: Path) -> _Batch:
    folder.mkdir()
    urls, output = folder / "urls.txt", folder / "out.jsonl"
    with urls.open("w") as out:
        out.writelines(f"{url}\n" for url in itertools.islice(itertools.cycle(task.urls), count))
    in_flight = str(task.concurrency)
    took = run_batch(
        *(urls, "-o", output, "--workers", "1", "--stage", "sha256"),
        *("--concurrency", in_flight, "--per-origin", in_flight, "--retries", "0"),
    )
    errors, first_error = _check(output, count, task.body_bytes, digest)
    return _Batch(took, errors, first_error)


def _check(output: Path, count: int, body_bytes: int, digest: str) -> tuple[int, str]:
    """How many records are missing or wrong, and the first of them."""
    good, first_error = 0, ""
    with output.open() as lines:
        for line in lines:
            record = json.loads(line)
            if (record["status"], record["bytes"], record["stages"].get("sha256")) == (200, body_bytes, digest):
                good += 1
            else:
                first_error = first_error or f"wrong record: {line[:300]}"
    if good != count and not first_error:
        first_error = f"{good} records instead of {count}"
    return abs(count - good), first_error


if __name__ == "__main__":
    main()
