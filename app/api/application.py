"""Application: the WSGI application: which path leads to which resource, and what happens to errors."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NoReturn

import falcon

from app.api.fetch import FetchResource
from app.api.healthz import HealthResource
from app.api.metrics import MetricsResource
from app.api.problems import answer_defect, write_problem
from app.api.readyz import ReadyResource
from app.api.stages import StagesResource
from app.engine.caller import CallerGone
from app.engine.engine import Engine
from app.engine.worker_metrics import WorkerMetrics
from app.settings import Settings

_log = logging.getLogger("percore.api")


class Application(falcon.App[falcon.Request, falcon.Response]):
    """One worker's application.

    draining  True once `drain` was called; what is in flight goes on, /readyz says no
    """

    def __init__(self, engine: Engine, settings: Settings) -> None:
        super().__init__()
        folder = Path(settings.metrics_dir) if settings.metrics_dir else None
        self._metrics = WorkerMetrics(engine, settings.slice_ms / 1000, folder)
        self.draining = False
        self._engine = engine
        self.set_error_serializer(write_problem)
        self.add_error_handler(Exception, answer_defect)
        self.add_error_handler(CallerGone, _let_through)
        self.add_route("/v1/fetch", FetchResource(engine, settings, self._metrics.note))
        self.add_route("/v1/stages", StagesResource())
        self.add_route("/healthz", HealthResource())
        self.add_route("/readyz", ReadyResource(lambda: self.draining))
        self.add_route("/metrics", MetricsResource(self._metrics))
        self._metrics.watch()

    def drain(self) -> None:
        """The worker that runs us is about to stop. Does not wait; calling it again changes nothing."""
        if not self.draining:
            _log.info("this worker: %s", self._engine.counters())
        self.draining = True

    def retire(self) -> None:
        """The worker that runs us ends: nothing is in flight any more. Does not wait."""
        self._metrics.tell()


def _let_through(
    request: falcon.Request, response: falcon.Response, error: Exception, params: dict[str, Any]
) -> NoReturn:
    """No answer is owed to a caller that is gone: the server ends the connection, and logs nothing."""
    raise error
