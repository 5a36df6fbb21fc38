"""A batch whose processes are killed again and again, at moments drawn by chance, over an origin that takes its time:
one record for each line, and no line is fetched again once its record was there.

PERCORE_CHAOS_KILLS and PERCORE_CHAOS_URLS make it as long as one likes; PERCORE_CHAOS_SEED draws other moments.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.acknowledged import Acknowledged, assert_all_right
from tests.support.batch import children_of, run_batch, running_batch, write_list
from tests.support.origin import Origin
from tests.support.processes import Running, is_alive, wait_until

KILLS = int(os.environ.get("PERCORE_CHAOS_KILLS", "12"))
URLS = int(os.environ.get("PERCORE_CHAOS_URLS", "3000"))
SEED = int(os.environ.get("PERCORE_CHAOS_SEED", "1"))

_DELAY_AT_MOST_S = 0.05
_GATE_BYTES = 2_000


def wait_for_a_moment(chance: random.Random, origin: Origin, process: Running, acknowledged: Acknowledged) -> None:
    """For one kill in four some time that it takes to begin, for the others so many more requests that all kills
    together come while the list is fetched.
    """
    until = origin.counts().total + chance.randint(0, URLS // KILLS)
    if chance.random() < 0.25:
        time.sleep(chance.uniform(0.0, 0.5))  # the moment, not a hope
        return

    def has_come() -> bool:
        is_over = process.returncode is not None or len(acknowledged.look()) >= URLS - 1
        return is_over or origin.counts().total >= until

    wait_until(has_come, "as many requests as that")
    time.sleep(chance.uniform(0.0, _DELAY_AT_MOST_S))


def kill_some(chance: random.Random, process: Running) -> str:
    """Kill the parent, a child, or both: the parent and all children; which of these."""
    children = children_of(process.pid)
    whom = chance.choice(["parent", "child", "both"]) if children else "parent"
    victims = [chance.choice(children)] if whom == "child" else [process.pid]
    if whom == "both":
        victims = [*children, process.pid]
    for victim in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
    if whom != "child":
        process.wait()
        wait_until(lambda: not any(map(is_alive, children)), "the children are gone")
    return whom


@pytest.mark.timeout(120 + 10 * KILLS)
def test_killed_at_any_moment(origin: Origin, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    output = tmp_path / "out.jsonl"
    # The last one waits at a gate, so that the job is not finished before all kills have come.
    paths = [f"/delay/{chance.uniform(0, _DELAY_AT_MOST_S):.4f}/{n}" for n in range(URLS - 1)] + ["/gate/held"]
    killed: Counter[str] = Counter()
    had: list[int] = []  # records at each kill
    source = write_list(tmp_path / "urls.txt", map(origin.url, paths))
    arguments = [str(source), "-o", str(output), "--stage", "sha256", "--shard-size", "50", "--workers", "2"]
    acknowledged = Acknowledged(tmp_path / "out.jsonl.percore", origin, paths)
    while killed.total() < KILLS:
        with running_batch(*arguments) as process:
            while process.returncode is None and killed.total() < KILLS:
                wait_for_a_moment(chance, origin, process, acknowledged)
                acknowledged.look()
                if process.returncode is None:
                    had.append(len(acknowledged))
                    killed[kill_some(chance, process)] += 1
        acknowledged.look_at_rest()
    origin.open("held")
    status, said = run_batch(*arguments)
    assert status == 0, said
    acknowledged.assert_none_again()
    assert_all_right(output, [*range(URLS - 1), _GATE_BYTES])
    assert killed.total() == KILLS
    print(
        f"\nkilled: {dict(killed)}, with so many of {URLS} records there at each quarter of the kills: "
        f"{had[:: max(1, KILLS // 4)]}, {had[-1]}"
    )
