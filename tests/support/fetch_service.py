"""The project's own service in tests, started as bin/serve starts it, and calls of its HTTP interface."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.gunicorn_service import Service
from tests.support.processes import ROOT, running_process

JSON = {"Content-Type": "application/json"}


@contextlib.contextmanager
def fetch_service(folder: Path, *, plug_ins: Path | None = None, **settings: str) -> Iterator[Service]:
    """The service, once a worker answers; one unpinned worker unless told otherwise.

    plug_ins  a folder on its module search path
    settings  PERCORE_*, less the prefix; BIND is a free port by default
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PERCORE_", "GUNICORN_"))}
    # The machine's own proxy must not stand between the service and the test's origin.
    environ |= {
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "PYTHONPATH": ":".join(map(str, filter(None, (ROOT, plug_ins)))),
    }
    environ |= {"PERCORE_BIND": "127.0.0.1:0", "PERCORE_PIN": "off", "PERCORE_WORKERS": "1"}
    # The tests' origins are on loopback, on ports that the kernel chose.
    environ |= {"PERCORE_ALLOW_PRIVATE": "127.0.0.0/8", "PERCORE_ALLOW_PORTS": "all"}
    environ |= {f"PERCORE_{name}": value for name, value in settings.items()}
    with running_process([sys.executable, "-P", "-m", "workers.serve"], cwd=folder, env=environ) as running:
        service = Service(running, folder)
        with service.connection() as connection:
            assert call(connection, "GET", "/readyz")[0] == 200
        yield service


def call(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, dict[str, str], bytes]:
    """One whole exchange: status, headers with lower-case names, body."""
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()


def start_fetch(connection: http.client.HTTPConnection, body: Any) -> None:
    """Send a call of POST /v1/fetch without waiting for the answer. A body other than bytes is sent as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request("POST", "/v1/fetch", raw, JSON)


def fetch(connection: http.client.HTTPConnection, body: Any) -> list[dict[str, Any]]:
    """The records of a call of POST /v1/fetch, in the order in which they came."""
    start_fetch(connection, body)
    response = connection.getresponse()
    raw = response.read()
    assert response.status == 200, raw
    return [json.loads(line) for line in raw.splitlines()]


def next_record(response: http.client.HTTPResponse) -> dict[str, Any]:
    """Wait for the next line of a stream, and for no more than that."""
    line = response.readline()
    assert line.endswith(b"\n"), f"the stream ended with {line!r}"
    record: dict[str, Any] = json.loads(line)
    return record
