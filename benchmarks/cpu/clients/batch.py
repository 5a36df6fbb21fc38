"""`bin/fetch-batch` with 1 or 2 workers and a stage of Python code: all of the engine, on one core or on two.

It runs over one block of the mix, then over the whole list. The figures are the difference of the two, so what every
run costs (start, warm-up, end) is in neither. Every record is checked; the scores are compared with the other client's.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.clients.protocol import versions_of
from benchmarks.cpu.clients.protocol import Item, Meter, Task, parse_task

_ROOT = Path(__file__).resolve().parents[3]
_SHARD = 25  # a block of the mix: each costs about the same, and the workers end at about the same time


def main() -> None:
    workers = int(sys.argv[1])
    task, meter = parse_task()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        start_s, start_cpu_s, _ = _run(task, task.items[:_SHARD], workers, Path(name, "start"))
        meter.begin()
        wall_s, cpu_s, records = _run(task, task.items, workers, Path(name, "all"))
    _check(task, meter, records)
    share = 1 - _SHARD / len(task.items)  # of the list that the difference stands for
    meter.finish(
        versions_of("gevent", "pycurl"),
        wall_s=(wall_s - start_s) / share,
        cpu_s=(cpu_s - start_cpu_s) / share,
        peak_rss_bytes=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,
    )


def _run(task: Task, items: tuple[Item, ...], workers: int, folder: Path) -> tuple[float, float, list[Any]]:
    """Wall time, CPU time and records."""
    folder.mkdir()
    urls, output = folder / "urls.txt", folder / "out.jsonl"
    urls.write_text("".join(f"{item.url}?units={item.units}\n" for item in items))
    in_flight = str(task.concurrency // workers)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began_s = time.perf_counter()
    done = subprocess.run(
        [
            *(_ROOT / "bin" / "fetch-batch", urls, "-o", output, "--workers", str(workers), "--progress", "none"),
            *("--stage", "benchmarks.cpu.stage:scored", "--concurrency", in_flight, "--per-origin", in_flight),
            *("--shard-size", str(_SHARD), "--retries", "0", "--delay", "0"),
        ],
        check=False,
        cwd=_ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wall_s = time.perf_counter() - began_s
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1):
        raise SystemExit(f"fetch-batch ended with {done.returncode}: {done.stderr}")
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    with output.open() as lines:
        return wall_s, cpu_s, [json.loads(line) for line in lines]


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
