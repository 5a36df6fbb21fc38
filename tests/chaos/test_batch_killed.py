"""A batch whose processes are killed again and again, at moments drawn by chance: one record for each line, and no line
is fetched again once its record was there.

PERCORE_CHAOS_KILLS and PERCORE_CHAOS_URLS make it as long as one likes; PERCORE_CHAOS_SEED draws other moments.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

from tests.support.batch import children_of, records, run_batch, running_batch
from tests.support.origin import body_of, running_origin
from tests.support.processes import Running

KILLS = int(os.environ.get("PERCORE_CHAOS_KILLS", "12"))
URLS = int(os.environ.get("PERCORE_CHAOS_URLS", "3000"))
SEED = int(os.environ.get("PERCORE_CHAOS_SEED", "1"))


def recorded(work: Path) -> set[int]:
    """The indexes that have a whole record, with nobody at work."""
    found = set()
    for path in work.glob("*/*.jsonl"):
        for line in path.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                found.add(json.loads(line)["index"])
    return found


def kill_some(chance: random.Random, process: Running) -> bool:
    """Kill the parent, a child, or all; whether the parent is among them."""
    children = children_of(process.pid)
    whom = chance.choice(["parent", "child", "child", "all"])
    victims = [process.pid] if whom == "parent" or not children else [chance.choice(children)]
    if whom == "all":
        victims = [*children, process.pid]
    for victim in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
    return process.pid in victims


def test_killed_at_any_moment(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    output = tmp_path / "out.jsonl"
    work = tmp_path / "out.jsonl.percore"
    kills = 0
    asked_before: Counter[int] = Counter()
    with running_origin() as origin:
        source = tmp_path / "urls.txt"
        # The last one waits at a gate, so that the job is not finished before all kills have come.
        paths = [*(f"/ok/{n}" for n in range(URLS - 1)), "/gate/held"]
        source.write_text("".join(f"{origin.url(path)}\n" for path in paths))
        arguments = [source, "-o", output, "--stage", "sha256", "--shard-size", "50", "--workers", "2"]
        done: set[int] = set()
        while kills < KILLS:
            with running_batch(*arguments) as process:
                while process.returncode is None and kills < KILLS:
                    time.sleep(chance.uniform(0.05, 0.8))  # the moment, not a hope
                    if process.returncode is None:
                        kills += 1
                        if kill_some(chance, process):
                            process.wait()
            # Nobody is at work: what has its record now is never asked for again.
            now = recorded(work)
            assert done <= now, "no record is lost"
            requests = origin.counts().requests
            asked = Counter({int(path[4:]): count for path, count in requests.items() if path.startswith("/ok/")})
            for index in done:
                assert asked[index] == asked_before[index], f"{index} had its record, and was fetched again"
            done, asked_before = now, asked
        origin.open("held")
        assert run_batch(*arguments)[0] == 0
    got = records(output)
    assert [record["index"] for record in got] == list(range(URLS))
    for record in got[:-1]:
        assert record["ok"], record
        assert record["stages"]["sha256"] == hashlib.sha256(body_of(record["index"])).hexdigest()
    assert kills == KILLS
