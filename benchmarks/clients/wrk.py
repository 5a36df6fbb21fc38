"""wrk, a load generator in C that parses no more than it must: the limit that machine and origin set. HTTP only.

It checks no bodies, so the bytes of all its answers together are checked: the bodies, and some header on each.
It is given one URL.
"""

from __future__ import annotations

import json
import resource
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.clients.protocol import Task, parse_task, peak_rss_bytes, say

_LONGEST_HEADER_BYTES = 1024
_LOOK_EVERY_S = 0.1


def main() -> None:
    """Once to warm up, once to count."""
    task = parse_task()
    if task.warm_up_s > 0:
        _run(task, task.warm_up_s)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    summary, peak_bytes = _run(task, task.duration_s)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    fetches = summary["requests"] - summary["status"]
    errors, first_error = summary["refused"] + summary["status"], ""
    if errors:
        first_error = f"{summary['refused']} without an answer, {summary['status']} with a status of 400 and more"
    extra_bytes = summary["bytes"] / max(1, summary["requests"]) - task.body_bytes
    if not errors and not 0 < extra_bytes <= _LONGEST_HEADER_BYTES:
        errors, first_error = fetches, f"answers are {extra_bytes:+.0f} bytes off a body of {task.body_bytes}"
        fetches = 0
    say(
        fetches=fetches,
        errors=errors,
        first_error=first_error,
        wall_s=summary["duration_us"] / 1e6,
        cpu_s=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        peak_rss_bytes=peak_bytes,
        body_bytes=fetches * task.body_bytes,
        versions={"wrk": _version()},
    )


def _run(task: Task, duration_s: float) -> tuple[dict[str, Any], int]:
    # wrk takes whole seconds.
    command = [
        *(
            "wrk",
            "--threads",
            "1",
            "--connections",
            str(task.concurrency),
            "--duration",
            f"{max(1, round(duration_s))}s",
        ),
        *("--timeout", "60s", "--script", str(Path(__file__).with_suffix(".lua")), task.urls[0]),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        peak_bytes = 0
        while True:
            peak_bytes = max(peak_bytes, peak_rss_bytes(process.pid))
            try:
                out, _ = process.communicate(timeout=_LOOK_EVERY_S)
                break
            except subprocess.TimeoutExpired:
                continue
    if process.returncode != 0:
        raise SystemExit(f"wrk ended with {process.returncode}: {out}")
    summary: dict[str, Any] = json.loads(out.splitlines()[-1])
    return summary, peak_bytes


def _version() -> str:
    said = subprocess.run(["wrk", "--version"], capture_output=True, text=True, check=False)
    return (said.stdout + said.stderr).split()[1]


if __name__ == "__main__":
    main()
