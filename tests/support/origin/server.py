"""The origin's connections: reads requests one after another and has the fault of each path played.

A client that closes (even only its sending side) is gone: the fault being played for it is cancelled, so a
request that waits at a gate stops waiting the moment its client gives up.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses

from tests.support.origin import answers, broken, caching, redirects  # noqa: F401  (importing them fills the registry)
from tests.support.origin.control import answer_control, is_control
from tests.support.origin.exchange import Asked, BadRequest, Exchange, parse_head, read_body
from tests.support.origin.registry import BadCall, find_fault
from tests.support.origin.state import State

_BACKLOG = 4_096
_HEAD_LIMIT_BYTES = 65_536


class _WatchedReader(asyncio.StreamReader):
    """A reader that cancels the task in `busy` when the client goes away."""

    busy: asyncio.Task[None] | None = None
    gone = False

    def feed_eof(self) -> None:
        super().feed_eof()
        self._went_away()

    def set_exception(self, exc: BaseException) -> None:
        super().set_exception(exc)  # type: ignore[arg-type]
        self._went_away()

    def _went_away(self) -> None:
        self.gone = True
        if self.busy is not None:
            self.busy.cancel()
            self.busy = None


async def start_server(host: str, port: int) -> tuple[asyncio.Server, int]:
    """Listens on that address; returns the server and its port (the kernel's choice for 0). Raises OSError."""
    state = State()
    loop = asyncio.get_running_loop()

    def connection() -> asyncio.StreamReaderProtocol:
        reader = _WatchedReader(limit=_HEAD_LIMIT_BYTES)

        async def converse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await _converse(reader, writer, state)

        return asyncio.StreamReaderProtocol(reader, converse)

    server = await loop.create_server(connection, host, port, backlog=_BACKLOG)
    return server, int(server.sockets[0].getsockname()[1])


async def _converse(reader: _WatchedReader, writer: asyncio.StreamWriter, state: State) -> None:
    """All exchanges of one connection. It counts as one from its first request that isn't a control one."""
    counted = False
    late = bytearray()
    try:
        while True:
            asked = parse_head(await reader.readuntil(b"\r\n\r\n"))
            if not counted and not is_control(asked.path):
                counted = True
                state.connection_opened()
            if not await _exchange(asked, reader, writer, state, late):
                break
    except (asyncio.IncompleteReadError, OSError):
        pass  # the client left
    except asyncio.CancelledError:
        if not reader.gone:
            raise  # it's the server that ends, not the client
    except asyncio.LimitOverrunError:
        await _refuse(writer, "the request's head is too long")
    except BadRequest as error:
        await _refuse(writer, str(error))
    finally:
        if counted:
            state.connection_closed()
        writer.close()


async def _exchange(
    asked: Asked, reader: _WatchedReader, writer: asyncio.StreamWriter, state: State, late: bytearray
) -> bool:
    """Reads one request to its end and answers it; True if the connection can carry another one."""
    counting = (
        contextlib.nullcontext()
        if is_control(asked.path)
        else state.request(asked.path, asked.method, asked.target, asked.headers)
    )
    with counting:
        body = await read_body(asked, reader, writer)
        exchange = Exchange(dataclasses.replace(asked, body=body) if body else asked, state, writer, late)
        if reader.gone:
            return False
        reader.busy = asyncio.current_task()
        await _answer(exchange)
        reader.busy = None
        return exchange.keep_alive


async def _answer(exchange: Exchange) -> None:
    try:
        if is_control(exchange.asked.path):
            return await answer_control(exchange)
        fault, arguments = find_fault(exchange.asked.path)
        await fault.play(exchange, *arguments)
    except BadCall as error:
        await exchange.answer(f"{error}\n", error.status, "text/plain")


async def _refuse(writer: asyncio.StreamWriter, why: str) -> None:
    message = f"{why}\n".encode()
    head = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(message)
    with contextlib.suppress(OSError):
        writer.write(head + message)
        await writer.drain()
