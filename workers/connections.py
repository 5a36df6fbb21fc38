"""Connections: gevent's WSGI server, taught which of its connections are idle and how to drain.

pywsgi alone knows no difference between a connection that is being answered and one that a client merely keeps
for later, so that its drain lasts until the time is up. Here each handler says when it waits for a request.
No policy: when to drain, and for how long, is `workers.pinned`'s.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any

from gevent import Timeout, get_hub
from gevent.hub import GreenletExit
from gevent.pool import Pool
from gunicorn.workers.ggevent import PyWSGIHandler, PyWSGIServer

FIRST_REQUEST_GRACE_S = 0.5
"""How long a drain waits for the request of a client that had only just connected. Clients send at once after
they connect, so this is ample; without it a reload would break the connections accepted in its last moment."""


class Handler(PyWSGIHandler):
    """One connection: waits for a request, has it answered, waits for the next."""

    server: Server
    served = 0
    response_headers: Any

    def read_requestline(self) -> str:
        """Wait for the next request's first line; "" ends the connection. Yields to the hub."""
        if self.server.draining and self.served:
            return ""
        self.server.waiting.add(self)
        idle = Timeout(self.server.keepalive_s)
        try:
            with idle:
                return super().read_requestline()
        except Timeout as expired:
            if expired is not idle:
                raise
            return ""
        finally:
            self.server.waiting.discard(self)

    def stop_reading(self) -> None:
        """Make the waiting `read_requestline` see the end of input, after what had already arrived: a request
        that crossed our drain is still answered. The kernel wakes the reader; nothing is thrown into it."""
        connection: Any = self.socket
        with suppress(OSError, AttributeError):  # gone already
            # Not gevent's own shutdown(): that throws into the reader, even when a request has come in.
            connection._sock.shutdown(socket.SHUT_RD)

    def handle_one_response(self) -> None:
        self.served += 1
        super().handle_one_response()

    def finalize_headers(self) -> None:
        super().finalize_headers()
        if self.server.draining and self.code != 101:
            self.close_connection = True
            headers = [pair for pair in self.response_headers if pair[0].lower() != b"connection"]
            self.response_headers = [*headers, (b"Connection", b"close")]

    # What goes wrong is gunicorn's log's business; pywsgi would print it, whole environment and all, to stderr.

    def log_request(self) -> None:
        if self.server.access_log and self.environ is not None:
            super().log_request()

    def log_error(self, msg: str, *args: object) -> None:
        self.server.gunicorn_log.warning(msg, *args)

    def _log_error(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, GreenletExit):
            path = (self.path or "").partition("?")[0]  # the query may hold what no log should
            self.server.gunicorn_log.error("Error handling %s %r", self.command, path, exc_info=(kind, error, trace))

    def _handle_client_error(self, error: Exception) -> tuple[str, bytes] | None:
        if isinstance(error, ConnectionError):
            self.close_connection = True
            return None
        if not isinstance(error, (ValueError, OSError)):
            error = ValueError(str(error) or type(error).__name__)  # pywsgi would print a traceback
        answer: tuple[str, bytes] = super()._handle_client_error(error)  # type: ignore[misc]
        return answer


class Server(PyWSGIServer):
    """Serves one listener.

    waiting   the handlers whose connection has no request in it
    draining  no more connections are taken, and each ends with the answer that it is at
    """

    pool: Pool

    def __init__(self, listener: Any, application: Any, *, limit: int, keepalive_s: float, environ: dict[str, Any],
                 log: Any, access_log: bool) -> None:  # fmt: skip
        """limit: connections at a time. keepalive_s: how long an idle connection is kept. log: gunicorn's."""
        self.waiting: set[Handler] = set()
        self.draining = False
        self.keepalive_s = keepalive_s
        self.gunicorn_log = log
        self.access_log = access_log
        super().__init__(listener, application=application, spawn=Pool(limit), log=log, error_log=log,
                         handler_class=Handler, environ=environ)  # fmt: skip

    def drain(self) -> None:
        """Take no more connections and end the idle ones. Returns at once; `pool` is empty when all is done."""
        self.draining = True
        self.close()
        self._end(lambda handler: handler.served > 0)
        self._grace = get_hub().loop.timer(FIRST_REQUEST_GRACE_S)
        self._grace.start(self._end, lambda _handler: True)

    def _end(self, chosen: Callable[[Handler], bool]) -> None:
        for handler in list(filter(chosen, self.waiting)):
            handler.stop_reading()
