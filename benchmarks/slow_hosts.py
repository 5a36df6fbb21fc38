"""The origin with many hosts: a listener on each of so many addresses of 127.0.0.0/8, an answer after 1 s.

A program: `python -m benchmarks.slow_hosts HOSTS BODY_BYTES` prints the port, the same on every address, once
it listens, and serves until it is ended. It listens on loopback addresses and never on the wildcard.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import sys

ANSWER_AFTER_S = 1.0
_TRIES = 20
_HOSTS_PER_NET = 250


def address(number: int) -> str:
    """Of host `number`, from 127.1.0.1 on."""
    return f"127.1.{number // _HOSTS_PER_NET}.{number % _HOSTS_PER_NET + 1}"


class _Host(asyncio.Protocol):
    """One connection: for every request head, one answer, a second later. Requests here have no bodies."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._read = b""
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        while b"\r\n\r\n" in self._read:
            _, _, self._read = self._read.partition(b"\r\n\r\n")
            self._loop.call_later(ANSWER_AFTER_S, self._say)

    def _say(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(self._answer)


def listeners(hosts: int) -> list[socket.socket]:
    """One per host, all on one port that the kernel chooses. Raises OSError when that can't be had."""
    for _ in range(_TRIES):
        opened: list[socket.socket] = []
        try:
            for number in range(hosts):
                opened.append(_bound(address(number), opened[0].getsockname()[1] if opened else 0))
            return opened
        except OSError as error:
            for one in opened:
                one.close()
            if error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, f"no port is free on {hosts} addresses")


def _bound(host: str, port: int) -> socket.socket:
    listener = socket.socket()
    # The port may have connections of an earlier run that are closed and remembered; no listener is shared by this.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


async def _serve(hosts: int, body_bytes: int) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {body_bytes}\r\n\r\n"
    answer = head.encode() + b"x" * body_bytes
    loop = asyncio.get_running_loop()
    sockets = listeners(hosts)
    servers = [await loop.create_server(lambda: _Host(answer), sock=one) for one in sockets]
    sys.stdout.write(f"{sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
