"""GET /readyz: whether this worker should get more calls: for load balancers and deployment tools."""

from __future__ import annotations

from collections.abc import Callable

import falcon

from app.api.problems import Problem, ProblemKind


class ReadyResource:
    """is_draining: asked at every call."""

    def __init__(self, is_draining: Callable[[], bool]) -> None:
        self._is_draining = is_draining

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Raises Problem (503) once the worker drains."""
        if self._is_draining():
            raise Problem(
                ProblemKind.DRAINING, "this worker takes no more calls", headers={"Cache-Control": "no-store"}
            )
        response.data = b'{"status":"ready"}'
        response.cache_control = ["no-store"]

    on_head = on_get
