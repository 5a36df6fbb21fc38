"""The session of both clients that use requests' own transport: pools of the right size, CA certificates read once.

requests would read the bundle anew for every connection. `cert_verify` is there for subclasses to override; urllib3
verifies by the context that the pools are given.
"""

from __future__ import annotations

import ssl
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from benchmarks.clients.protocol import Task


class _LoadedOnce(HTTPAdapter):
    def __init__(self, ca_bundle: str, **options: Any) -> None:
        self._context = ssl.create_default_context(cafile=ca_bundle)
        super().__init__(**options)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, ssl_context=self._context, **options)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """The context has the certificates already."""


def session_for(task: Task) -> requests.Session:
    """For all workers together."""
    session = requests.Session()
    pools: dict[str, Any] = {"pool_connections": max(100, task.origins), "pool_maxsize": task.concurrency}
    session.mount("http://", HTTPAdapter(**pools))
    if task.ca_bundle:
        session.mount("https://", _LoadedOnce(task.ca_bundle, **pools))
    return session
