"""Engine: what one worker process fetches and runs stages with, shared by all its jobs."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from functools import partial
from typing import Any

from app.cpu.statistics import SchedulerStatistics
from app.engine.cached_pipeline import CachedPipeline
from app.engine.crew import run_all
from app.engine.overseer import NOBODY, Overseer
from app.engine.pipeline import KeepPage, Pipeline
from app.engine.stage_runner import StageRunner
from app.fetching.cache import HttpCache
from app.fetching.curl_transport import TransportStatistics
from app.fetching.robots import Robots
from app.fetching.session import Session
from app.fetching.slots import Slots, SlotStatistics
from app.hub.clock import Clock
from app.model.caching import CacheCounts
from app.model.job import FetchOptions
from app.model.outcome import Outcome
from app.model.request import Entry
from app.policy.advice import StageUse
from app.stages.base import Stage


class Engine:
    """Runs requests on this process's hub. Safe to share among greenlets.

    concurrency  fetches in flight for one call of `run`
    cache        what fetches go through first
    """

    def __init__(
        self,
        session: Session,
        slots: Slots,
        robots: Robots,
        runner: StageRunner,
        *,
        concurrency: int,
        clock: Clock | None = None,
        cache: HttpCache | None = None,
    ) -> None:
        self._session = session
        self._slots = slots
        self._robots = robots
        self._runner = runner
        self._concurrency = concurrency
        self._clock = clock or Clock()
        self._cache = cache
        self._pipeline: Callable[..., Pipeline] = Pipeline if cache is None else partial(CachedPipeline, cache)

    def run(
        self,
        entries: Iterable[Entry],
        *,
        stages: Sequence[Stage],
        options: FetchOptions,
        at_once: int | None = None,
        overseer: Overseer = NOBODY,
    ) -> Generator[Outcome]:
        """One outcome for every entry, in the order of completion. Arguments as for `run_in_lots`."""
        lots = self.run_in_lots(entries, stages=stages, options=options, at_once=at_once, overseer=overseer)
        with closing(lots):
            for lot in lots:
                yield from lot

    def run_in_lots(
        self,
        entries: Iterable[Entry],
        *,
        stages: Sequence[Stage],
        options: FetchOptions,
        at_once: int | None = None,
        overseer: Overseer = NOBODY,
        keep_page: KeepPage | None = None,
    ) -> Generator[list[Outcome]]:
        """One outcome for every entry, in the order of completion, as many at once as are ready; see
        `app.engine.crew.run_all`.

        at_once              upper bound on fetches in flight for this call, where the caller knows that fewer will do
        overseer, keep_page  see Pipeline
        """
        concurrency = min(self._concurrency, at_once or self._concurrency)
        pipeline = self._pipeline(
            self._session,
            self._slots,
            self._robots,
            self._runner,
            stages=stages,
            options=options,
            clock=self._clock,
            overseer=overseer,
            keep_page=keep_page,
        )
        return run_all(pipeline.run, entries, concurrency)

    def drain(self) -> None:
        """Begin nothing new; what is in flight ends as it would. Entries that were only taken have no outcome."""
        self._slots.drain()

    def transport_statistics(self) -> TransportStatistics | None:
        """Counts of this process's transport; None under requests' own."""
        return self._session.transport_statistics()

    def counters(self) -> str:
        """What this process has fetched since its beginning, in one line for a log."""
        counted = self.transport_statistics()
        if counted is None:
            return "requests' own transport counts nothing"
        transfers, names = counted.transfers, counted.names
        protocols = ", ".join(f"{count:,} over {protocol}" for protocol, count in sorted(counted.protocols.items()))
        return (
            f"{transfers.started:,} transfers ({transfers.failed:,} failed, {transfers.stopped:,} stopped),"
            f" {counted.connections:,} connections, {names.look_ups:,} look-ups; answers: {protocols or 'none'}"
        )

    def aside(self, function: Callable[..., Any], *args: Any) -> Any:
        """See app.sinks.page_sink.Aside. Yields to the hub."""
        return self._runner.aside(function, *args)

    def cache_counts(self) -> CacheCounts | None:
        """What has come of the cache so far; None without one."""
        return None if self._cache is None else self._cache.counts

    def stage_uses(self) -> list[StageUse]:
        """What each stage has used on this hub since the beginning."""
        return self._runner.uses()

    def scheduler_statistics(self) -> SchedulerStatistics:
        """What the CPU stages of this hub have come to by now."""
        return self._runner.scheduler_statistics()

    def statistics(self) -> SlotStatistics:
        """What is in flight at this moment."""
        return self._slots.statistics()
