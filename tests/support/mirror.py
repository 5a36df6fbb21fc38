"""Mirror: a server that keeps what it was asked, byte by byte, and answers what it was told, byte by byte.

    with running_mirror() as mirror:
        mirror.will_answer([Reply(302, [("Location", "/next")]), Reply(200, body=b"here")])
        ...
        mirror.asked

It runs in threads of this process, so that a test that sends a thousand different requests gets at both sides of
each without a detour. The last reply stays. One client at a time.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

# The first byte of a TLS connection (RFC 8446 section 5.1): there is none here, and it has no lines to wait for.
_TLS = b"\x16"

Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class Reply:
    """headers: latin-1; framing is added unless it is there already. is_cut: the body ends before it should."""

    status: int = 200
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    reason: str = "Fine"
    version: str = "HTTP/1.1"
    is_chunked: bool = False
    is_cut: bool = False

    def breaks_off(self, method: str) -> bool:
        """Whether a client waits for more than comes."""
        return self.is_cut and self.status not in (204, 304) and method != "HEAD"

    def bytes_for(self, method: str) -> bytes:
        lines = [f"{self.version} {self.status} {self.reason}", *(f"{name}: {value}" for name, value in self.headers)]
        is_bodiless = self.status in (204, 304) or method == "HEAD"
        if self.is_chunked and self.status not in (204, 304):
            lines.append("Transfer-Encoding: chunked")
            half = len(self.body) // 2
            body = b"".join(
                b"%x\r\n%b\r\n" % (len(part), part) for part in (self.body[:half], self.body[half:]) if part
            )
            body += b"" if self.is_cut else b"0\r\n\r\n"
        else:
            if self.status not in (204, 304):
                lines.append(f"Content-Length: {len(self.body) + 7 * self.is_cut}")
            body = self.body
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        return head if is_bodiless else head + body


@dataclass
class Asked:
    """One request. headers: in order, names and values in latin-1 without the white space around them."""

    method: str
    target: str
    headers: Pairs
    body: bytes = b""
    trailing: bytes = field(default=b"", repr=False)


class Mirror:
    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._replies: list[Reply] = [Reply()]
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._open: set[socket.socket] = set()

    def will_answer(self, replies: Sequence[Reply]) -> None:
        """From now on; and what was asked is forgotten."""
        self._replies = list(replies)
        self.asked = []

    def start(self) -> None:
        self._threads[0].start()

    def close(self) -> None:
        for each in [self._listener, *self._open]:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.add(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError, ValueError), connection, connection.makefile("rb") as incoming:
            while (line := incoming.peek(1)[:1]) and line != _TLS:
                line = incoming.readline()
                method, target, _ = line.decode("latin-1").split(" ", 2)
                headers: Pairs = []
                while (line := incoming.readline()).strip():
                    name, _, value = line.decode("latin-1").partition(":")
                    headers.append((name, value.strip(" \t\r\n")))
                asked = Asked(method, target, headers, _body(incoming, headers))
                self.asked.append(asked)
                reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
                connection.sendall(reply.bytes_for(method))
                if reply.breaks_off(method) or reply.version == "HTTP/1.0":
                    break
        self._open.discard(connection)


def _body(incoming: object, headers: Pairs) -> bytes:
    given = {name.lower(): value for name, value in headers}
    if "chunked" in given.get("transfer-encoding", ""):
        pieces = []
        while size := int(incoming.readline().strip(), 16):  # type: ignore[attr-defined]
            pieces.append(incoming.read(size))  # type: ignore[attr-defined]
            incoming.readline()  # type: ignore[attr-defined]
        incoming.readline()  # type: ignore[attr-defined]
        return b"".join(pieces)
    length = given.get("content-length", "")
    return incoming.read(int(length)) if length.isdigit() else b""  # type: ignore[attr-defined,no-any-return]


@contextmanager
def running_mirror() -> Iterator[Mirror]:
    mirror = Mirror()
    mirror.start()
    try:
        yield mirror
    finally:
        mirror.close()
