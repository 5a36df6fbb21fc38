"""The contestants: the command that does a list, and goes on with it when it is given again; and what it leaves.

Every one but ours is `python -m benchmarks.batch.clients.NAME URLS FOLDER CONCURRENCY [OPTIONS]`: it fetches each URL
of the file, takes the body's SHA-256, and keeps in FOLDER all that it needs to go on after its end.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from benchmarks.common import contestant as common
from benchmarks.common.building import ROOT
from benchmarks.common.contestant import Home, python_of

OURS = "fetch-batch"


class Output(StrEnum):
    """What a finished list lies in, below the folder. How each is read: benchmarks/batch/results.py."""

    LINES = "lines"  # out.jsonl
    SHARDS = "shards"  # out/*.jsonl
    FILES = "files"  # out/*, a body each, and sums.txt


class Contestant(common.Contestant, frozen=True):
    """As in benchmarks/common/contestant.py; the program of ours is "", since it is no client but the command itself.

    output   what it leaves
    resumes  how it goes on when it is started again
    count    URLs of its list in `rate`, so that it takes some ten seconds
    options  after the others
    cores    that it may use
    """

    output: Output
    resumes: str
    count: int = 0
    options: tuple[str, ...] = ()
    cores: int = 1

    def command(self, urls: Path, folder: Path, concurrency: int) -> list[str]:
        """For that list; `folder` is there."""
        if self.program:
            client = f"benchmarks.batch.clients.{self.program}"
            return [*python_of(self), client, str(urls), str(folder), str(concurrency), *self.options]
        at_once = str(concurrency // self.cores)
        return [
            *(str(ROOT / "bin" / "fetch-batch"), str(urls), "-o", str(folder / "out.jsonl"), "--stage", "sha256"),
            *("--concurrency", at_once, "--per-origin", at_once, "--retries", "0", "--progress", "none"),
            *("--workers", str(self.cores), *self.options),
        ]


# Compiled code (lexbor, resiliparse) and Python code (the SimHash), as a real list would have.
_CPU_STAGES = ("--stage", "links", "--stage", "text", "--stage", "simhash", "--shard-size", "25")

CONTESTANTS = {
    contestant.name: contestant
    for contestant in (
        Contestant(OURS, Home.PROJECT, "", "ours, one worker", Output.LINES, "by its work folder", 50_000),
        Contestant(
            "curl",
            Home.PROJECT,
            "curl_files",
            "curl --parallel, a file for each URL; sha256sum over them afterwards",
            Output.FILES,
            "what has a file is left out, as curl 8.10's --skip-existing does",
            50_000,
        ),
        Contestant(
            "scrapy",
            Home.PEERS,
            "scrapy_spider",
            "Scrapy, JOBDIR and a JSON lines feed",
            Output.LINES,
            "by JOBDIR",
            3_000,
        ),
        Contestant(
            "shards",
            Home.PROJECT,
            "shards",
            "as img2dataset works: a process per shard in turn, urllib in threads",
            Output.SHARDS,
            "finished shards are left out",
            10_000,
        ),
        Contestant(
            "script",
            Home.PROJECT,
            "script",
            "requests in a ThreadPoolExecutor, lines appended to a file",
            Output.LINES,
            "URLs that the file has are left out",
            10_000,
        ),
        Contestant(
            "script-flush",
            Home.PROJECT,
            "script",
            "the same, each line flushed",
            Output.LINES,
            "URLs that the file has are left out",
            10_000,
            ("flush",),
        ),
        Contestant(
            "journal",
            Home.PROJECT,
            "journal",
            "our engine with its journal, with plain lines and with no output, by turns in one process",
            Output.LINES,
            "",
        ),
        Contestant("workers-1", Home.PROJECT, "", "ours, one worker", Output.LINES, "", options=_CPU_STAGES),
        Contestant("workers-2", Home.PROJECT, "", "ours, two workers", Output.LINES, "", options=_CPU_STAGES, cores=2),
    )
}
