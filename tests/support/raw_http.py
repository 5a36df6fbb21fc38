"""HTTP by hand over a raw socket: what a test sends and gets is exactly what is on the wire."""

from __future__ import annotations

import socket
from contextlib import closing

from tests.support.origin import Origin
from tests.support.processes import HANG_GUARD_S


def connect(origin: Origin) -> socket.socket:
    return socket.create_connection((origin.host, origin.port), timeout=HANG_GUARD_S)


def request(path: str, method: str = "GET", headers: str = "Connection: close\r\n", body: bytes = b"") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: origin\r\n{headers}\r\n".encode() + body


def until_end(connection: socket.socket) -> bytes:
    """All bytes up to the FIN. A reset raises ConnectionResetError."""
    received = b""
    while data := connection.recv(1 << 20):
        received += data
    return received


def talk(origin: Origin, path: str, method: str = "GET", **more: object) -> tuple[bytes, bytes]:
    """Head (with its empty line) and the rest of what one request gets on a connection of its own."""
    with closing(connect(origin)) as connection:
        connection.sendall(request(path, method, **more))  # type: ignore[arg-type]
        head, separator, rest = until_end(connection).partition(b"\r\n\r\n")
        return head + separator, rest


def header(head: bytes, name: str) -> str | None:
    for line in head.decode("latin-1").split("\r\n")[1:]:
        key, _, value = line.partition(": ")
        if key.lower() == name.lower():
            return value
    return None


def read_answer(connection: socket.socket) -> tuple[bytes, bytes]:
    """Exactly one answer with Content-Length from a connection that stays open."""
    received = b""
    while b"\r\n\r\n" not in received:
        data = connection.recv(65_536)
        assert data, f"closed after {received!r}"
        received += data
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(header(head, "Content-Length") or 0)
    while len(body) < length:
        data = connection.recv(65_536)
        assert data, f"closed after {len(body)} of {length} bytes"
        body += data
    return head, body


def dechunk(data: bytes) -> bytes:
    body = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        if not int(size, 16):
            assert data == b"\r\n"
            return body
        body, data = body + data[: int(size, 16)], data[int(size, 16) + 2 :]
