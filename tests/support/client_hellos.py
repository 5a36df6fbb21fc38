"""A server that reads what TLS clients say first (RFC 8446 section 4.1.2), and may ask each for another key share.

    with reading_hellos() as server:
        client.get(server.url)  # fails
    server.seen

It never answers but with that request, and then ends the connection.
"""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.support.processes import HANG_GUARD_S

X25519 = 0x001D
X25519_MLKEM768 = 0x11EC

_HANDSHAKE, _CHANGE_CIPHER_SPEC = 22, 20
_CLIENT_HELLO, _SERVER_HELLO = 1, 2
_SUPPORTED_GROUPS, _SUPPORTED_VERSIONS, _KEY_SHARE = 10, 43, 51
_TLS_1_2, _TLS_1_3 = 0x0303, 0x0304

# By which a ServerHello is known to be a HelloRetryRequest (RFC 8446 section 4.1.3).
_RETRY_RANDOM = hashlib.sha256(b"HelloRetryRequest").digest()


@dataclass(frozen=True, slots=True)
class ClientHello:
    """groups: offered, the first choice first; shares: bytes of the key share by group; ciphers: cipher suites."""

    session_id: bytes
    ciphers: list[int]
    groups: list[int]
    shares: dict[int, int]


@dataclass
class Hellos:
    """A running one. `seen` grows: the hellos of one connection after the other."""

    port: int
    seen: list[ClientHello] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}/"


@contextlib.contextmanager
def reading_hellos(ask_for: int | None = None) -> Iterator[Hellos]:
    """Runs until the `with` ends. ask_for: a group for which each client is asked by a HelloRetryRequest."""
    listening = socket.create_server(("127.0.0.1", 0))
    hellos = Hellos(listening.getsockname()[1])
    thread = threading.Thread(target=_serve, args=(listening, hellos, ask_for), daemon=True)
    thread.start()
    try:
        yield hellos
    finally:
        # Wakes `accept`, which closing would not.
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
        listening.close()


def _serve(listening: socket.socket, hellos: Hellos, ask_for: int | None) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        with connection:
            connection.settimeout(HANG_GUARD_S)
            with contextlib.suppress(OSError, EOFError):
                hello = _read_hello(connection)
                hellos.seen.append(hello)
                if ask_for is not None:
                    connection.sendall(_retry_request(hello, ask_for))
                    hellos.seen.append(_read_hello(connection))


def _read_hello(connection: socket.socket) -> ClientHello:
    message = b""
    while len(message) < 4 or len(message) < 4 + int.from_bytes(message[1:4]):
        kind, _, _, *length = _exactly(connection, 5)
        fragment = _exactly(connection, int.from_bytes(bytes(length)))
        if kind == _HANDSHAKE:
            message += fragment
        elif kind != _CHANGE_CIPHER_SPEC:  # which is sent for the sake of middleboxes (RFC 8446 appendix D.4)
            raise EOFError  # an alert
    assert message[0] == _CLIENT_HELLO
    return _parsed(_Reader(message[4:]))


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def _parsed(hello: _Reader) -> ClientHello:
    hello.take(2 + 32)  # version and random
    session_id = hello.vector(1)
    ciphers = _Reader(hello.vector(2)).numbers()
    hello.vector(1)  # compression methods
    extensions = _Reader(hello.vector(2)).named_vectors()
    assert not hello.data
    groups = _Reader(_Reader(extensions[_SUPPORTED_GROUPS]).vector(2)).numbers()
    shares = _Reader(_Reader(extensions[_KEY_SHARE]).vector(2)).named_vectors()
    return ClientHello(session_id, ciphers, groups, {group: len(share) for group, share in shares.items()})


def _retry_request(hello: ClientHello, group: int) -> bytes:
    cipher = next(cipher for cipher in hello.ciphers if cipher >> 8 == 0x13)  # those of TLS 1.3
    extensions = b"".join(
        kind.to_bytes(2) + b"\0\2" + value.to_bytes(2)
        for kind, value in ((_SUPPORTED_VERSIONS, _TLS_1_3), (_KEY_SHARE, group))
    )
    body = (
        _TLS_1_2.to_bytes(2)
        + _RETRY_RANDOM
        + bytes([len(hello.session_id)])
        + hello.session_id
        + cipher.to_bytes(2)
        + b"\0"
        + len(extensions).to_bytes(2)
        + extensions
    )
    message = bytes([_SERVER_HELLO]) + len(body).to_bytes(3) + body
    return bytes([_HANDSHAKE]) + _TLS_1_2.to_bytes(2) + len(message).to_bytes(2) + message


class _Reader:
    """Takes apart what is written in RFC 8446's presentation language (section 3). Raises ValueError at its end."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def take(self, size: int) -> bytes:
        if len(self.data) < size:
            raise ValueError(f"{size} bytes of {self.data!r}")
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def vector(self, size_of_length: int) -> bytes:
        return self.take(self.number(size_of_length))

    def numbers(self) -> list[int]:
        """All that is left, as numbers of two bytes."""
        found = []
        while self.data:
            found.append(self.number(2))
        return found

    def named_vectors(self) -> dict[int, bytes]:
        """All that is left, as vectors with a number of two bytes before each."""
        found = {}
        while self.data:
            name = self.number(2)
            found[name] = self.vector(2)
        return found
