"""A worker that keeps pages, in as few lines as it takes: what a batch's child does with its shards, without a parent.

    python -m tests.support.keeping_worker '{"folder": ..., "lines": [...], ...}'

Every shard that has no final file is taken up, run and finished. Where `die_at` is given, the process is gone before
that line of app/sinks. It says on standard output what a full disk is to it.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402
from contextlib import closing, nullcontext  # noqa: E402
from pathlib import Path  # noqa: E402

import msgspec  # noqa: E402

from app.assembly import build_engine  # noqa: E402
from app.engine.shard_run import ShardRun  # noqa: E402
from app.errors import OutputError  # noqa: E402
from app.model.job import FetchOptions  # noqa: E402
from app.policy.sharding import cut, shard_of  # noqa: E402
from app.settings import Settings  # noqa: E402
from app.sinks.outputs import PageOutputs  # noqa: E402
from app.sources.forms import json_line  # noqa: E402
from app.stages.registry import resolve  # noqa: E402
from tests.support.crash import arm  # noqa: E402
from tests.support.no_room import no_room_beyond  # noqa: E402


class Task(msgspec.Struct):
    folder: str
    lines: list[str]
    outputs: PageOutputs
    stages: list[str] = []
    shard_size: int = 10
    die_at: int | None = None
    room_bytes: int | None = None
    transport: str = "curl"
    concurrency: int = 16


def run(task: Task) -> None:
    folder = Path(task.folder)
    for name in ("parts", "shards"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    engine = build_engine(Settings(transport=task.transport, concurrency=task.concurrency))  # type: ignore[arg-type]
    if task.die_at is not None:
        arm(task.die_at)
    runs: dict[int, ShardRun] = {}
    for shard in cut([json_line(line.encode()) for line in task.lines], task.shard_size):
        final = folder / "shards" / f"{shard.number:06d}.jsonl"
        if not final.exists():
            part = folder / "parts" / final.name
            runs[shard.number] = ShardRun(shard, part, final, task.outputs, engine.aside)
    entries = (entry for shard_run in list(runs.values()) for entry in shard_run.entries())
    lots = engine.run_in_lots(
        entries,
        stages=resolve(task.stages),
        options=FetchOptions(retries=0, timeout_s=20.0),
        keep_page=lambda index, page: runs[shard_of(index, task.shard_size)].keep_page(index, page),
    )
    with closing(lots):
        for lot in lots:
            for outcome in lot:
                runs[shard_of(outcome.index, task.shard_size)].record([outcome])
    for shard_run in runs.values():
        shard_run.finish()


def main() -> None:
    task = msgspec.json.decode(sys.argv[1], type=Task)
    try:
        with nullcontext() if task.room_bytes is None else no_room_beyond(task.room_bytes):
            run(task)
    except OutputError as error:
        print(f"OutputError: {error}")


if __name__ == "__main__":
    main()
