"""`bin/fetch-batch` with 1 or 2 workers and a stage of Python code: all of the engine, on one core or on two.

It runs over one block of the mix, then over the whole list. The figures are the difference of the two, so what every
run costs (start, warm-up, end) is in neither. Every record is checked; the scores are compared with the other client's.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.clients.protocol import versions_of
from benchmarks.common.batch_run import Took, peak_rss_bytes, run_batch
from benchmarks.cpu.clients.protocol import Item, Meter, Task, parse_task

_SHARD = 25  # a block of the mix: each costs about the same, and the workers end at about the same time


def main() -> None:
    workers = int(sys.argv[1])
    task, meter = parse_task()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        start, _ = _run(task, task.items[:_SHARD], workers, Path(name, "start"))
        meter.begin()
        whole, records = _run(task, task.items, workers, Path(name, "all"))
    _check(task, meter, records)
    share = 1 - _SHARD / len(task.items)  # of the list that the difference stands for
    meter.finish(
        versions_of("gevent", "pycurl"),
        wall_s=(whole - start).wall_s / share,
        cpu_s=(whole - start).cpu_s / share,
        peak_rss_bytes=peak_rss_bytes(),
    )


def _run(task: Task, items: tuple[Item, ...], workers: int, folder: Path) -> tuple[Took, list[Any]]:
    """What it took, and the records."""
    folder.mkdir()
    urls, output = folder / "urls.txt", folder / "out.jsonl"
    urls.write_text("".join(f"{item.url}?units={item.units}\n" for item in items))
    in_flight = str(task.concurrency // workers)
    took = run_batch(
        *(urls, "-o", output, "--workers", str(workers), "--shard-size", str(_SHARD)),
        *("--stage", "benchmarks.cpu.stage:scored", "--concurrency", in_flight, "--per-origin", in_flight),
        *("--retries", "0", "--delay", "0"),
    )
    with output.open() as lines:
        return took, [json.loads(line) for line in lines]


def _check(task: Task, meter: Meter, records: list[Any]) -> None:
    for number, item in enumerate(task.items):
        record = records[number] if number < len(records) else None
        if record is None:
            meter.failed(number, LookupError("no record"))
        elif (record["status"], record["bytes"]) != (200, item.body_bytes) or not record["ok"]:
            meter.failed(number, ValueError(f"wrong record: {json.dumps(record)[:300]}"))
        else:
            meter.scored(number, record["stages"]["scored"], record["elapsed_s"])


if __name__ == "__main__":
    main()
