"""aiohttp on uvloop, a task per fetch."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from benchmarks.clients.on_uvloop import Fetch, drive
from benchmarks.clients.protocol import FETCH_TIMEOUT_S, parse_task, versions_of


def main() -> None:
    """One session for all tasks, with as many connections as fetches in flight."""
    task = parse_task()

    @asynccontextmanager
    async def opened() -> AsyncIterator[Fetch]:
        context = ssl.create_default_context(cafile=task.ca_bundle) if task.ca_bundle else True
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=task.concurrency, ssl=context),
            timeout=aiohttp.ClientTimeout(total=FETCH_TIMEOUT_S),
        ) as session:

            async def fetch(url: str) -> tuple[int, int]:
                async with session.get(url) as response:
                    return response.status, len(await response.read())

            yield fetch

    drive(task, opened, versions_of("aiohttp", "uvloop"))


if __name__ == "__main__":
    main()
