"""GET /metrics: what all workers of the service have counted, for Prometheus."""

from __future__ import annotations

import falcon

from app.engine.worker_metrics import WorkerMetrics
from app.telemetry.exposition import CONTENT_TYPE, exposition


class MetricsResource:
    """metrics: this worker's, which know of the others'."""

    def __init__(self, metrics: WorkerMetrics) -> None:
        self._metrics = metrics

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        response.data = exposition(self._metrics.of_service())
        response.content_type = CONTENT_TYPE
        response.cache_control = ["no-store"]

    on_head = on_get
