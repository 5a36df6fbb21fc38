"""One job that is stopped and gone on with, and what must be true of its records then."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.stops.scenarios import Scenario
from benchmarks.stops.stages import SWITCH
from tests.support.batch import COMMAND
from tests.support.origin import Origin, body_of
from tests.support.processes import ROOT

DRAIN_LIMIT_S = 1.0
HUNG_NAMES = [f"hung-{number}.example" for number in range(24)]

_LOCALHOST = "127.0.0.1 localhost\n::1 localhost\n"
_LEAST_BYTES = 1_000
_GO_ON_AT_MOST_S = 120.0


class Job:
    """A list of URLs in `folder`, whose pages all differ, so that each record can be told by its hash.

    origin   what they are fetched from
    gate     a name of its own for what the origin holds back until `go_on`
    workers  None: one for each core
    hosts    the hosts file where the names that hang are written, so that they don't, before the job is gone on with
    """

    def __init__(
        self,
        scenario: Scenario,
        origin: Origin,
        folder: Path,
        chance: random.Random,
        *,
        workers: int | None = None,
        hosts: Path | None = None,
    ) -> None:
        self._scenario = scenario
        self._origin = origin
        self._gate = folder.name
        self._source = folder / "urls.txt"
        self.output = folder / "out.jsonl"
        self._work = folder / "out.jsonl.percore"
        self.paths = [self._path(number, chance) for number in range(scenario.urls)]
        self._source.write_text("".join(f"{self._base(number)}{path}\n" for number, path in enumerate(self.paths)))
        self._hosts = hosts
        if hosts is not None:
            hosts.write_text(_LOCALHOST)
        self.command = [
            *(*COMMAND, str(self._source), "-o", str(self.output), "--drain-timeout", f"{DRAIN_LIMIT_S:g}"),
            *("--stage", f"benchmarks.stops.stages:{scenario.stage}", "--shard-size", "50", "--per-origin", "32"),
            *(() if workers is None else ("--workers", str(workers))),
        ]
        self.busy = {SWITCH: "1"}

    def _base(self, number: int) -> str:
        if self._scenario.origin == "hung_names" and number % 2:
            return f"http://{HUNG_NAMES[number % len(HUNG_NAMES)]}:{self._origin.port}"
        return self._origin.base

    def _path(self, number: int, chance: random.Random) -> str:
        length = _LEAST_BYTES + number
        if self._scenario.origin != "slow":
            return f"/ok/{length}"
        if number % 10 == 9:
            return f"/gate/{self._gate}/{length}"
        return f"/delay/{chance.uniform(0.02, 0.5):.3f}/{length}"

    def asked(self) -> dict[str, int]:
        """How often each path was asked for."""
        return self._origin.counts().requests

    def asked_in_all(self) -> int:
        """How many requests there were."""
        return self._origin.counts().total

    def records(self) -> dict[int, set[bytes]]:
        """The whole lines in the work folder, by index, with nobody at work: several for one index is a fault."""
        found: dict[int, set[bytes]] = {}
        for path in sorted(self._work.glob("*/*.jsonl")):
            for line in path.read_bytes().splitlines(keepends=True):
                if line.endswith(b"\n"):
                    found.setdefault(json.loads(line)["index"], set()).add(line)
        return found

    def go_on(self) -> list[str]:
        """Type the same command again, which is to finish the job, and say what is wrong with its records."""
        before, asked = self.records(), self.asked()
        self._origin.open(self._gate)
        if self._hosts is not None:
            # In place: it is mounted where the resolver looks.
            self._hosts.write_text(_LOCALHOST + "".join(f"127.0.0.1 {name}\n" for name in HUNG_NAMES))
        environment = {name: value for name, value in os.environ.items() if name != SWITCH}
        done = subprocess.run(
            [*self.command, "--progress", "none"],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment,
            timeout=_GO_ON_AT_MOST_S,
            check=False,
        )
        if done.returncode != 0:
            return [f"the same command ended with {done.returncode}: {done.stderr.strip()}"]
        return self.faults(before, asked)

    def faults(self, before: dict[int, set[bytes]], asked: dict[str, int]) -> list[str]:
        """What is wrong with the output, where `before` were the records and `asked` the requests of earlier runs."""
        lines = self.output.read_bytes().splitlines(keepends=True)
        found = [json.loads(line) for line in lines]
        indexes = [record["index"] for record in found]
        wanted = range(len(self.paths))
        faults = [f"{index} lost" for index in wanted if index not in indexes]
        faults += [f"{index} doubled" for index in wanted if indexes.count(index) > 1]
        faults += [f"{index} doubled in the work folder" for index, kept in before.items() if len(kept) > 1]
        faults += [f"{record['index']} wrong: {record}" for record in found if not self._is_right(record)]
        by_index = dict(zip(indexes, lines, strict=True))
        faults += [
            f"{index} had another record before" for index, kept in before.items() if by_index.get(index) not in kept
        ]
        now = self.asked()
        again = [index for index in before if now[self.paths[index]] != asked[self.paths[index]]]
        return faults + [f"{index} had its record, and was fetched again" for index in again]

    def _is_right(self, record: dict[str, Any]) -> bool:
        body = body_of(_LEAST_BYTES + record["index"])
        return bool(record["ok"]) and record["stages"][self._scenario.stage] == hashlib.sha256(body).hexdigest()
