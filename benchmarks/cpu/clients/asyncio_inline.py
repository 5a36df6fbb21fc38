"""aiohttp on uvloop, the work right in the task: nothing else runs until it is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.cpu.clients.on_uvloop import drive


async def call(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


if __name__ == "__main__":
    drive(lambda _: call)
