"""httpx's AsyncClient on uvloop, a task per fetch; with its http2 extra where the origin wants HTTP/2."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from benchmarks.clients.on_uvloop import Fetch, drive
from benchmarks.clients.protocol import FETCH_TIMEOUT_S, parse_task, versions_of


def main() -> None:
    """One client for all tasks, with as many connections as fetches in flight."""
    task = parse_task()

    @asynccontextmanager
    async def opened() -> AsyncIterator[Fetch]:
        context = ssl.create_default_context(cafile=task.ca_bundle) if task.ca_bundle else True
        async with httpx.AsyncClient(
            http1=not task.http2,
            http2=task.http2,
            verify=context,
            limits=httpx.Limits(max_connections=task.concurrency, max_keepalive_connections=task.concurrency),
            timeout=FETCH_TIMEOUT_S,
        ) as client:

            async def fetch(url: str) -> tuple[int, int]:
                response = await client.get(url)
                return response.status_code, len(response.content)

            yield fetch

    drive(task, opened, versions_of("httpx", "h2", "uvloop"))


if __name__ == "__main__":
    main()
