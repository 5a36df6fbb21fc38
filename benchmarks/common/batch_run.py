"""One run of `bin/fetch-batch`, timed from outside. For clients of their own process: it counts all children's time."""

from __future__ import annotations

import resource
import subprocess
import time
from pathlib import Path

from msgspec import Struct

from benchmarks.common.building import ROOT


class Took(Struct, frozen=True):
    """Wall time and CPU time (user and system) of a run, all its processes together."""

    wall_s: float
    cpu_s: float

    def __sub__(self, other: Took) -> Took:
        return Took(self.wall_s - other.wall_s, self.cpu_s - other.cpu_s)


def run_batch(*arguments: str | Path, folder: Path = ROOT) -> Took:
    """To its end, in that folder. Raises SystemExit unless it ends as a batch that is done."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began_s = time.perf_counter()
    done = subprocess.run(
        [ROOT / "bin" / "fetch-batch", *arguments, "--progress", "none"],
        check=False,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wall_s = time.perf_counter() - began_s
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1):
        raise SystemExit(f"fetch-batch ended with {done.returncode}: {done.stderr}")
    return Took(wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def peak_rss_bytes() -> int:
    """Of the largest process of all runs; a batch's child is larger than anything that this one was before."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
