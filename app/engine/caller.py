"""Caller: who waits for outcomes at the other end of a connection, and may go away before they have come.

A server notices that by itself only when it writes. While nothing is written, since the slowest fetch is still
being waited for, it would go on fetching for nobody; so the connection is watched for as long as we wait.
"""

from __future__ import annotations

import errno
import select
from collections.abc import Generator
from contextlib import closing
from typing import Protocol, TypeVar

from gevent import get_hub, getcurrent
from gevent.monkey import get_original
from greenlet import greenlet

_T = TypeVar("_T")

# gevent's own poll would switch; this one is called inside the hub, which must not.
_poll = get_original("select", "poll")


class HasFileno(Protocol):
    def fileno(self) -> int: ...


class CallerGone(ConnectionResetError):
    """The caller closed its connection, or its sending side: a client that does so is taken to have left."""

    def __init__(self) -> None:
        super().__init__(errno.ECONNRESET, "the caller went away")


def until_gone(outcomes: Generator[_T], connection: HasFileno) -> Generator[_T]:
    """Hand on `outcomes`; raise CallerGone as soon as the other end of `connection` has closed.

    The connection is watched only while the next outcome is waited for; nothing is read from it. In every
    case `outcomes` is closed at the end. Yields to the hub as `outcomes` does.
    """
    watch = _Watch(connection.fileno())
    try:
        with closing(outcomes):
            while True:
                with watch:
                    try:
                        outcome = next(outcomes)
                    except StopIteration:
                        return
                yield outcome
    finally:
        watch.close()


class _Watch:
    """Inside its `with` block, throws CallerGone into the block's greenlet when the peer of `descriptor` closes."""

    def __init__(self, descriptor: int) -> None:
        self._io = get_hub().loop.io(descriptor, 1)
        self._poll = _poll()
        self._poll.register(descriptor, select.POLLRDHUP)

    def __enter__(self) -> None:
        self._io.start(self._readable, getcurrent())

    def __exit__(self, *_: object) -> None:
        self._io.stop()

    def close(self) -> None:
        self._io.close()

    def _readable(self, waiting: greenlet) -> None:
        """Runs in the hub."""
        # Stopped first in either case. Bytes of a next request may lie there, sent before this one was answered:
        # they would call us for ever, and are no sign of leaving; then the next write has to find out.
        self._io.stop()
        if self._poll.poll(0):
            waiting.throw(CallerGone())
