"""One request, and the raw means to answer it well or badly.

Law: a method whose name begins with `send` writes exactly the bytes it says. Nothing is checked for sense, for
sense is what the faults are here to break. Only body bytes in answer to HEAD are held back, by `send_body`.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qsl

from tests.support.origin.state import State

Headers = Sequence[tuple[str, str]]


class BadRequest(Exception):
    """The client's own bytes make no sense; it gets an honest 400."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came. `target` is the path with its query; header names are in lower case."""

    method: str
    target: str
    version: str
    headers: list[tuple[str, str]]
    body: bytes = b""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> list[tuple[str, str]]:
        return parse_qsl(self.target.partition("?")[2], keep_blank_values=True)

    def header(self, name: str, default: str = "") -> str:
        """The first header of that lower-case name."""
        return next((value for key, value in self.headers if key == name), default)

    def query_value(self, name: str, default: str = "") -> str:
        return next((value for key, value in self.query if key == name), default)


class Exchange:
    """What a fault gets: the request, the server's memory, and a connection to write to or to break."""

    def __init__(self, asked: Asked, state: State, writer: asyncio.StreamWriter, late: bytearray) -> None:
        self.asked = asked
        self.state = state
        self._writer = writer
        self._late = late
        # A fault whose answer ends only with the connection clears this.
        self.keep_alive = asked.version == "HTTP/1.1" and asked.header("connection").lower() != "close"

    async def send(self, data: bytes) -> None:
        """Writes the bytes as they are; waits while the client is slow to take them."""
        self._writer.write(bytes(self._late) + data)
        self._late.clear()
        await self._writer.drain()

    def send_late(self, data: bytes) -> None:
        """Has the bytes go out with the first ones of the connection's next answer."""
        self._late += data

    async def send_head(self, status: int, headers: Headers = ()) -> None:
        await self.send(self._head(status, headers))

    async def send_body(self, data: bytes) -> None:
        """Body bytes, framed by whatever the head promised; none for HEAD."""
        if self.asked.method != "HEAD":
            await self.send(data)

    async def send_chunk(self, data: bytes) -> None:
        """One chunk of a body under `Transfer-Encoding: chunked`; an empty one ends that body."""
        await self.send_body(b"%x\r\n%b\r\n" % (len(data), data))

    async def answer(
        self, body: bytes | str, status: int = 200, content_type: str = "text/html", headers: Headers = ()
    ) -> None:
        """A whole and correct answer with Content-Length."""
        data = body.encode() if isinstance(body, str) else body
        bodiless = status in (204, 304)
        framing = [] if bodiless else [("Content-Type", content_type), ("Content-Length", str(len(data)))]
        head = self._head(status, [*framing, *headers])
        await self.send(head if bodiless or self.asked.method == "HEAD" else head + data)

    async def redirect(self, location: str, status: int = 302, headers: Headers = ()) -> None:
        await self.answer(f"now at {location}\n", status, "text/plain", [("Location", location), *headers])

    def drop(self) -> None:
        """Closes the connection in good order (FIN) once what was sent has left."""
        self.keep_alive = False
        self._writer.close()

    def reset(self) -> None:
        """Breaks the connection off with RST."""
        self.keep_alive = False
        connection = self._writer.get_extra_info("socket")
        # Lingering for zero seconds makes the kernel answer close() with RST in place of FIN.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def _head(self, status: int, headers: Headers) -> bytes:
        try:
            reason = HTTPStatus(status).phrase
        except ValueError:
            reason = "Unheard Of"
        lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers)]
        if not self.keep_alive:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def parse_head(head: bytes) -> Asked:
    """The request whose head (up to and with its empty line) this is. Raises BadRequest."""
    try:
        first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        method, target, version = first.split(" ")
        headers = []
        for line in lines:
            name, _, value = line.partition(":")
            headers.append((name.strip().lower(), value.strip()))
    except ValueError:
        raise BadRequest("the request line is not METHOD TARGET VERSION") from None
    if not target.startswith("/"):
        raise BadRequest("the target must be a path")
    return Asked(method, target, version, headers)


async def read_body(asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """The request's body, by its length or its chunks; invites it first when the client waits for that.

    Raises BadRequest, or asyncio.IncompleteReadError when the client goes away.
    """
    chunked = asked.header("transfer-encoding").lower() == "chunked"
    length_text = asked.header("content-length", "0")
    if not chunked and not length_text.isdigit():
        raise BadRequest("Content-Length is no number")
    if not chunked and not int(length_text):
        return b""
    if asked.header("expect").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if not chunked:
        return await reader.readexactly(int(length_text))
    chunks = []
    while True:
        size_line = await reader.readuntil(b"\r\n")
        try:
            size = int(size_line.partition(b";")[0], 16)
        except ValueError:
            raise BadRequest("a chunk's size is no number") from None
        if not size:
            break
        chunks.append((await reader.readexactly(size + 2))[:-2])
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass  # trailers
    return b"".join(chunks)
