"""Worker metrics: what this worker counts, as samples; and, with what the others have said, those of the service."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import gevent

from app.engine.engine import Engine
from app.model.outcome import Outcome
from app.policy.advice import HELD_SHARE, advise
from app.telemetry.families import Sample
from app.telemetry.shared import SharedMetrics
from app.telemetry.sums import added_up

_log = logging.getLogger("percore.engine")

_EVERY_S = 1.0


class WorkerMetrics:
    """Of one worker and its hub.

    slice_s  of the scheduler that runs the stages
    folder   where the workers of the service tell each other; None for a worker by itself
    """

    def __init__(self, engine: Engine, slice_s: float, folder: Path | None) -> None:
        self._engine = engine
        self._slice_s = slice_s
        self._shared = SharedMetrics(folder, os.getpid()) if folder is not None else None
        # Mutable: records given out, by kind; the timer; whether it was said that the folder can't be used.
        self._records: Counter[str] = Counter()
        self._timer: object = None
        self._complained = False

    def note(self, outcome: Outcome) -> None:
        """A record is given out."""
        self._records[outcome.error.kind.value if outcome.error is not None else "ok"] += 1

    def watch(self) -> None:
        """Tell the others every `_EVERY_S` seconds, beginning now. Keeps no loop alive. Does not yield."""
        if self._shared is not None and self._timer is None:
            self.tell()
            timer = gevent.get_hub().loop.timer(_EVERY_S, _EVERY_S, ref=False)
            timer.start(self.tell)
            self._timer = timer

    def tell(self) -> None:
        """Tell the others now. A fault of the file system is logged once. Does not yield."""
        if self._shared is None:
            return
        try:
            self._shared.publish(list(self.own()))
        except OSError as error:
            self._complain(error)

    def of_service(self) -> list[Sample]:
        """Of all workers of the service, those that have ended included; each family and labels once."""
        samples = list(self.own())
        if self._shared is not None:
            try:
                samples += self._shared.others()
            except OSError as error:
                self._complain(error)
        return added_up(samples)

    def own(self) -> Iterator[Sample]:
        """Of this worker."""
        yield Sample("percore_workers", 1)
        for kind, count in self._records.items():
            yield Sample("percore_records_total", count, (kind,))
        slots = self._engine.statistics()
        yield Sample("percore_fetches_in_flight", slots.in_flight)
        yield Sample("percore_fetches_waiting", slots.users - slots.in_flight)
        yield Sample("percore_circuits_open", slots.open)
        yield from self._of_transport()
        yield from self._of_scheduler()
        yield from self._of_stages()

    def _of_transport(self) -> Iterator[Sample]:
        counted = self._engine.transport_statistics()
        if counted is None:
            return  # requests' own transport counts nothing
        transfers = counted.transfers
        yield Sample("percore_transfers_started_total", transfers.started)
        yield Sample("percore_transfers_failed_total", transfers.failed)
        yield Sample("percore_transfers_stopped_total", transfers.stopped)
        yield Sample("percore_transfers_in_flight", transfers.in_flight)
        yield Sample("percore_connections_opened_total", counted.connections)
        yield Sample("percore_look_ups_total", counted.names.look_ups)
        for protocol, count in counted.protocols.items():
            yield Sample("percore_answers_total", count, (protocol,))

    def _of_scheduler(self) -> Iterator[Sample]:
        found = self._engine.scheduler_statistics()
        yield Sample("percore_stages_waiting", found.waiting)
        yield Sample("percore_stage_timeouts_total", found.timeouts)
        yield Sample("percore_slices_total", found.forced, ("timer",))
        yield Sample("percore_slices_total", found.voluntary, ("checkpoint",))
        yield Sample("percore_slices_total", found.slices - found.forced - found.voluntary, ("itself",))
        for reason, count in found.postponed.items():
            yield Sample("percore_slices_postponed_total", count, (reason,))

    def _of_stages(self) -> Iterator[Sample]:
        uses = self._engine.stage_uses()
        for use in uses:
            yield Sample("percore_stage_runs_total", use.runs, (use.name, use.runs_in))
            if use.runs_in == "worker":
                yield Sample("percore_stage_cpu_seconds_total", use.cpu_s, (use.name,))
                yield Sample("percore_stage_held_seconds", use.held.quantile_s(HELD_SHARE), (use.name,))
            else:
                yield Sample("percore_stage_wall_seconds_total", use.wall_s, (use.name, use.runs_in))
        for advice in advise(uses, self._slice_s):
            yield Sample("percore_stage_advice", 1, (advice.stage, advice.runs_in, advice.better))

    def _complain(self, error: OSError) -> None:
        if not self._complained:
            self._complained = True
            _log.warning("the workers can not share their metrics, /metrics is short of some: %s", error)
