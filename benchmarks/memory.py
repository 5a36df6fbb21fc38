"""Memory of fetch-batch over a long list: it must follow the concurrency, not the list's length.

A list of --count URLs of small pages runs through fetch-batch; every 0.2 s the resident memory (RSS) of the parent
and of each child is read from /proc, beside the number of records done. The table gives it at each tenth of the
list. A child that is flat has the same figure at 10 % and at 100 %.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

from benchmarks.site import serving

_PAGES = 500
_PAGE_BYTES = 2_000
_LOOK_EVERY_S = 0.2


def add_options(parser: argparse.ArgumentParser) -> None:
    """This benchmark's own."""
    parser.add_argument("--count", type=int, default=100_000, help="URLs (default 100000)")
    parser.add_argument("--workers", type=int, default=2, help="children (default 2)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The figures: `at` has, per tenth of the list, records done and RSS in MB of the parent and the largest child."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        site = folder / "site"
        site.mkdir()
        for number in range(_PAGES):
            words = f"<title>{number}</title>" + "tide " * (_PAGE_BYTES // 5)
            (site / f"{number}.html").write_text(words)
        with serving(site) as port:
            urls = folder / "urls.txt"
            with urls.open("w") as out:
                out.writelines(f"http://127.0.0.1:{port}/{n % _PAGES}.html?n={n}\n" for n in range(arguments.count))
            return _measure(urls, folder / "out.jsonl", arguments)


def _measure(urls: Path, output: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    command = [
        *(sys.executable, "-P", "-m", "workers.fetch_batch", str(urls), "-o", str(output)),
        *("--stage", "sha256", "--stage", "title", "--per-origin", "64", "--workers", str(arguments.workers)),
        *("--progress", "json"),
    ]
    looks: list[tuple[float, float, float]] = []  # (fraction done, parent MB, largest child MB)
    began_s = time.monotonic()
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    progress = _Progress(process.stderr)
    while process.poll() is None:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        try:
            parent_mb = _rss_mb(process.pid)
            child_mb = max(_rss_mb(int(pid)) for pid in children.read_text().split())
            looks.append((progress.done / arguments.count, parent_mb, child_mb))
        except (FileNotFoundError, ProcessLookupError, IndexError, ValueError):
            pass  # a process ended while we looked, or there is no child yet or any more
        time.sleep(_LOOK_EVERY_S)
    elapsed_s = time.monotonic() - began_s
    if process.returncode != 0:
        raise SystemExit(f"fetch-batch ended with {process.returncode}: {progress.last}")
    with output.open("rb") as file:
        lines = sum(1 for _ in file)
    if lines != arguments.count:
        raise SystemExit(f"{lines} records of {arguments.count}")
    at = []
    for tenth in range(1, 11):
        seen = [look for look in looks if look[0] * 10 < tenth] if tenth < 10 else looks
        at.append({"percent": tenth * 10, "parent_mb": seen[-1][1], "child_mb": seen[-1][2]})
    return {
        "count": arguments.count,
        "workers": arguments.workers,
        "seconds": round(elapsed_s, 1),
        "rate": round(arguments.count / elapsed_s),
        "at": at,
        "peak_parent_mb": max(look[1] for look in looks),
        "peak_child_mb": max(look[2] for look in looks),
    }


class _Progress:
    """Reads fetch-batch's progress lines in a thread."""

    def __init__(self, stream: IO[str]) -> None:
        self.done = 0
        self.last = ""
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            self.last = line.strip()
            if line.startswith("{"):
                # Messages and the summary are such lines, too.
                self.done = json.loads(line).get("done", self.done)


def _rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def table(figures: dict[str, Any]) -> str:
    """For people."""
    lines = [
        f"{figures['count']:,} URLs, {figures['workers']} workers, Python {figures['python']}: "
        f"{figures['seconds']} s, {figures['rate']:,} fetches/s",
        "  done   parent MB   largest child MB",
    ]
    lines += [f"{row['percent']:>5} % {row['parent_mb']:>10.1f} {row['child_mb']:>15.1f}" for row in figures["at"]]
    lines.append(f" peak   {figures['peak_parent_mb']:>9.1f} {figures['peak_child_mb']:>15.1f}")
    return "\n".join(lines) + "\n"
