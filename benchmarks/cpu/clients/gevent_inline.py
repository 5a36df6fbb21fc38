"""Session.fetch on gevent's hub, the work right in the greenlet: nothing else runs until it is done."""

from gevent import monkey

monkey.patch_all()

from collections.abc import Callable  # noqa: E402 - after patching
from typing import Any  # noqa: E402

from benchmarks.cpu.clients.on_gevent import drive  # noqa: E402


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


if __name__ == "__main__":
    drive(lambda _: call)
