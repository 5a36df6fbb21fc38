"""A server of raw bytes in threads of its own: whoever asks gets exactly these, cut and ended as told.

asyncio's streams are too polite for the worst answers. Here the path's first part names a `Script`, registered by the
test in the same process:

    with running_raw_origin() as origin:
        url = origin.serve(Script(b"HTTP/1.1 200 OK\r\n..."))

Law: one request is read up to the end of its head (and of its body, if it has a Content-Length) and counted before a
byte is sent. An answer never waits for its client longer than HANG_GUARD_S.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from tests.support.processes import HANG_GUARD_S

Ending = Literal["close", "keep", "hold", "reset"]


@dataclass(frozen=True, slots=True)
class Script:
    """What is sent for one request.

    pieces   each in a send of its own; of one that makes them while they are sent, for one request
    ending   "close" (FIN), "keep" the connection for the next request, "hold" it until the client leaves, "reset" (RST)
    greets   sent without waiting for a request (for a port that is no HTTP)
    """

    pieces: Iterable[bytes]
    ending: Ending = "close"
    greets: bool = False

    @classmethod
    def of(cls, answer: bytes, ending: Ending = "close") -> Script:
        return cls((answer,), ending)

    @classmethod
    def bytewise(cls, answer: bytes, ending: Ending = "close") -> Script:
        """Every byte in a segment of its own."""
        return cls(tuple(answer[n : n + 1] for n in range(len(answer))), ending)


@dataclass
class RawOrigin:
    """A running one. `requests` counts by name; `bytes_sent` is what the kernel has taken, by name; `connections` all
    that were ever accepted, `talking` those that have not ended; `heads` has the last request's, by name; `first` what
    is played in place of a script for a connection's first request.
    """

    port: int
    scripts: dict[str, Script] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    bytes_sent: Counter[str] = field(default_factory=Counter)
    first: dict[str, Script] = field(default_factory=dict)
    heads: dict[str, bytes] = field(default_factory=dict)
    connections: int = 0
    talking: set[socket.socket] = field(default_factory=set)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def serve(self, script: Script, name: str = "") -> str:
        """The URL under which it is served from now on."""
        name = name or f"s{next(self._numbers)}"
        self.scripts[name] = script
        return f"http://127.0.0.1:{self.port}/{name}"

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def running_raw_origin(
    greeting: Script | None = None, make: Callable[[str], Script] | None = None
) -> Iterator[RawOrigin]:
    """Runs one until the `with` ends, then closes all its connections.

    greeting  play this on every connection as soon as it has brought a byte, whatever it is
    make      the script for a name that was not registered
    """
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    origin = RawOrigin(listener.getsockname()[1])

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.settimeout(HANG_GUARD_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            origin.talking.add(connection)
            origin.connections += 1
            threading.Thread(target=converse, args=(connection,), daemon=True).start()

    def converse(connection: socket.socket) -> None:
        try:
            if greeting is not None:
                if not greeting.greets:
                    connection.recv(65_536)
                _play(connection, greeting, origin, "greeting")
                return
            rest, played = b"", origin.first
            while True:
                name, rest = _read_request(connection, rest, origin)
                script = played.get(name) or origin.scripts.get(name) or (make and make(name))
                played = {}
                if script is None or not _play(connection, script, origin, name):
                    return
        except (OSError, _ClientLeft):
            pass
        finally:
            connection.close()
            origin.talking.discard(connection)

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield origin
    finally:
        # accept() does not notice a mere close.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in list(origin.talking):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _ClientLeft(Exception):
    pass


def _read_request(connection: socket.socket, rest: bytes, origin: RawOrigin) -> tuple[str, bytes]:
    """The name of the script that is asked for, and what came beyond the request."""
    while b"\r\n\r\n" not in rest:
        data = connection.recv(65_536)
        if not data:
            raise _ClientLeft
        rest += data
    head, _, rest = rest.partition(b"\r\n\r\n")
    target = head.split(b" ", 2)[1].decode("latin-1")
    name = target.partition("?")[0].strip("/").partition("/")[0]
    origin.requests[name] += 1
    origin.heads[name] = head
    length = 0
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.lower() == b"content-length":
            length = int(value)
    while len(rest) < length:
        data = connection.recv(65_536)
        if not data:
            raise _ClientLeft
        rest += data
    return name, rest[length:]


def _play(connection: socket.socket, script: Script, origin: RawOrigin, name: str) -> bool:
    """Whether another request may follow."""
    for piece in script.pieces:
        view = memoryview(piece)
        while view:
            sent = connection.send(view)
            origin.bytes_sent[name] += sent
            view = view[sent:]
    if script.ending == "keep":
        return True
    if script.ending == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    elif script.ending == "close":
        # With bytes of the request unread, close() would send RST in place of FIN.
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            pass
    else:
        while connection.recv(65_536):
            pass
    return False
