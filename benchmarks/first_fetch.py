"""First fetch: how long after its start fetch-batch asks for its first URL, however long the list and the work done.

- `short`: a list of 1,000 URLs, to compare with: what the machine of that moment makes of a start.
- `long`: a list of --lines URLs, nothing done yet.
- `resumed`: a list of --resumed URLs whose first half an earlier run has finished, in shards of 1,000. The shards are
  made here, with the records that a run would have written; both with the ledger and without it, as after a loss.

A server notes when the first request has come, and the run is killed then.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from app.model.outcome import Outcome
from app.sinks.record import encode_record
from workers.layout import LEDGER, MANIFEST, shard_path
from workers.ledger import Ledger

_SHARD_LINES = 1000
_HEADERS = {"content-type": "text/html", "server": "nginx", "date": "Thu, 01 Jan 2026 00:00:00 GMT", "etag": '"5f"'}


def add_options(parser: argparse.ArgumentParser) -> None:
    """This benchmark's own."""
    parser.add_argument("--lines", type=int, default=10_000_000, help="of the long list (default 10 million)")
    parser.add_argument("--resumed", type=int, default=1_000_000, help="URLs of the resumed job (default 1 million)")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each (default 5)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds from start to first request: median, lowest and highest."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name, socket.create_server(("127.0.0.1", 0)) as server:
        folder = Path(name)
        port = server.getsockname()[1]
        long, short = folder / "long.txt", folder / "short.txt"
        tiny = folder / "tiny.txt"
        _write(tiny, port, _SHARD_LINES)
        _write(long, port, arguments.lines)
        _write(short, port, arguments.resumed)
        figures: dict[str, Any] = {"lines": arguments.lines, "resumed": arguments.resumed, "rounds": arguments.rounds}
        fresh: dict[str, list[float]] = {"short_s": [], "long_s": []}
        for _ in range(arguments.rounds):
            fresh["short_s"].append(_first_s(server, tiny, folder / "t.jsonl"))
            fresh["long_s"].append(_first_s(server, long, folder / "a.jsonl"))
        figures |= {key: _spread(found) for key, found in fresh.items()}
        output = folder / "b.jsonl"
        _first_s(server, short, output)  # for its manifest
        work = folder / "b.jsonl.percore"
        _finish_half(work, arguments.resumed // 2)
        times: dict[str, list[float]] = {"ledger_s": [], "no_ledger_s": []}
        for _ in range(arguments.rounds):
            for key, found in times.items():
                if key == "no_ledger_s":
                    (work / LEDGER).unlink()
                found.append(_first_s(server, short, output))
                _forget_parts(work)
        figures |= {key: _spread(found) for key, found in times.items()}
        return figures


def table(figures: dict[str, Any]) -> str:
    """For people."""
    names = {
        "short_s": f"a list of {_SHARD_LINES:,}",
        "long_s": f"a list of {figures['lines']:,}",
        "ledger_s": f"half of {figures['resumed']:,} done",
        "no_ledger_s": "the same, its ledger lost",
    }
    lines = [f"{'s to the first fetch, ' + str(figures['rounds']) + ' rounds':<34} median    min    max"]
    for key, name in names.items():
        spread = figures[key]
        lines.append(f"{name:<34} {spread['median']:>6.2f} {spread['min']:>6.2f} {spread['max']:>6.2f}")
    return "\n".join(lines) + "\n"


def _write(path: Path, port: int, count: int) -> None:
    with path.open("w") as out:
        out.writelines(f"http://127.0.0.1:{port}/articles/2026/{n}.html\n" for n in range(count))


def _first_s(server: socket.socket, urls: Path, output: Path) -> float:
    began_s = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "workers.fetch_batch", str(urls), "-o", str(output), "--progress", "none"],
        start_new_session=True,
    )
    try:
        connection, _ = server.accept()
        with connection:
            connection.recv(1)
            took_s = time.monotonic() - began_s
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    # Its workers follow it; what they had asked for is of no use to the next run.
    time.sleep(0.5)
    server.setblocking(False)
    try:
        while True:
            server.accept()[0].close()
    except BlockingIOError:
        server.setblocking(True)
    return took_s


def _finish_half(work: Path, count: int) -> None:
    _forget_parts(work)
    ledger = Ledger(work)
    for number in range(count // _SHARD_LINES):
        first = number * _SHARD_LINES
        records = [
            encode_record(
                Outcome(
                    index=index,
                    url=f"http://127.0.0.1/articles/2026/{index}.html",
                    ok=True,
                    status=200,
                    final_url=f"http://127.0.0.1/articles/2026/{index}.html",
                    headers=_HEADERS,
                    bytes=17_000,
                    elapsed_s=0.01,
                    attempts=1,
                    stages={"title": f"Article {index}"},
                )
            )
            for index in range(first, first + _SHARD_LINES)
        ]
        shard_path(work, number).write_bytes(b"\n".join(records) + b"\n")
        ledger.note(number, {"ok": _SHARD_LINES})
    ledger.close()
    assert (work / MANIFEST).exists()


def _forget_parts(work: Path) -> None:
    shutil.rmtree(work / "parts", ignore_errors=True)
    os.makedirs(work / "parts", exist_ok=True)


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(values), 2), "min": round(min(values), 2), "max": round(max(values), 2)}
