"""Our engine over one list again and again, its outcomes going three ways by turns: what records on the disk cost.

journal  as a worker of the batch does it: a part for each shard, flushed twice a second, put in order and under its
         final name with an fsync at the shard's end
lines    what a program without a journal does: each lot's records appended to one file, never flushed
nothing  outcomes are dropped, not even encoded

Called with URLS FOLDER CONCURRENCY TURNS; says one JSON line.
"""

from gevent import monkey

monkey.patch_all()

import gc  # noqa: E402 - after patching
import json  # noqa: E402
import random  # noqa: E402
import shutil  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Iterable, Iterator  # noqa: E402
from pathlib import Path  # noqa: E402

import gevent  # noqa: E402
from gevent.pool import Group  # noqa: E402

from app.assembly import build_engine  # noqa: E402
from app.engine.shard_run import ShardRun  # noqa: E402
from app.engine.stage_loading import load_stages  # noqa: E402
from app.engine.stage_rules import StageRules  # noqa: E402
from app.model.job import FetchOptions  # noqa: E402
from app.model.outcome import Outcome  # noqa: E402
from app.model.request import Entry  # noqa: E402
from app.policy.sharding import cut, shard_of  # noqa: E402
from app.settings import Settings  # noqa: E402
from app.sinks.jsonl import JsonlPart  # noqa: E402
from app.sinks.record import encode_record  # noqa: E402
from app.sources.entry import parse_entry  # noqa: E402
from app.sources.forms import URL  # noqa: E402
from benchmarks.clients.protocol import versions_of  # noqa: E402
from workers.part_sync import PartSync  # noqa: E402

_SHARD = 1000  # the batch's own default

Lots = Callable[[Iterable[Entry]], Iterator[list[Outcome]]]
"""Fetches entries, gives outcomes."""


def journal(lines: list[bytes], lots: Lots, folder: Path) -> None:
    """As workers/shard_runs.py; no other is at work here, so nobody is told."""
    folder.mkdir()
    runs: dict[int, ShardRun] = {}
    unsynced: set[int] = set()
    finishing = Group()

    def entries() -> Iterator[Entry]:
        for shard in cut(lines, _SHARD):
            number = shard.number
            run = ShardRun(shard, folder / f"{number:06}.part", folder / f"{number:06}.jsonl")
            runs[number] = run
            yield from run.entries()

    def changed() -> list[JsonlPart]:
        parts = [runs[number].part for number in unsynced]
        unsynced.clear()
        return parts

    def finish(run: ShardRun) -> None:
        gevent.get_hub().threadpool.apply(run.finish)

    syncing = gevent.spawn(PartSync(changed).run)
    for lot in lots(entries()):
        by_shard: dict[int, list[Outcome]] = {}
        for outcome in lot:
            by_shard.setdefault(shard_of(outcome.index, _SHARD), []).append(outcome)
        for number, outcomes in by_shard.items():
            run = runs[number]
            run.record(outcomes)
            unsynced.add(number)
            if run.is_complete:
                del runs[number]
                unsynced.discard(number)
                finishing.spawn(finish, run)
    finishing.join()
    syncing.kill()


def plain_lines(lines: list[bytes], lots: Lots, folder: Path) -> None:
    folder.mkdir()
    with (folder / "out.jsonl").open("wb") as out:
        for lot in lots(_entries(lines)):
            out.write(b"".join([encode_record(outcome) + b"\n" for outcome in lot]))


def nothing(lines: list[bytes], lots: Lots, folder: Path) -> None:
    for _ in lots(_entries(lines)):
        pass


def _entries(lines: list[bytes]) -> Iterator[Entry]:
    for index, line in enumerate(lines):
        entry = parse_entry(index, line)
        if entry is not None:
            yield entry


_WAYS = {"journal": journal, "lines": plain_lines, "nothing": nothing}


def main() -> None:
    urls, folder, concurrency, turns = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    lines = [URL + line for line in urls.read_bytes().splitlines(keepends=True)]
    settings = Settings(concurrency=concurrency, per_origin=concurrency, retries=0)
    stages = load_stages(["sha256"], StageRules.of(settings))
    engine = build_engine(settings)
    right = 0

    def lots(entries: Iterable[Entry]) -> Iterator[list[Outcome]]:
        nonlocal right
        for lot in engine.run_in_lots(entries, stages=stages, options=FetchOptions(retries=0)):
            right += sum(outcome.ok for outcome in lot)
            yield lot

    # As a worker does: what is here now stays to the end.
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)
    chance = random.Random(f"turns {folder.name}")
    found = []
    for turn in range(turns + 1):
        order = list(_WAYS)
        chance.shuffle(order)
        took: dict[str, list[float]] = {}
        for name in order:
            place = folder / f"{turn}-{name}"
            began_s, began_cpu_s = time.perf_counter(), time.process_time()
            _WAYS[name](lines, lots, place)
            took[name] = [time.perf_counter() - began_s, time.process_time() - began_cpu_s]
            shutil.rmtree(place, ignore_errors=True)
        if turn:  # the first opens connections
            found.append(took)
    missing = (turns + 1) * len(_WAYS) * len(lines) - right
    versions = versions_of("gevent", "pycurl")
    sys.stdout.write(json.dumps({"turns": found, "errors": missing, "versions": versions}) + "\n")


if __name__ == "__main__":
    main()
