"""Batch worker: what a child does: it finds its stages, takes shards, fetches, and leaves as it was told to.

One greenlet reads the parent's messages, one obeys them, one reports counts, one records outcomes. Entries flow
from the shards at hand through the engine, outcomes flow back to their shards.
"""

from __future__ import annotations

import gc
import logging

import gevent
from gevent.event import Event

from app.assembly import build_engine
from app.engine.engine import Engine
from app.engine.stage_loading import load_stages
from app.engine.stage_rules import StageRules
from app.errors import UsageError
from app.fetching import denials
from app.policy.addresses import AddressPolicy, parse_allowed
from app.telemetry.log import configure
from workers.batch_overseer import BatchOverseer
from workers.black_box import BlackBox
from workers.imports import Imports
from workers.messages import Begin, Drain, Fault, Ready, Refused, Used, Want, Warned
from workers.parent_link import ParentLink
from workers.shard_runs import ShardRuns
from workers.stage_sources import check_sources

_log = logging.getLogger("percore.batch")

# One shard to work on and one in hand, so that the next is here when the first runs out of entries.
_SHARDS_WANTED = 2

EXIT_FAULT = 3


class BatchWorker:
    """Serves one parent over the socket `descriptor`; notes in `black_box` whose stages are running."""

    def __init__(self, descriptor: int, black_box: BlackBox) -> None:
        self._link = ParentLink(descriptor)
        self._black_box = black_box
        self._draining = Event()

    @property
    def is_draining(self) -> bool:
        """Whether the parent has asked to take no more."""
        return self._draining.is_set()

    def run(self) -> int:
        """Work until the job is over; the process's exit status. Yields to the hub."""
        link = self._link
        link.listen()
        begin = link.orders.get()
        assert isinstance(begin, Begin)
        configure(begin.settings.log_level)
        denials.are_details()
        try:
            # Before, as what an edited stage can't do matters less; after, as what was looked at is what was imported.
            check_sources(begin.sources)
            stages = load_stages(begin.stages, StageRules.of(begin.settings), import_paths=True)
            check_sources(begin.sources)
            engine = build_engine(
                begin.settings, _policy(begin), cache=begin.cache, warn=lambda text: link.send(Warned(text))
            )
        except UsageError as error:
            link.send(Refused(str(error)))
            return 0
        imports = Imports(link)
        imports.tell()  # first: what is another one than others have must not be used
        overseer = BatchOverseer(self._black_box, [stage.name for stage in stages])
        runs = ShardRuns(begin, link, overseer, engine.aside)
        _settle_collector()
        link.send(Ready())
        for _ in range(_SHARDS_WANTED):
            link.send(Want())
        lots = engine.run_in_lots(
            runs.entries(self._draining.is_set),
            stages=stages,
            options=begin.options,
            overseer=overseer,
            keep_page=runs.keep_page,
        )
        runs.record(lots)
        gevent.spawn(self._obey, engine, runs)
        helpers: list[gevent.Greenlet[..., None]] = [
            gevent.spawn(runs.reports.run, lambda: engine.statistics().in_flight),
            gevent.spawn(runs.sync),
            gevent.spawn(imports.run),
        ]
        went_well = runs.join()
        gevent.killall(helpers)
        imports.tell()
        runs.close()
        return self._tell_the_end(engine, runs, went_well)

    def _tell_the_end(self, engine: Engine, runs: ShardRuns, went_well: bool) -> int:
        runs.reports.tell(0, tells_slowest=True)
        uses, cache = engine.stage_uses(), engine.cache_counts()
        if uses or cache:
            self._link.send(Used(uses, cache))
        _log.debug("this worker: %s", engine.counters())
        if runs.fault is not None:
            self._link.send(Fault(str(runs.fault)))
            return EXIT_FAULT
        return 0 if went_well else 1

    def _obey(self, engine: Engine, runs: ShardRuns) -> None:
        while True:
            message = self._link.orders.get()
            if isinstance(message, Drain):
                self._draining.set()
                engine.drain()
                _log.debug("draining: this worker begins nothing new")
                self._link.shards.put(None)
                gevent.spawn_later(message.limit_s, runs.stop)


def _settle_collector() -> None:
    """What is here now stays to the end: the cycle collector need not look at it again and again. And ten times as
    many new objects are let come between two of its runs; some 5 % of a batch's time went into them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


def _policy(begin: Begin) -> AddressPolicy:
    if not begin.deny_private:
        return AddressPolicy.allow_all()
    # Any port: a list of one's own may well name odd ones.
    return AddressPolicy.public_only(allow=parse_allowed(begin.settings.allow_private), ports=None)
