"""Shard runs: the shards that a child has in hand: their entries go out to be fetched, their outcomes come back.

One greenlet takes shards and gives out their entries, one records outcomes. What waits for the disk is done in threads:
finishing a shard, and flushing the parts of those under way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path

import gevent
from gevent.pool import Group

from app.engine.pipeline import KeepPage
from app.engine.shard_run import ShardRun
from app.errors import OutputError
from app.model.outcome import Outcome
from app.model.request import Entry
from app.policy.sharding import shard_of
from app.sinks.jsonl import JsonlPart, count_kinds
from app.sinks.page_sink import Aside
from workers.batch_overseer import BatchOverseer
from workers.layout import part_path, shard_path
from workers.messages import Began, Begin, ShardDone, Want
from workers.parent_link import ParentLink
from workers.part_sync import PartSync
from workers.reports import Reports


class ShardRuns:
    """Of the job `begin`, for the parent behind `link`.

    fault  why records can't be stored any more; None while they can
    """

    def __init__(self, begin: Begin, link: ParentLink, overseer: BatchOverseer, aside: Aside) -> None:
        self._begin = begin
        self._link = link
        self._overseer = overseer
        self._aside = aside
        self._runs: dict[int, ShardRun] = {}  # begun and not finished, by shard number
        self._unsynced: set[int] = set()  # numbers of shards with records that are not on the disk
        self._finishing = Group()
        self._recorder: gevent.Greenlet[..., None]
        self._part_sync = PartSync(self._unsynced_parts)
        self.reports = Reports(link, lambda number: self._runs[number].kinds)
        self.fault: OutputError | None = None

    def entries(self, is_draining: Callable[[], bool]) -> Iterator[Entry]:
        """Every entry to be fetched, shard after shard, as the parent hands them out. Yields to the hub."""
        begin, link = self._begin, self._link
        folder = Path(begin.folder)
        while True:
            taken = link.shards.get()
            if taken is None or is_draining():
                return
            link.send(Want())
            shard = taken.shard
            final_path = shard_path(folder, shard.number)
            finished = count_kinds(final_path)
            if finished is not None:
                # Another worker finished it, and died before it could say so.
                link.send(ShardDone(shard.number, finished))
                continue
            part = part_path(folder, shard.number)
            run = ShardRun(shard, part, final_path, begin.pages, self._aside)
            self._runs[shard.number] = run
            link.send(Began(shard.number, run.kinds))
            self._overseer.suspects |= taken.suspects
            if taken.give_up:
                run.give_up()
            elif taken.condemned:
                run.give_up(taken.condemned)
            if run.is_complete:
                self._finish(run)
                continue
            for entry in run.entries():
                if is_draining():
                    return
                yield entry

    @property
    def keep_page(self) -> KeepPage | None:
        """Keeps the page of a request with its shard; None when none are to be kept."""
        if not self._begin.pages:
            return None
        shard_size = self._begin.shard_size
        return lambda index, page: self._runs[shard_of(index, shard_size)].keep_page(index, page)

    def record(self, lots: Generator[list[Outcome]]) -> None:
        """Begin to record what comes, in a greenlet."""
        self._recorder = gevent.spawn(self._record_all, lots)

    def stop(self, *, waits: bool = True) -> None:
        """Record no more, and let go of what is under way. waits: until that has been done."""
        self._recorder.kill(block=waits)

    def sync(self) -> None:
        """Flush parts to the disk for ever. Yields to the hub."""
        try:
            self._part_sync.run()
        except OutputError as error:
            self._fail(error)

    def join(self) -> bool:
        """Wait until all is recorded, or it was stopped; whether that went well. Yields to the hub."""
        self._recorder.join()
        self._finishing.join()
        return self._recorder.exception is None

    def close(self) -> None:
        """Flush and leave the shards that another run will end."""
        try:
            self._part_sync.flush()
        except OutputError as error:
            self.fault = error
        for run in self._runs.values():
            run.close()

    def _record_all(self, lots: Generator[list[Outcome]]) -> None:
        # Closed here and now also when this greenlet is killed, not whenever the generator is collected.
        with closing(lots):
            try:
                for lot in lots:
                    for number, outcomes in _by_shard(lot, self._begin.shard_size).items():
                        self._record(self._runs[number], outcomes)
            except OutputError as error:
                self.fault = error

    def _record(self, run: ShardRun, outcomes: list[Outcome]) -> None:
        run.record(outcomes)
        self._unsynced.add(run.number)
        self.reports.recorded(run.number, outcomes)
        if run.is_complete:
            self._finish(run)

    def _finish(self, run: ShardRun) -> None:
        """Finish a complete shard beside the fetching; whoever kills the recorder does not interrupt it."""
        del self._runs[run.number]
        self._unsynced.discard(run.number)
        self.reports.finished(run.number)
        self._finishing.spawn(self._finish_in_thread, run)

    def _finish_in_thread(self, run: ShardRun) -> None:
        # It waits for the disk, which would stop the hub.
        error = gevent.get_hub().threadpool.apply(_finish_or_say, (run,))
        if error is None:
            self._link.send(ShardDone(run.number, run.kinds))
        else:
            self._fail(error)

    def _fail(self, error: OutputError) -> None:
        self.fault = error
        self.stop(waits=False)

    def _unsynced_parts(self) -> list[JsonlPart]:
        parts = [self._runs[number].part for number in self._unsynced]
        self._unsynced.clear()
        return parts


def _by_shard(outcomes: list[Outcome], shard_size: int) -> dict[int, list[Outcome]]:
    found: defaultdict[int, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        found[shard_of(outcome.index, shard_size)].append(outcome)
    return found


def _finish_or_say(run: ShardRun) -> OutputError | None:
    """The error as a value: gevent prints what is raised in its threads."""
    try:
        run.finish()
    except OutputError as error:
        return error
    return None
