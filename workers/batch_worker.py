"""Batch worker: what a child does with its shards: fetch, record, report.

One greenlet reads the parent's messages, one obeys them, one reports counts, one records outcomes. Entries flow
from the shards at hand through the engine, outcomes flow back to their shards. When the parent is gone (its end
of the socket is closed), so are we, at once: what is recorded is safe and the rest is nobody's yet.
"""

from __future__ import annotations

import gc
import logging
import os
import socket
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from itertools import count
from pathlib import Path

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore
from gevent.pool import Group
from gevent.queue import Queue

from app.assembly import build_engine
from app.engine.engine import Engine
from app.engine.pipeline import KeepPage
from app.engine.shard_run import ShardRun
from app.engine.stage_loading import load_stages
from app.engine.stage_rules import StageRules
from app.errors import OutputError, UsageError
from app.fetching import denials
from app.model.outcome import Outcome
from app.model.request import Entry
from app.policy.addresses import AddressPolicy, parse_allowed
from app.policy.heaviest import Heaviest
from app.policy.sharding import shard_of
from app.policy.urls import origin_of
from app.sinks.jsonl import JsonlPart, count_kinds
from app.sinks.page_sink import Aside
from app.telemetry.log import configure
from workers.batch_overseer import BatchOverseer
from workers.black_box import BlackBox
from workers.layout import part_path, shard_path
from workers.messages import (
    Began,
    Begin,
    Count,
    Drain,
    Fault,
    NoMoreShards,
    Ready,
    Refused,
    ShardDone,
    TakeShard,
    ToChild,
    ToParent,
    Used,
    Want,
    Warned,
    child_inbox,
    to_frame,
)
from workers.part_sync import PartSync
from workers.pulse import Pulse

_log = logging.getLogger("percore.batch")

_REPORT_EVERY_S = 0.2

# Every how many reports the slowest origins are told, and how many.
_SLOWEST_EVERY = 5
_SLOWEST_TOLD = 10

# One shard to work on and one in hand, so that the next is here when the first runs out of entries.
_SHARDS_WANTED = 2

EXIT_FAULT = 3


class BatchWorker:
    """Serves one parent over the socket `descriptor`; notes in `black_box` whose stages are running."""

    def __init__(self, descriptor: int, black_box: BlackBox) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._black_box = black_box
        self._inbox: Queue[ToChild] = Queue()
        self._shards: Queue[TakeShard | None] = Queue()
        self._runs: dict[int, ShardRun] = {}  # begun and not finished, by shard number
        self._draining = Event()
        self._sending = BoundedSemaphore(1)
        self._changed: set[int] = set()  # numbers of shards with records that were not reported
        self._unsynced: set[int] = set()  # numbers of shards with records that are not on the disk
        self._pulse = Pulse()
        self._slowest = Heaviest()
        self._finishing = Group()
        self._fault: OutputError | None = None
        self._overseer: BatchOverseer
        self._recorder: gevent.Greenlet[..., None]

    @property
    def is_draining(self) -> bool:
        """Whether the parent has asked to take no more."""
        return self._draining.is_set()

    def run(self) -> int:
        """Work until the job is over; the process's exit status. Yields to the hub."""
        gevent.spawn(self._read)
        begin = self._inbox.get()
        assert isinstance(begin, Begin)
        configure(begin.settings.log_level)
        denials.are_details()
        try:
            stages = load_stages(begin.stages, StageRules.of(begin.settings), import_paths=True)
            engine = build_engine(
                begin.settings, _policy(begin), cache=begin.cache, warn=lambda text: self._send(Warned(text))
            )
        except UsageError as error:
            self._send(Refused(str(error)))
            return 0
        self._overseer = BatchOverseer(self._black_box, [stage.name for stage in stages])
        _settle_collector()
        self._send(Ready())
        for _ in range(_SHARDS_WANTED):
            self._send(Want())
        lots = engine.run_in_lots(
            self._entries(begin, engine.aside),
            stages=stages,
            options=begin.options,
            overseer=self._overseer,
            keep_page=self._keeper(begin.shard_size) if begin.pages else None,
        )
        self._recorder = gevent.spawn(self._record_all, lots, begin.shard_size)
        gevent.spawn(self._obey, engine)
        helpers: list[gevent.Greenlet[..., None]] = [
            gevent.spawn(self._report, engine),
            gevent.spawn(self._pulse.beat),
            gevent.spawn(self._sync, PartSync(self._unsynced_parts)),
        ]
        self._recorder.join()
        self._finishing.join()
        gevent.killall(helpers)
        self._sync_what_stays()
        for run in self._runs.values():
            run.close()
        self._send_count(0, tells_slowest=True)
        uses, cache = engine.stage_uses(), engine.cache_counts()
        if uses or cache:
            self._send(Used(uses, cache))
        _log.debug("this worker: %s", engine.counters())
        return self._verdict()

    def _verdict(self) -> int:
        if self._fault is not None:
            self._send(Fault(str(self._fault)))
            return EXIT_FAULT
        return 0 if self._recorder.exception is None else 1

    def _record_all(self, lots: Generator[list[Outcome]], shard_size: int) -> None:
        # Closed here and now also when this greenlet is killed, not whenever the generator is collected.
        with closing(lots):
            try:
                for lot in lots:
                    for number, outcomes in _by_shard(lot, shard_size).items():
                        self._record(self._runs[number], outcomes)
            except OutputError as error:
                self._fault = error

    def _record(self, run: ShardRun, outcomes: list[Outcome]) -> None:
        run.record(outcomes)
        self._changed.add(run.number)
        self._unsynced.add(run.number)
        for outcome in outcomes:
            if outcome.attempts:
                self._slowest.add(_origin(outcome), outcome.elapsed_s)
        if run.is_complete:
            self._finish(run)

    def _finish(self, run: ShardRun) -> None:
        """Finish a complete shard beside the fetching; whoever kills the recorder does not interrupt it."""
        del self._runs[run.number]
        self._changed.discard(run.number)
        self._unsynced.discard(run.number)
        self._finishing.spawn(self._finish_in_thread, run)

    def _finish_in_thread(self, run: ShardRun) -> None:
        # It waits for the disk, which would stop the hub.
        error = gevent.get_hub().threadpool.apply(_finish_or_say, (run,))
        if error is None:
            self._send(ShardDone(run.number, run.kinds))
        else:
            self._fault = error
            self._recorder.kill(block=False)

    def _keeper(self, shard_size: int) -> KeepPage:
        return lambda index, page: self._runs[shard_of(index, shard_size)].keep_page(index, page)

    def _entries(self, begin: Begin, aside: Aside) -> Iterator[Entry]:
        """Every entry to be fetched, shard after shard, as the parent hands them out."""
        folder = Path(begin.folder)
        while True:
            taken = self._shards.get()
            if taken is None or self._draining.is_set():
                return
            self._send(Want())
            shard = taken.shard
            final_path = shard_path(folder, shard.number)
            finished = count_kinds(final_path)
            if finished is not None:
                # Another worker finished it, and died before it could say so.
                self._send(ShardDone(shard.number, finished))
                continue
            part = part_path(folder, shard.number)
            run = ShardRun(shard, begin.entry_form, part, final_path, begin.pages, aside)
            self._runs[shard.number] = run
            self._send(Began(shard.number, run.kinds))
            self._overseer.suspects |= taken.suspects
            if taken.give_up:
                run.give_up()
            elif taken.condemned:
                run.give_up(taken.condemned)
            if run.is_complete:
                self._finish(run)
                continue
            for entry in run.entries():
                if self._draining.is_set():
                    return
                yield entry

    def _read(self) -> None:
        """Sort the parent's messages; its silence for good ends this process."""
        inbox = child_inbox()
        # A reset, too, is the parent's end: it died with messages of ours unread.
        with suppress(OSError):
            while data := self._socket.recv(1 << 18):
                for message in inbox.feed(data):
                    self._sort(message)
        os._exit(1)

    def _sort(self, message: ToChild) -> None:
        if isinstance(message, TakeShard):
            self._shards.put(message)
        elif isinstance(message, NoMoreShards):
            self._shards.put(None)
        else:
            self._inbox.put(message)

    def _obey(self, engine: Engine) -> None:
        while True:
            message = self._inbox.get()
            if isinstance(message, Drain):
                self._draining.set()
                engine.drain()
                _log.debug("draining: this worker begins nothing new")
                self._shards.put(None)
                gevent.spawn_later(message.limit_s, self._recorder.kill)

    def _report(self, engine: Engine) -> None:
        for turn in count():
            gevent.sleep(_REPORT_EVERY_S)
            self._send_count(engine.statistics().in_flight, tells_slowest=turn % _SLOWEST_EVERY == 0)

    def _send_count(self, in_flight: int, tells_slowest: bool) -> None:
        counts = {number: dict(self._runs[number].kinds) for number in self._changed}
        self._changed.clear()
        cpu, late_s = self._pulse.take()
        slowest = self._slowest.most(_SLOWEST_TOLD) if tells_slowest else None
        self._send(Count(counts, in_flight, cpu, late_s, slowest))

    def _unsynced_parts(self) -> list[JsonlPart]:
        parts = [self._runs[number].part for number in self._unsynced]
        self._unsynced.clear()
        return parts

    def _sync_what_stays(self) -> None:
        """What was recorded, of shards that another run will end."""
        try:
            PartSync(self._unsynced_parts).flush()
        except OutputError as error:
            self._fault = error

    def _sync(self, part_sync: PartSync) -> None:
        try:
            part_sync.run()
        except OutputError as error:
            self._fault = error
            self._recorder.kill(block=False)

    def _send(self, message: ToParent) -> None:
        # A frame may go out in pieces, with other greenlets running in between.
        with self._sending:
            self._socket.sendall(to_frame(message))


def _settle_collector() -> None:
    """What is here now stays to the end: the cycle collector need not look at it again and again. And ten times as
    many new objects are let come between two of its runs; some 5 % of a batch's time went into them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


def _by_shard(outcomes: list[Outcome], shard_size: int) -> dict[int, list[Outcome]]:
    found: dict[int, list[Outcome]] = {}
    for outcome in outcomes:
        found.setdefault(shard_of(outcome.index, shard_size), []).append(outcome)
    return found


def _origin(outcome: Outcome) -> str:
    """Where the answer came from, or should have. Without what else is in a URL, passwords above all."""
    return str(origin_of(outcome.final_url or outcome.url))


def _policy(begin: Begin) -> AddressPolicy:
    if not begin.deny_private:
        return AddressPolicy.allow_all()
    # Any port: a list of one's own may well name odd ones.
    return AddressPolicy.public_only(allow=parse_allowed(begin.settings.allow_private), ports=None)


def _finish_or_say(run: ShardRun) -> OutputError | None:
    """The error as a value: gevent prints what is raised in its threads."""
    try:
        run.finish()
    except OutputError as error:
        return error
    return None
