"""GET /healthz: whether this worker is alive. It says nothing else, and it waits for nothing."""

from __future__ import annotations

import falcon


class HealthResource:
    """200 whenever the hub turns: that this code runs is the check."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        response.data = b'{"status":"ok"}'
        response.cache_control = ["no-store"]

    on_head = on_get
